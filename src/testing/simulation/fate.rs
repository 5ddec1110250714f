//! What befalls a process at its calls to the log, as a seed has it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::trace::Trace;
use crate::clock::{self, Seeded, turns};
use crate::testing::faults::{Call, Fate, Fault};

/// How long a call may take at most, in milliseconds: little, more, and longer than any session.
const STALLS_MS: [u64; 4] = [50, 1_000, 5_000, 25_000];

const FAULTS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer];

/// What may happen to all processes.
#[derive(Debug)]
pub(super) struct Weather {
    dice: Mutex<Seeded>,
    /// One call in so many is struck.
    strikes_once_in: u64,
    /// One call in so many takes long.
    stalls_once_in: u64,
    calm: AtomicBool,
    full_disk: AtomicBool,
    trace: Trace,
}

impl Weather {
    pub fn new(dice: &mut Seeded, trace: Trace) -> Self {
        Self {
            strikes_once_in: [15, 40, 120, 1_000_000][dice.index(4)],
            stalls_once_in: [60, 300, 1_000_000][dice.index(3)],
            dice: Mutex::new(Seeded::new(dice.draw())),
            calm: AtomicBool::new(false),
            full_disk: AtomicBool::new(false),
            trace,
        }
    }

    /// Whether no record is taken any more.
    pub fn set_full_disk(&self, full: bool) {
        self.full_disk.store(full, Ordering::SeqCst);
    }

    fn has_no_room_for(&self, call: Call) -> bool {
        self.full_disk.load(Ordering::SeqCst) && matches!(call, Call::Send | Call::Deliver | Call::ApplyToView)
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// Nothing happens any more.
    pub fn cease(&self) {
        self.set_full_disk(false);
        self.calm.store(true, Ordering::SeqCst);
    }

    fn draw<T>(&self, from: impl FnOnce(&mut Seeded) -> T) -> T {
        from(&mut self.dice.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What befalls one process.
#[derive(Debug)]
pub(super) struct ProcessFate {
    pub weather: Arc<Weather>,
    pub name: String,
    /// In microseconds since the schedule began.
    frozen_until: AtomicU64,
}

impl ProcessFate {
    pub fn new(weather: Arc<Weather>, name: String) -> Self {
        Self { weather, name, frozen_until: AtomicU64::new(0) }
    }

    /// None of its threads does anything for so long: a zombie, if that is longer than its session.
    pub fn freeze(&self, wait: Duration) {
        let until = turns::count().1 + wait;
        self.frozen_until.store(u64::try_from(until.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Fate for ProcessFate {
    fn wait(&self) {
        turns::pass();
        let until = Duration::from_micros(self.frozen_until.load(Ordering::SeqCst));
        let left = until.saturating_sub(turns::count().1);
        if !left.is_zero() {
            clock::pause(left);
        }
    }

    fn stall(&self, call: Call) -> Duration {
        let Weather { stalls_once_in, trace, .. } = &*self.weather;
        trace.note((&self.name, call));
        if self.weather.is_calm() || self.weather.has_no_room_for(call) {
            return Duration::ZERO;
        }
        if !self.weather.draw(|dice| dice.once_in(*stalls_once_in)) {
            return Duration::ZERO;
        }
        let wait = Duration::from_millis(self.weather.draw(|dice| {
            let most = STALLS_MS[dice.index(STALLS_MS.len())];
            dice.below(most)
        }));
        trace.tell(format!("{}: {call:?} waits for {wait:?}", self.name));
        wait
    }

    fn strike(&self, call: Call) -> Option<Fault> {
        let Weather { strikes_once_in, trace, .. } = &*self.weather;
        if self.weather.is_calm() {
            return None;
        }
        if self.weather.has_no_room_for(call) {
            return Some(Fault::Fail);
        }
        if !self.weather.draw(|dice| dice.once_in(*strikes_once_in)) {
            return None;
        }
        let fault = FAULTS[self.weather.draw(|dice| dice.index(FAULTS.len()))];
        trace.tell(format!("{}: {fault:?} at {call:?}", self.name));
        Some(fault)
    }
}
