//! Threads that take turns: in a simulation one of them runs at a time, a seed says which is next, and
//! time is counted, not measured.
//!
//! A thread of a simulation sits at its table. It gives its turn away wherever it waits (see [`super::pause`],
//! [`super::wait`], [`super::receive`], [`Thread::join`](super::Thread::join)) and wherever the simulation
//! lets it ([`pass`]). What happens between two turns is then the same whenever the seed is. Time goes on a
//! little with each turn, and leaps to the next deadline when everybody waits. Other threads never see any
//! of this.
//!
//! No thread may hold a lock that others take while it gives its turn away.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Seeded;

/// The most time that passes with a turn.
const STEP_MICROS: u64 = 200;
/// Longer waits are cut to this; no deadline overflows.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 365);

thread_local! {
    static SEAT: RefCell<Option<Seat>> = const { RefCell::new(None) };
}

/// One thread's place in a simulation.
#[derive(Clone)]
pub(super) struct Seat {
    table: Arc<Table>,
    number: usize,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seat").field(&self.number).finish()
    }
}

struct Table {
    state: Mutex<State>,
    base: Instant,
    #[cfg(feature = "mutations")]
    mutation: Option<crate::clock::Mutation>,
}

struct State {
    now: Duration,
    turn: usize,
    turns: u64,
    players: Vec<Player>,
    random: Seeded,
}

struct Player {
    awaits: Awaits,
    bell: Arc<Condvar>,
}

#[derive(Clone, Copy)]
enum Awaits {
    Turn,
    Time(Duration),
    /// Until then, or until something has [changed](stir).
    Change(Duration),
    Gone,
}

impl State {
    fn sit_down(&mut self) -> usize {
        self.players.push(Player { awaits: Awaits::Turn, bell: Arc::default() });
        self.players.len() - 1
    }

    /// Who is next: somebody who need not wait, or else who waits least.
    fn next(&mut self) -> usize {
        self.turns += 1;
        self.now += Duration::from_micros(1 + self.random.below(STEP_MICROS));
        let until = |player: &Player| match player.awaits {
            Awaits::Turn => Some(Duration::ZERO),
            Awaits::Time(until) | Awaits::Change(until) => Some(until),
            Awaits::Gone => None,
        };
        let soonest = self.players.iter().filter_map(until).min().unwrap_or_default();
        self.now = self.now.max(soonest);
        let is_ready = |(number, player): (usize, &Player)| (until(player)? <= self.now).then_some(number);
        let ready: Vec<usize> = self.players.iter().enumerate().filter_map(is_ready).collect();
        let next = ready[self.random.index(ready.len())];
        self.players[next].awaits = Awaits::Turn;
        next
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(super) fn mine() -> Option<Self> {
        SEAT.with_borrow(Clone::clone)
    }

    pub(super) fn now(&self) -> Duration {
        self.table.lock().now
    }

    pub(super) fn instant(&self) -> Instant {
        self.table.base + self.now()
    }

    pub(super) fn draw(&self) -> u64 {
        self.table.lock().random.draw()
    }

    /// Lets others go on, and comes back when it is this thread's turn.
    fn give(&self, awaits: Awaits) {
        let mut state = self.table.lock();
        state.players[self.number].awaits = awaits;
        self.call_next(&mut state);
        drop(self.until_called(state));
    }

    fn call_next(&self, state: &mut State) {
        state.turn = state.next();
        if state.turn != self.number {
            state.players[state.turn].bell.notify_one();
        }
    }

    fn until_called<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let bell = state.players[self.number].bell.clone();
        while state.turn != self.number {
            state = bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    pub(super) fn pause(&self, wait: Duration) {
        let until = self.now() + wait.min(LONGEST_WAIT);
        self.give(Awaits::Time(until));
    }

    /// Until something has changed, or so long.
    pub(super) fn wait(&self, wait: Duration) {
        let until = self.now() + wait.min(LONGEST_WAIT);
        self.give(Awaits::Change(until));
    }

    fn stir(&self) {
        for player in &mut self.table.lock().players {
            if matches!(player.awaits, Awaits::Change(_)) {
                player.awaits = Awaits::Turn;
            }
        }
    }

    /// A place for a thread that this one is about to start.
    pub(super) fn another(&self) -> Self {
        let number = self.table.lock().sit_down();
        Self { table: self.table.clone(), number }
    }

    /// Does the work of a new thread, from its first turn to its last.
    pub(super) fn play<T>(self, work: impl FnOnce() -> T) -> T {
        let leaving = Leaving(self.clone());
        drop(self.until_called(self.table.lock()));
        SEAT.set(Some(self));
        let done = work();
        drop(leaving);
        done
    }

    fn is_alone(&self) -> bool {
        let state = self.table.lock();
        let others = state.players.iter().enumerate().filter(|(number, _)| *number != self.number);
        others.into_iter().all(|(_, player)| matches!(player.awaits, Awaits::Gone))
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.table.lock().players[self.number].awaits, Awaits::Gone)
    }
}

/// Leaves the table when it is dropped, also by a panic.
struct Leaving(Seat);

impl Drop for Leaving {
    fn drop(&mut self) {
        let Self(seat) = self;
        seat.stir();
        let mut state = seat.table.lock();
        state.players[seat.number].awaits = Awaits::Gone;
        if state.players.iter().any(|player| !matches!(player.awaits, Awaits::Gone)) {
            seat.call_next(&mut state);
        }
        SEAT.set(None);
    }
}

/// Does `work` as the first thread of a simulation; all that it starts must be joined in it.
pub(crate) fn simulate<T>(
    seed: u64,
    #[cfg(feature = "mutations")] mutation: Option<crate::clock::Mutation>,
    work: impl FnOnce() -> T,
) -> T {
    let mut state = State { now: Duration::ZERO, turn: 0, turns: 0, players: Vec::new(), random: Seeded::new(seed) };
    let number = state.sit_down();
    let table = Table {
        state: Mutex::new(state),
        base: super::instant(),
        #[cfg(feature = "mutations")]
        mutation,
    };
    Seat { table: Arc::new(table), number }.play(work)
}

/// In a simulation, somebody else may go on here.
pub(crate) fn pass() {
    if let Some(seat) = Seat::mine() {
        seat.give(Awaits::Turn);
    }
}

/// In a simulation, waits until all other threads of it have ended, or so long; whether they have.
pub(crate) fn until_alone(wait: Duration) -> bool {
    let Some(seat) = Seat::mine() else { return true };
    let until = seat.now() + wait;
    while !seat.is_alone() && seat.now() < until {
        seat.wait(until.saturating_sub(seat.now()));
    }
    seat.is_alone()
}

/// In a simulation, whoever waits for a change is to look again.
pub(crate) fn stir() {
    if let Some(seat) = Seat::mine() {
        seat.stir();
    }
}

/// How many turns were taken, and the time since the simulation began.
pub(crate) fn count() -> (u64, Duration) {
    Seat::mine().map_or_else(Default::default, |seat| {
        let state = seat.table.lock();
        (state.turns, state.now)
    })
}

/// What is wrong with the engine on purpose, in this thread's simulation, or else in this process.
#[cfg(feature = "mutations")]
pub(crate) fn mutation() -> Option<crate::clock::Mutation> {
    SEAT.with_borrow(|seat| seat.as_ref().map(|seat| seat.table.mutation))
        .unwrap_or_else(crate::clock::Mutation::of_environment)
}
