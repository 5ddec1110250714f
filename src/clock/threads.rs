//! How threads begin, wait and end: as the standard library has it, or by turns in a simulation.

use std::io;
use std::sync::{Condvar, LockResult, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::turns::{Seat, stir};

/// A thread that was started.
#[derive(Debug)]
pub(crate) struct Thread<T> {
    handle: JoinHandle<T>,
    seat: Option<Seat>,
}

/// Starts a thread, in the simulation of this one if it is in any.
pub(crate) fn spawn<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Thread<T>> {
    let seat = Seat::mine().map(|mine| mine.another());
    let theirs = seat.clone();
    let handle = std::thread::Builder::new().name(name).spawn(move || match theirs {
        Some(seat) => seat.play(work),
        None => work(),
    })?;
    Ok(Thread { handle, seat })
}

impl<T> Thread<T> {
    /// Waits for its end; what it gave, or its panic.
    pub fn join(self) -> std::thread::Result<T> {
        if let (Some(theirs), Some(mine)) = (&self.seat, Seat::mine()) {
            while !theirs.is_gone() {
                mine.wait(Duration::MAX);
            }
        }
        self.handle.join()
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.seat.as_ref().map_or_else(|| self.handle.is_finished(), Seat::is_gone)
    }
}

/// How long ago an [instant](super::instant) was.
pub(crate) fn elapsed(since: Instant) -> Duration {
    super::instant().saturating_duration_since(since)
}

/// Does nothing for so long.
pub(crate) fn pause(wait: Duration) {
    match Seat::mine() {
        Some(seat) => seat.pause(wait),
        None => std::thread::sleep(wait),
    }
}

/// Waits for the next that is sent to a channel. Who sends in a simulation [stirs](stir).
pub(crate) fn receive<T>(from: &Receiver<T>, wait: Duration) -> Result<T, RecvTimeoutError> {
    let Some(seat) = Seat::mine() else { return from.recv_timeout(wait) };
    let until = seat.now().saturating_add(wait);
    loop {
        match from.try_recv() {
            Ok(received) => return Ok(received),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) if seat.now() >= until => return Err(RecvTimeoutError::Timeout),
            Err(TryRecvError::Empty) => seat.wait(until.saturating_sub(seat.now())),
        }
    }
}

/// Waits until a bell rings, or so long. Who rings in a simulation [stirs](stir).
pub(crate) fn wait<'a, T>(
    of: &'a Mutex<T>,
    bell: &Condvar,
    guard: MutexGuard<'a, T>,
    wait: Duration,
) -> LockResult<MutexGuard<'a, T>> {
    let Some(seat) = Seat::mine() else {
        let waited = bell.wait_timeout(guard, wait);
        return waited.map(|(guard, _)| guard).map_err(|error| PoisonError::new(error.into_inner().0));
    };
    drop(guard);
    seat.wait(wait);
    of.lock()
}

/// Rings a bell.
pub(crate) fn ring(bell: &Condvar) {
    bell.notify_all();
    stir();
}
