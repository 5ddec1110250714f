//! What a projection can fold besides events: every attempt, with what became of it.
//!
//! An outcome says what became of a command and not what the command was; so each record of the outcomes
//! topic is read together with the commands that it answers, which stand in the same partition of the
//! commands topic. Both are kept equally long; where a command is gone all the same, or could never be
//! read, the attempt comes without it.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::source::{Found, ReadError, ReaderError, RecordReader, Source, Stream, sealed};
use crate::aggregate::Aggregate;
use crate::command::{CommandHead, Control, Outcome, OutcomeEntry, Outcomes};
use crate::event::Recorded;
use crate::log::{Log, LogError, Reader, Record, Topic, TopicPartition};
use crate::position::{Offset, Sequence, Version};
use crate::schema::{Codec, Data, DecodeError, RecordCodec, Registry, SchemaError};
use crate::topology::Topology;

/// How long one read of commands may take before it is tried again.
const WAIT: Duration = Duration::from_secs(5);

/// A projection's source: every command that aggregate `A` was sent, with its outcome, in the order in which
/// they were judged. Accepted, refused and failed ones alike; a repeat that got its first outcome again is no
/// attempt of its own.
///
/// It reaches back as far as commands and outcomes are kept: see
/// [`ATTEMPTS_RETENTION`](Aggregate::ATTEMPTS_RETENTION).
pub struct Attempts<A>(PhantomData<fn() -> A>);

/// A command with what became of it.
///
/// In its [`Recorded`] the id and the causation are the command's, the time is when it was appended, the
/// version is the aggregate's afterwards (0 of one that [failed](Outcome::Failed)), and the offset is that of
/// the outcome. An attempt is named by its partition and the [offset](Self::offset) of its command.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt<C> {
    /// The offset of the command on the commands topic.
    pub offset: Offset,
    /// What was asked; `None` if it cannot be read, or is no longer kept.
    pub command: Option<C>,
    /// What became of it.
    pub outcome: Outcome,
}

impl<A: Aggregate> sealed::Sealed for Attempts<A> {}

impl<A: Aggregate> Source for Attempts<A> {
    type Event = Attempt<A::Command>;

    const STREAM: Stream = Stream::Attempts;

    fn aggregates() -> Vec<&'static str> {
        vec![A::NAME]
    }

    fn readers(
        log: &Arc<dyn Log>,
        registry: &Arc<dyn Registry>,
        topology: &Topology,
    ) -> Result<Vec<RecordReader<Self::Event>>, SchemaError> {
        let topics = topology.aggregate(A::NAME);
        let namespace = format!("{}.{}", topology.app, A::NAME);
        let merge = Merge::<A> {
            commands: Codec::new(registry.clone(), topics.commands.as_str(), &namespace)?,
            outcomes: RecordCodec::new(registry.clone(), topics.outcomes.as_str())?,
            topic: topics.commands,
            log: log.clone(),
            reader: Mutex::new(None),
        };
        Ok(vec![RecordReader::new(move |record| merge.read(record))])
    }
}

/// Reads outcomes together with their commands.
struct Merge<A: Aggregate> {
    commands: Codec<CommandHead, A::Command, Control>,
    outcomes: RecordCodec<Outcomes>,
    topic: Topic,
    log: Arc<dyn Log>,
    /// Opened when it is first needed.
    reader: Mutex<Option<Box<dyn Reader>>>,
}

impl<A: Aggregate> Merge<A> {
    fn read(&self, record: &Record) -> Result<Found<Attempt<A::Command>>, ReaderError> {
        let value = record.value.as_deref();
        let tombstone = || ReadError::Value(DecodeError::Undecodable("the record has no value".to_owned()));
        let outcomes = self.outcomes.decode(value.ok_or_else(tombstone)?).map_err(ReadError::Value)?;
        let wanted = outcomes.entries.iter().map(|entry| entry.offset).collect();
        let commands = self.commands_at(&self.topic.partition(record.partition), wanted);
        let mut commands = commands.map_err(|error| ReaderError::Log(error.to_string()))?;
        let mut attempts = Vec::with_capacity(outcomes.entries.len());
        for entry in outcomes.entries {
            let command = match commands.remove(&entry.offset).map(|command| self.command(&command)).transpose()? {
                // A control of the engine's own is no attempt.
                Some(Asked::Control) => continue,
                Some(Asked::Command(head, command)) => Some((head, command)),
                Some(Asked::Unreadable) | None => None,
            };
            attempts.push(attempt::<A>(record, entry, command));
        }
        Ok(Found::Attempts(outcomes.sequence, attempts))
    }

    fn command(&self, record: &Record) -> Result<Asked<A::Command>, ReadError> {
        match self.commands.decode(record.value.as_deref().unwrap_or_default()) {
            Ok(decoded) => Ok(match decoded.data {
                Data::User(command) => Asked::Command(decoded.head, command),
                Data::Engine(_) => Asked::Control,
            }),
            Err(error) if error.is_temporary() => Err(ReadError::Value(error)),
            Err(_) => Ok(Asked::Unreadable),
        }
    }

    /// The commands at these offsets, as far as they are there.
    fn commands_at(
        &self,
        place: &TopicPartition,
        mut wanted: Vec<Offset>,
    ) -> Result<BTreeMap<Offset, Record>, LogError> {
        wanted.sort_unstable();
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match &mut *reader {
            Some(reader) => reader,
            none => none.insert(self.log.reader()?),
        };
        let (mut found, mut rest) = (BTreeMap::new(), wanted.as_slice());
        while let [first, ..] = rest {
            let until = rest[rest.len() - 1].next();
            // A stretch ends after as many records as are wanted; what is far behind it is jumped to.
            let read_to = match reader.read(place, *first, until, WAIT, rest.len()) {
                Ok(stretch) if stretch.next > *first => {
                    let wanted =
                        stretch.records.into_iter().filter(|record| rest.binary_search(&record.offset).is_ok());
                    found.extend(wanted.map(|record| (record.offset, record)));
                    stretch.next
                }
                Ok(_) => return Err(LogError::Unavailable(format!("{place}: nothing to read at offset {first} yet"))),
                Err(LogError::OutOfRange { low, .. }) if low > *first => low,
                Err(LogError::OutOfRange { .. }) => until,
                Err(error) => return Err(error),
            };
            rest = &rest[rest.partition_point(|offset| *offset < read_to)..];
        }
        Ok(found)
    }
}

/// What stands on a commands topic.
enum Asked<C> {
    Command(CommandHead, C),
    Control,
    Unreadable,
}

fn attempt<A: Aggregate>(
    record: &Record,
    entry: OutcomeEntry,
    command: Option<(CommandHead, A::Command)>,
) -> Recorded<Attempt<A::Command>> {
    let (head, command) = command.unzip();
    let (version, sequence) = match &entry.outcome {
        Outcome::Accepted(accepted) => (accepted.version, accepted.sequence),
        Outcome::Refused(refused) => (refused.version, Sequence::NONE),
        Outcome::Failed(_) => (Version::NONE, Sequence::NONE),
    };
    Recorded {
        aggregate: A::NAME,
        aggregate_id: entry.aggregate_id.to_string(),
        id: entry.command_id,
        version,
        partition: record.partition,
        sequence,
        offset: record.offset,
        occurred_at: entry.appended_at,
        causation_id: entry.command_id,
        correlation_id: head.map_or(entry.command_id, |head: CommandHead| head.correlation_id),
        data: Attempt { offset: entry.offset, command, outcome: entry.outcome },
    }
}
