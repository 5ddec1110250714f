//! What must be in the log of one aggregate type, told by a plain model that judges its commands anew.
//!
//! The model knows nothing of lanes, batches, transactions or restores. It takes commands in the order of
//! their offsets, asks the aggregate's own `decide`, folds with its own `evolve`, and says what must be
//! found. Where part of that cannot be read yet, because a transaction is still open, it waits on both
//! sides: what is expected and what is found must be the same in order, and nothing may be left at the end.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::trace::Trace;
use crate::aggregate::{Aggregate, Codecs, Context, EventContext, Refusal};
use crate::clock::Timestamp;
use crate::command::{
    Accepted, CommandHead, Failure, Outcome, OutcomeEntry, Outcomes, PayloadHash, Refused, payload_hash,
};
use crate::event::EventHead;
use crate::log::{Isolation, Log, LogError, Reader, Record, Topic, TopicPartition};
use crate::position::{Offset, Partition, Sequence, Version};
use crate::schema::{Data, Registry, SchemaError};
use crate::topology::Topology;

/// No repeat is refused as too old before outcomes are this old.
const REMEMBERED: Duration = Duration::from_mins(8);

/// An aggregate type, of which each schedule makes a model.
pub(super) trait Judged: Send + Sync {
    fn model(&self) -> Box<dyn Model>;
}

/// The model of one aggregate type in one schedule.
pub(super) trait Model {
    /// Compares all that can be read now.
    fn check(&mut self, log: &dyn Log, reader: &mut dyn Reader, shared: &mut Shared) -> Result<(), String>;
    /// Everything was judged: what is left can only be repeats, and nothing that was expected is missing.
    fn settle(&mut self, shared: &mut Shared) -> Result<(), String>;
    /// Commands judged, and events.
    fn counts(&self) -> (u64, u64);
}

/// What models of several aggregate types have in common: what is written outside of their own topics.
pub(super) struct Shared {
    /// Commands handed on: expected less found.
    hand_offs: BTreeMap<(String, String, Uuid), i64>,
    /// Replies: expected less found.
    replies: BTreeMap<(String, Uuid, String), i64>,
    replies_next: Offset,
    trace: Trace,
}

impl Shared {
    pub const fn new(trace: Trace) -> Self {
        Self { hand_offs: BTreeMap::new(), replies: BTreeMap::new(), replies_next: Offset::ZERO, trace }
    }

    /// Counts the replies that can be read now.
    pub fn read_replies(
        &mut self,
        log: &dyn Log,
        reader: &mut dyn Reader,
        of: &TopicPartition,
        decode: impl Fn(&[u8]) -> Result<(String, Uuid, Outcome), String>,
    ) -> Result<(), String> {
        for record in read_on(log, reader, of, &mut self.replies_next).map_err(|error| error.to_string())? {
            self.trace.note(("reply", record.offset, &record.value));
            let (id, command, outcome) = decode(record.value.as_deref().unwrap_or_default())?;
            *self.replies.entry((id, command, format!("{outcome:?}"))).or_default() -= 1;
        }
        Ok(())
    }

    /// Everything expected was found, and nothing else.
    pub fn settle(&self) -> Result<(), String> {
        let off = |what: &str, key: &dyn Debug, count: i64| {
            let (much, more) = (count.abs(), if count > 0 { "too few" } else { "too many" });
            Err(format!("{what}: {much} {more} of {key:?}"))
        };
        if let Some((key, count)) = self.hand_offs.iter().find(|(_, count)| **count != 0) {
            return off("commands handed on", key, *count);
        }
        if let Some((key, count)) = self.replies.iter().find(|(_, count)| **count != 0) {
            return off("replies", key, *count);
        }
        Ok(())
    }
}

/// The records that can be read from `next` on.
pub(super) fn read_on(
    log: &dyn Log,
    reader: &mut dyn Reader,
    partition: &TopicPartition,
    next: &mut Offset,
) -> Result<Vec<Record>, LogError> {
    let end = log.bounds(std::slice::from_ref(partition), Isolation::Committed)?[0].end;
    let mut all = Vec::new();
    while *next < end {
        let stretch = reader.read(partition, *next, end, Duration::ZERO, usize::MAX)?;
        if stretch.next == *next {
            break;
        }
        *next = stretch.next;
        all.extend(stretch.records);
    }
    Ok(all)
}

pub(super) struct ModelOf<A: Aggregate> {
    codecs: Arc<Codecs<A>>,
    topology: Topology,
}

impl<A: Aggregate> ModelOf<A> {
    pub fn new(registry: &Arc<dyn Registry>, topology: &Topology) -> Result<Self, SchemaError> {
        let codecs = Arc::new(Codecs::new(registry, topology)?);
        codecs.register()?;
        Ok(Self { codecs, topology: topology.clone() })
    }
}

impl<A: Aggregate> Judged for ModelOf<A> {
    fn model(&self) -> Box<dyn Model> {
        let partitions = (0..self.topology.partitions).map(|number| PartitionModel::new(Partition(number))).collect();
        Box::new(Whole { codecs: self.codecs.clone(), topology: self.topology.clone(), partitions })
    }
}

struct Whole<A: Aggregate> {
    codecs: Arc<Codecs<A>>,
    topology: Topology,
    partitions: Vec<PartitionModel<A>>,
}

impl<A: Aggregate> Model for Whole<A> {
    fn check(&mut self, log: &dyn Log, reader: &mut dyn Reader, shared: &mut Shared) -> Result<(), String> {
        for partition in &mut self.partitions {
            let number = partition.partition;
            let failed = |what: String| format!("{}/{number}: {what}", A::NAME);
            partition.check(&self.codecs, &self.topology, log, reader, shared).map_err(failed)?;
        }
        let decode = |value: &[u8]| {
            let reply = self.codecs.replies.decode(value).map_err(|error| error.to_string())?;
            Ok((reply.aggregate_id.to_string(), reply.command_id, reply.outcome))
        };
        shared.read_replies(log, reader, &self.topology.replies().partition(Partition(0)), decode)
    }

    fn settle(&mut self, shared: &mut Shared) -> Result<(), String> {
        let Self { codecs, topology, partitions } = self;
        partitions.iter_mut().try_for_each(|partition| partition.settle(codecs, topology, shared))
    }

    fn counts(&self) -> (u64, u64) {
        let judged = self.partitions.iter().map(|it| it.seen.len() as u64).sum();
        let events = self.partitions.iter().map(|it| it.sequence.0.unsigned_abs()).sum();
        (judged, events)
    }
}

/// The first outcome of a command.
struct Seen {
    schema_id: i32,
    payload_hash: PayloadHash,
    outcome: Outcome,
}

struct PartitionModel<A> {
    partition: Partition,
    instances: BTreeMap<String, (A, Version)>,
    seen: BTreeMap<(String, Uuid), Seen>,
    sequence: Sequence,
    time: Timestamp,
    /// Commands not yet judged.
    commands: VecDeque<Record>,
    commands_next: Offset,
    outcomes_next: Offset,
    /// The command after the last outcomes record.
    judged: Offset,
    events_next: Offset,
    /// Values of events, with their aggregates' ids.
    expected: VecDeque<(String, Bytes)>,
    found: VecDeque<(String, Bytes)>,
}

/// What the model says to one command.
enum Expected {
    /// It was answered before.
    Repeat,
    Outcome(Outcome),
    Conflict,
}

impl<A: Aggregate> PartitionModel<A> {
    const fn new(partition: Partition) -> Self {
        Self {
            partition,
            instances: BTreeMap::new(),
            seen: BTreeMap::new(),
            sequence: Sequence::NONE,
            time: Timestamp::MIN,
            commands: VecDeque::new(),
            commands_next: Offset::ZERO,
            outcomes_next: Offset::ZERO,
            judged: Offset::ZERO,
            events_next: Offset::ZERO,
            expected: VecDeque::new(),
            found: VecDeque::new(),
        }
    }

    fn check(
        &mut self,
        codecs: &Codecs<A>,
        topology: &Topology,
        log: &dyn Log,
        reader: &mut dyn Reader,
        shared: &mut Shared,
    ) -> Result<(), String> {
        let partition = self.partition;
        let mut read = |topic: &Topic, next: &mut Offset| {
            read_on(log, reader, &topic.partition(partition), next).map_err(|error| error.to_string())
        };
        for record in read(&codecs.topics.commands, &mut self.commands_next)? {
            shared.trace.note((A::NAME, "command", record.offset, &record.value));
            shared.command_found(codecs, &record)?;
            self.commands.push_back(record);
        }
        for record in read(&codecs.topics.outcomes, &mut self.outcomes_next)? {
            shared.trace.note((A::NAME, "outcomes", record.offset, &record.value));
            let value = record.value.as_deref().unwrap_or_default();
            let outcomes = codecs.outcomes.decode(value).map_err(|error| error.to_string())?;
            self.outcomes(codecs, topology, outcomes, shared)?;
        }
        for record in read(&codecs.topics.events, &mut self.events_next)? {
            shared.trace.note((A::NAME, "event", record.offset, &record.value));
            self.found.push_back((key_of(&record), record.value.unwrap_or_default()));
        }
        self.compare_events(codecs)
    }

    fn outcomes(
        &mut self,
        codecs: &Codecs<A>,
        topology: &Topology,
        outcomes: Outcomes,
        shared: &mut Shared,
    ) -> Result<(), String> {
        let Outcomes { first_offset, next_offset, sequence, entries } = outcomes;
        if first_offset < self.judged {
            let (judged, first) = (self.judged, first_offset);
            return Err(format!("commands up to offset {judged} are judged, and outcomes begin at {first} again"));
        }
        self.judged = next_offset;
        let mut entries: VecDeque<OutcomeEntry> = entries.into();
        while self.commands.front().is_some_and(|command| command.offset < next_offset) {
            let Some(command) = self.commands.pop_front() else { break };
            let entry = entries.pop_front_if(|entry| entry.offset == command.offset);
            self.compare_outcome(codecs, topology, &command, entry, shared)?;
        }
        if let Some(entry) = entries.front() {
            return Err(format!("an outcome of a command at offset {}, where none is: {entry:?}", entry.offset));
        }
        if sequence != self.sequence {
            return Err(format!("outcomes up to offset {next_offset} say sequence {sequence}, not {}", self.sequence));
        }
        Ok(())
    }

    fn compare_outcome(
        &mut self,
        codecs: &Codecs<A>,
        topology: &Topology,
        command: &Record,
        entry: Option<OutcomeEntry>,
        shared: &mut Shared,
    ) -> Result<(), String> {
        let (offset, id) = (command.offset, key_of(command));
        let value = command.value.as_deref().unwrap_or_default();
        let decoded = codecs.commands.decode(value).map_err(|error| error.to_string())?;
        let Data::User(data) = decoded.data else { return Err(format!("offset {offset}: no command of the domain")) };
        let hash = payload_hash(&value[decoded.payload.clone()], decoded.head.expected_version);
        let time = command.timestamp.max(self.time);
        self.time = time;
        let head = decoded.head;
        let key = (id.clone(), head.id);
        let too_old = |entry: &&OutcomeEntry| {
            matches!(&entry.outcome, Outcome::Failed(failed) if failed.code == Failure::TooOld)
                && command.timestamp.since(head.issued_at) > REMEMBERED
        };
        if let Some(entry) = entry.as_ref().filter(too_old) {
            shared.expect_reply(topology, &head, &id, &entry.outcome);
            return Ok(());
        }
        let expected = match self.seen.get(&key) {
            Some(seen) if seen.schema_id == decoded.schema_id.0 && seen.payload_hash != hash => Expected::Conflict,
            Some(_) => Expected::Repeat,
            None => Expected::Outcome(self.judge(codecs, &id, &head, data, time, shared)?),
        };
        let wrong =
            |expected: &dyn Debug| Err(format!("offset {offset}, {id:?}: expected {expected:?}, found {entry:?}"));
        match (&expected, &entry) {
            (Expected::Repeat, None) => {
                let first = self.seen[&key].outcome.clone();
                shared.expect_reply(topology, &head, &id, &first);
            }
            (Expected::Conflict, Some(found)) if found.about_copy && is_conflict(&found.outcome) => {
                shared.expect_reply(topology, &head, &id, &found.outcome);
            }
            (Expected::Outcome(outcome), Some(found)) if !found.about_copy && found.outcome == *outcome => {
                shared.expect_reply(topology, &head, &id, outcome);
                let (schema_id, outcome) = (decoded.schema_id.0, outcome.clone());
                self.seen.insert(key, Seen { schema_id, payload_hash: hash, outcome });
            }
            (Expected::Outcome(outcome), _) => return wrong(outcome),
            (Expected::Repeat, Some(_)) => return wrong(&"nothing: it repeats a command"),
            (Expected::Conflict, _) => return wrong(&"a conflict"),
        }
        Ok(())
    }

    fn judge(
        &mut self,
        codecs: &Codecs<A>,
        id: &str,
        head: &CommandHead,
        command: A::Command,
        time: Timestamp,
        shared: &mut Shared,
    ) -> Result<Outcome, String> {
        let (state, version) = self.instances.entry(id.to_owned()).or_default();
        let refused = |code: &str, message: String, data| {
            Outcome::Refused(Refused { code: code.to_owned(), message, version: *version, data })
        };
        if let Some(expected) = head.expected_version.filter(|expected| expected != version) {
            let message = format!("{} {id:?} stands at version {version}, not at {expected}", A::NAME);
            return Ok(refused(Refused::VERSION_MISMATCH, message, None));
        }
        let context = Context { id, next_version: version.next(), command_id: head.id, time };
        let decision = match state.decide(command, &context) {
            Ok(decision) => decision,
            Err(refusal) => {
                let data = refusal.data().map(|data| data.to_string());
                return Ok(refused(refusal.code(), refusal.to_string(), data));
            }
        };
        for hand_off in decision.hand_offs() {
            let key = (hand_off.aggregate.to_owned(), hand_off.id.clone(), head.id);
            *shared.hand_offs.entry(key).or_default() += 1;
        }
        for event in decision.events() {
            (*version, self.sequence) = (version.next(), self.sequence.next());
            let (occurred_at, causation_id) = (time, head.id);
            let at = EventHead {
                id: Uuid::nil(),
                version: *version,
                sequence: self.sequence,
                occurred_at,
                causation_id,
                correlation_id: head.correlation_id,
            };
            let value = codecs.events.encode(&at, Data::User(event)).map_err(|error| error.to_string())?;
            self.expected.push_back((id.to_owned(), value));
            state.evolve(event, &EventContext { id, version: *version, occurred_at, causation_id });
        }
        let data = decision.reply_data().and_then(Result::ok).map(ToOwned::to_owned);
        let (partition, sequence) = (self.partition, self.sequence);
        Ok(Outcome::Accepted(Accepted { version: *version, partition, sequence, data }))
    }

    /// Events are compared as they are written, all but the id, which is not the model's to know.
    fn compare_events(&mut self, codecs: &Codecs<A>) -> Result<(), String> {
        let decode = |value: &Bytes| codecs.events.decode(value).map_err(|error| error.to_string());
        while let (Some((expected_id, expected)), Some((id, found))) = (self.expected.front(), self.found.front()) {
            let decoded = decode(found)?;
            let Data::User(event) = &decoded.data else { return Err("no event of the domain".to_owned()) };
            let head = EventHead { id: Uuid::nil(), ..decoded.head.clone() };
            let anew = codecs.events.encode(&head, Data::User(event)).map_err(|error| error.to_string())?;
            if (expected_id, expected) != (id, &anew) {
                let expected = decode(expected)?.head;
                return Err(format!("events: expected one of {expected_id:?}, {expected:?}, found {id:?}, {head:?}"));
            }
            self.expected.pop_front();
            self.found.pop_front();
        }
        Ok(())
    }

    fn settle(&mut self, codecs: &Codecs<A>, topology: &Topology, shared: &mut Shared) -> Result<(), String> {
        while let Some(command) = self.commands.pop_front() {
            self.compare_outcome(codecs, topology, &command, None, shared)?;
        }
        let at = format!("{}/{}", A::NAME, self.partition);
        if let Some((id, _)) = self.expected.front() {
            return Err(format!("{at}: an event of {id:?} is missing"));
        }
        if let Some((id, _)) = self.found.front() {
            return Err(format!("{at}: an event of {id:?} that no command led to"));
        }
        Ok(())
    }
}

impl Shared {
    /// A command that neither a client nor a saga sent was handed on.
    fn command_found<A: Aggregate>(&mut self, codecs: &Codecs<A>, record: &Record) -> Result<(), String> {
        let head = codecs.commands.decode_head(record.value.as_deref().unwrap_or_default());
        let head = head.map_err(|error| error.to_string())?;
        if let Some(cause) = head.causation_id.filter(|_| head.reply_to.is_none()) {
            *self.hand_offs.entry((A::NAME.to_owned(), key_of(record), cause)).or_default() -= 1;
        }
        Ok(())
    }

    fn expect_reply(&mut self, topology: &Topology, head: &CommandHead, id: &str, outcome: &Outcome) {
        let is_client = |topic: &str| topic == topology.replies().as_str();
        if head.reply_to.as_ref().is_some_and(|reply_to| is_client(&reply_to.topic)) {
            *self.replies.entry((id.to_owned(), head.id, format!("{outcome:?}"))).or_default() += 1;
        }
    }
}

fn is_conflict(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failed) if failed.code == Failure::Conflict)
}

fn key_of(record: &Record) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}
