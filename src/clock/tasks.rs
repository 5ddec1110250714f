//! How tasks begin and wait: on tokio, or in a simulation each on a thread of its own, which takes turns.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::threads::spawn;
use super::turns::{Seat, stir};

thread_local! {
    /// In a simulation: when this thread's task wants to be looked at again at the latest.
    static ALARM: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Starts a task, in the simulation of this thread if it is in any; else within a tokio runtime.
pub(crate) fn start(name: &str, task: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    if Seat::mine().is_some() {
        spawn(name.to_owned(), move || finish(task))?;
    } else {
        tokio::spawn(task);
    }
    Ok(())
}

/// In a simulation, does a task on this thread to its end. Whatever it waits for is in the simulation as well.
pub(crate) fn finish<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        ALARM.set(None);
        if let Poll::Ready(done) = task.as_mut().poll(&mut context) {
            return done;
        }
        woken.wait(ALARM.take().unwrap_or(Duration::MAX));
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Woken {
    /// Until it is woken, or until then.
    fn wait(&self, until: Duration) {
        let Some(seat) = Seat::mine() else { return };
        while !self.0.swap(false, Ordering::SeqCst) && seat.now() < until {
            seat.wait(until.saturating_sub(seat.now()));
        }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
        stir();
    }
}

/// Comes back after so long.
pub async fn sleep(duration: Duration) {
    let Some(seat) = Seat::mine() else { return tokio::time::sleep(duration).await };
    let until = seat.now().saturating_add(duration);
    poll_fn(|_| {
        if seat.now() >= until {
            return Poll::Ready(());
        }
        ALARM.set(Some(ALARM.get().map_or(until, |alarm| alarm.min(until))));
        Poll::Pending
    })
    .await;
}

/// What `work` comes to, if that is within `limit`.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = sleep(limit) => None,
    }
}
