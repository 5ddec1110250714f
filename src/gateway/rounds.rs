//! Work that many ask for at the same time, done once for all of them.
//!
//! What it promises: work is never begun before whoever is given its result has asked for it, so that nobody
//! is told what was true before; and nobody waits for more than the round under way and the one after it.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tokio::sync::oneshot;

/// Who waits for the next round of some work; what is being worked at has an entry.
pub struct Rounds<K, V>(Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>);

impl<K, V> Default for Rounds<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> Rounds<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    /// What the work gives, done by whoever comes first for all who come meanwhile. `None` if it panicked.
    pub async fn join<F>(self: &Arc<Self>, key: K, work: impl Fn() -> F + Send + 'static) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let is_first = match self.waiting().entry(key.clone()) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(sender);
                false
            }
            Entry::Vacant(none) => {
                none.insert(vec![sender]);
                true
            }
        };
        if is_first {
            // A task of its own: who came first may go away, and the others still wait.
            tokio::spawn(self.clone().run(key, work));
        }
        receiver.await.ok()
    }

    async fn run<F>(self: Arc<Self>, key: K, work: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let panicked = Panicked { rounds: &self, key: &key };
        while let Some(asking) = self.next(&key) {
            let done = work().await;
            for asker in asking {
                // Who went away asks no more.
                let _ = asker.send(done.clone());
            }
        }
        drop(panicked);
    }

    /// Who has asked by now; `None` if nobody has, and then the work is over.
    fn next(&self, key: &K) -> Option<Vec<oneshot::Sender<V>>> {
        let mut waiting = self.waiting();
        let asking = std::mem::take(waiting.get_mut(key)?);
        if asking.is_empty() {
            waiting.remove(key);
            return None;
        }
        Some(asking)
    }
}

impl<K, V> Rounds<K, V> {
    fn waiting(&self) -> MutexGuard<'_, HashMap<K, Vec<oneshot::Sender<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for others after a panic: who waits is told by the loss of the sender.
struct Panicked<'r, K: Hash + Eq, V> {
    rounds: &'r Rounds<K, V>,
    key: &'r K,
}

impl<K: Hash + Eq, V> Drop for Panicked<'_, K, V> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.rounds.waiting().remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_asks_while_work_is_under_way_shares_the_next_round() {
        let rounds = Arc::new(Rounds::<&str, usize>::default());
        let (begun, (go_on, wait)) = (Arc::new(AtomicUsize::new(0)), async_gate());
        let work = {
            let (begun, wait) = (begun.clone(), wait.clone());
            move || {
                let (round, wait) = (begun.fetch_add(1, Ordering::SeqCst) + 1, wait.clone());
                async move {
                    wait.acquire().await.expect("open").forget();
                    round
                }
            }
        };
        let ask = || {
            tokio::spawn({
                let (rounds, work) = (rounds.clone(), work.clone());
                async move { rounds.join("key", work).await }
            })
        };
        let first = ask();
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..10).map(|_| ask()).collect();
        while rounds.waiting()["key"].len() < 10 {
            tokio::task::yield_now().await;
        }
        go_on.add_permits(2);
        assert_eq!(first.await.expect("asked"), Some(1));
        for other in others {
            assert_eq!(other.await.expect("asked"), Some(2), "begun before it was asked for, or once more");
        }
        while !rounds.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    fn async_gate() -> (Arc<tokio::sync::Semaphore>, Arc<tokio::sync::Semaphore>) {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        (gate.clone(), gate)
    }

    #[tokio::test]
    async fn after_a_panic_the_work_can_be_asked_for_again() {
        let rounds = Arc::new(Rounds::<&str, usize>::default());
        let panics = || async { panic!("as it may") };
        assert_eq!(rounds.join("key", panics).await, None);
        assert_eq!(rounds.join("key", || async { 7 }).await, Some(7));
    }
}
