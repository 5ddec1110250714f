//! Faults between the engine and its log: a [`Log`] in front of another that stops the engine before or
//! after any call, or loses an answer.
//!
//! After a crash every call through it fails, as if the process were gone; the log behind it stays, with
//! whatever reached it. A schedule names a call by its kind and number, not by time, so that it strikes at
//! the same place each time.

mod outside;
mod views;

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use crate::clock::{self, Timestamp};
use crate::log::{
    Bounds, CommittedOffset, Fence, Group, Isolation, Log, LogError, Member, Outgoing, Polled, Reader, Sender, Topic,
    TopicPartition, TopicSpec, TransactionError, Writer, Written,
};
use crate::position::Offset;
use crate::projection::ViewStore;
use outside::{FaultyReader, FaultySender};
use views::FaultyViews;

/// The calls of the ports to the log and to the views' database that change something or hold something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is named as the call it stands for")]
pub enum Call {
    OpenWriter,
    Begin,
    Send,
    SendOffsets,
    Commit,
    Abort,
    Join,
    PollRecords,
    Assigned,
    Revoked,
    Resume,
    Release,
    Committed,
    Fence,
    Read,
    Deliver,
    OpenView,
    ViewProgress,
    ViewParked,
    ApplyToView,
}

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process stops before the call takes effect.
    CrashBefore,
    /// The process stops after the call took effect, before its answer.
    CrashAfter,
    /// The call does nothing and fails; of a transactional call as abortable.
    Fail,
    /// The call takes effect, but fails towards the caller; of a transactional call as fatal.
    LoseAnswer,
}

/// A fault at the `number`-th call of a kind, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// The kind of call.
    pub call: Call,
    /// Which of them.
    pub number: u32,
    /// What happens.
    pub fault: Fault,
}

/// What befalls a simulated process at its calls.
pub(crate) trait Fate: std::fmt::Debug + Send + Sync {
    /// Before every call.
    fn wait(&self);
    /// How long such a call takes.
    fn stall(&self, call: Call) -> Duration;
    /// What happens at a call that changes something or holds something up.
    fn strike(&self, call: Call) -> Option<Fault>;
}

/// Counts calls and strikes at one of them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<State>);

#[derive(Debug, Default)]
struct State {
    strikes: Vec<Strike>,
    forgets_offsets: bool,
    fate: Option<Arc<dyn Fate>>,
    /// What a process of a simulation held when it stopped, until the simulation is over.
    left_behind: Mutex<Vec<Box<dyn Any + Send>>>,
    counts: Mutex<HashMap<Call, u32>>,
    crashed: AtomicBool,
}

enum Decree {
    Go,
    Dead,
    Strike(Fault),
}

impl Faults {
    /// Strikes as given, or not at all.
    #[must_use]
    pub fn new(strikes: Vec<Strike>) -> Self {
        Self(Arc::new(State { strikes, ..State::default() }))
    }

    /// No fault, but the groups' committed offsets have expired, as those of an idle group do.
    #[must_use]
    pub fn expired_offsets() -> Self {
        Self(Arc::new(State { forgets_offsets: true, ..State::default() }))
    }

    /// Strikes as fate has it.
    pub(crate) fn by(fate: Arc<dyn Fate>) -> Self {
        Self(Arc::new(State { fate: Some(fate), ..State::default() }))
    }

    /// A log in front of `log` in which the faults happen.
    #[must_use]
    pub fn before(&self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        Arc::new(FaultyLog { log, faults: self.clone() })
    }

    /// A database of views in front of `store` in which the faults happen.
    #[must_use]
    pub fn before_views(&self, store: Arc<dyn ViewStore>) -> Arc<dyn ViewStore> {
        Arc::new(FaultyViews { store, faults: self.clone() })
    }

    /// Whether the process has stopped.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.0.crashed.load(Ordering::SeqCst)
    }

    /// Stops the process now.
    pub fn crash(&self) {
        self.0.crashed.store(true, Ordering::SeqCst);
    }

    /// How often each call was made so far.
    #[must_use]
    pub fn counts(&self) -> HashMap<Call, u32> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait(&self) {
        self.0.fate.iter().for_each(|fate| fate.wait());
    }

    fn stall(&self, call: Call) -> Duration {
        self.wait();
        self.0.fate.as_ref().map_or(Duration::ZERO, |fate| fate.stall(call))
    }

    fn decree(&self, call: Call) -> Decree {
        let stall = self.stall(call);
        if !stall.is_zero() {
            clock::pause(stall);
        }
        self.struck(call)
    }

    fn struck(&self, call: Call) -> Decree {
        let struck = self.0.fate.as_ref().and_then(|fate| fate.strike(call));
        if self.crashed() {
            return Decree::Dead;
        }
        if let Some(fault) = struck {
            return Decree::Strike(fault);
        }
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(call).or_default();
        *count += 1;
        let strike = self.0.strikes.iter().find(|strike| strike.call == call && strike.number == *count);
        strike.map_or(Decree::Go, |strike| Decree::Strike(strike.fault))
    }

    fn log_call<T>(&self, call: Call, make: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
        let crashed = || LogError::Fatal("the process has stopped".to_owned());
        let failed = || LogError::Unavailable("a planted fault".to_owned());
        match self.decree(call) {
            Decree::Go => make(),
            Decree::Dead => Err(crashed()),
            Decree::Strike(Fault::CrashBefore) => {
                self.crash();
                Err(crashed())
            }
            Decree::Strike(Fault::CrashAfter) => {
                drop(make());
                self.crash();
                Err(crashed())
            }
            Decree::Strike(Fault::Fail) => Err(failed()),
            Decree::Strike(Fault::LoseAnswer) => {
                drop(make());
                Err(failed())
            }
        }
    }

    fn writer_call<T>(
        &self,
        call: Call,
        make: impl FnOnce() -> Result<T, TransactionError>,
    ) -> Result<T, TransactionError> {
        let crashed = || TransactionError::Fatal("the process has stopped".to_owned());
        match self.decree(call) {
            Decree::Go => make(),
            Decree::Dead => Err(crashed()),
            Decree::Strike(Fault::CrashBefore) => {
                self.crash();
                Err(crashed())
            }
            Decree::Strike(Fault::CrashAfter) => {
                drop(make());
                self.crash();
                Err(crashed())
            }
            Decree::Strike(Fault::Fail) => Err(TransactionError::Abortable("a planted fault".to_owned())),
            Decree::Strike(Fault::LoseAnswer) => {
                drop(make());
                Err(TransactionError::Fatal("a planted fault: the answer is lost".to_owned()))
            }
        }
    }

    /// Calls that only ask are not struck, but they fail once the process has stopped.
    fn asking<T>(&self, make: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
        self.wait();
        if self.crashed() { Err(LogError::Fatal("the process has stopped".to_owned())) } else { make() }
    }
}

impl Faults {
    /// What a stopped process held says no good-bye.
    fn leave_behind(&self, held: impl Any + Send) {
        if self.0.fate.is_none() {
            std::mem::forget(held);
        } else if let Ok(mut left_behind) = self.0.left_behind.lock() {
            left_behind.push(Box::new(held));
        }
    }
}

struct FaultyLog {
    log: Arc<dyn Log>,
    faults: Faults,
}

impl Log for FaultyLog {
    fn cluster(&self) -> Result<String, LogError> {
        self.faults.asking(|| self.log.cluster())
    }

    fn describe(&self, topics: &[Topic]) -> Result<Vec<Option<TopicSpec>>, LogError> {
        self.faults.asking(|| self.log.describe(topics))
    }

    fn create(&self, topics: &[TopicSpec]) -> Result<(), LogError> {
        self.faults.asking(|| self.log.create(topics))
    }

    fn bounds(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Bounds>, LogError> {
        self.faults.asking(|| self.log.bounds(partitions, isolation))
    }

    fn offset_at(&self, partition: &TopicPartition, time: Timestamp) -> Result<Option<Offset>, LogError> {
        self.faults.asking(|| self.log.offset_at(partition, time))
    }

    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.faults.asking(|| self.log.committed(group, partitions))
    }

    fn set_committed(&self, group: &str, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), LogError> {
        self.faults.asking(|| self.log.set_committed(group, offsets))
    }

    fn join(&self, group: &Group) -> Result<Box<dyn Member>, LogError> {
        let member = self.faults.log_call(Call::Join, || self.log.join(group))?;
        Ok(Box::new(FaultyMember { member: Some(member), faults: self.faults.clone() }))
    }

    fn writer(&self, id: &str) -> Result<Box<dyn Writer>, LogError> {
        let writer = self.faults.log_call(Call::OpenWriter, || self.log.writer(id))?;
        Ok(Box::new(FaultyWriter { writer: Some(writer), faults: self.faults.clone() }))
    }

    fn sender(&self) -> Result<Arc<dyn Sender>, LogError> {
        let sender = self.faults.asking(|| self.log.sender())?;
        Ok(Arc::new(FaultySender { sender, faults: self.faults.clone() }))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, LogError> {
        let reader = self.faults.asking(|| self.log.reader())?;
        Ok(Box::new(FaultyReader { reader, faults: self.faults.clone() }))
    }
}

struct FaultyMember {
    member: Option<Box<dyn Member>>,
    faults: Faults,
}

const HELD: &str = "it is there until it leaves or is dropped";

impl FaultyMember {
    fn inner(&mut self) -> &mut dyn Member {
        &mut **self.member.as_mut().expect(HELD)
    }
}

impl Member for FaultyMember {
    fn poll(&mut self, wait: Duration, max: usize) -> Result<Polled, LogError> {
        let faults = self.faults.clone();
        let polled = faults.asking(|| self.inner().poll(wait, max))?;
        let call = match &polled {
            Polled::Records(records) if records.is_empty() => return faults.asking(|| Ok(polled)),
            Polled::Records(_) => Call::PollRecords,
            Polled::Assigned(_) => Call::Assigned,
            Polled::Revoked(_) | Polled::Lost(_) => Call::Revoked,
        };
        // What was polled cannot be polled again, so a mere failure would lose it, as no log does.
        match faults.decree(call) {
            Decree::Go | Decree::Strike(Fault::Fail | Fault::LoseAnswer) => Ok(polled),
            Decree::Dead | Decree::Strike(Fault::CrashBefore | Fault::CrashAfter) => {
                faults.crash();
                Err(LogError::Fatal("the process has stopped".to_owned()))
            }
        }
    }

    fn resume(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        let faults = self.faults.clone();
        faults.log_call(Call::Resume, || self.inner().resume(from))
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let faults = self.faults.clone();
        faults.asking(|| self.inner().pause(partitions))
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        let faults = self.faults.clone();
        faults.log_call(Call::Release, || self.inner().release(partitions))
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        let faults = self.faults.clone();
        let committed = faults.log_call(Call::Committed, || self.inner().committed(partitions))?;
        Ok(if faults.0.forgets_offsets { vec![None; committed.len()] } else { committed })
    }

    fn fence(&mut self) -> Result<Fence, LogError> {
        let faults = self.faults.clone();
        faults.log_call(Call::Fence, || self.inner().fence())
    }

    fn leave(mut self: Box<Self>) -> Result<(), LogError> {
        let faults = self.faults.clone();
        let member = self.member.take().expect(HELD);
        faults.asking(|| member.leave())
    }
}

impl Drop for FaultyMember {
    /// A process that stopped says no good-bye: its session ends by itself, or by whoever comes back under
    /// its name.
    fn drop(&mut self) {
        if self.faults.crashed() {
            self.faults.leave_behind(self.member.take());
        }
    }
}

struct FaultyWriter {
    writer: Option<Box<dyn Writer>>,
    faults: Faults,
}

impl FaultyWriter {
    fn inner(&mut self) -> &mut dyn Writer {
        &mut **self.writer.as_mut().expect(HELD)
    }
}

impl Writer for FaultyWriter {
    fn begin(&mut self) -> Result<(), TransactionError> {
        let faults = self.faults.clone();
        faults.writer_call(Call::Begin, || self.inner().begin())
    }

    /// One call for each record, so that a fault may strike between any two.
    fn send(&mut self, records: &[Outgoing]) -> Result<(), TransactionError> {
        let faults = self.faults.clone();
        records.chunks(1).try_for_each(|one| faults.writer_call(Call::Send, || self.inner().send(one)))
    }

    fn send_offsets(
        &mut self,
        fence: &Fence,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), TransactionError> {
        let faults = self.faults.clone();
        faults.writer_call(Call::SendOffsets, || self.inner().send_offsets(fence, offsets))
    }

    fn commit(&mut self) -> Result<Written, TransactionError> {
        let faults = self.faults.clone();
        faults.writer_call(Call::Commit, || self.inner().commit())
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        let faults = self.faults.clone();
        faults.writer_call(Call::Abort, || self.inner().abort())
    }

    fn is_suspect(&self) -> bool {
        self.writer.as_ref().expect(HELD).is_suspect()
    }
}

impl Drop for FaultyWriter {
    /// A process that stopped leaves its transaction open.
    fn drop(&mut self) {
        if self.faults.crashed() {
            self.faults.leave_behind(self.writer.take());
        }
    }
}
