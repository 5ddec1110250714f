//! Reading outside of any group: following partitions, and reading stretches of one after another.
//!
//! Two librdkafka consumers, each made when first needed, since the two ways want different waits. Both
//! assign partitions themselves and never join the group whose name librdkafka asks for.
//!
//! librdkafka's position does not move past transaction markers and aborted records, which are never
//! delivered, and the end-of-partition event names no offset. What was passed is known by this rule: a
//! last stable offset asked for *before* a fetch position was taken lies behind it once the end of the
//! partition is reported *after*. So a stretch that ends without a record is proven by asking for the last
//! stable offset, taking the position anew and waiting for the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::config::Configs;
use super::context::Plain;
use super::error::{code_of, is_missing, is_temporary, log_error};
use super::inquiry::Inquiry;
use super::record::{Cursors, positions, record};
use crate::clock;
use crate::log::{Isolation, LogError, Reader, Record, Stretch, TopicPartition};
use crate::position::Offset;

/// Reads without a group.
pub(super) struct KafkaReader {
    configs: Configs,
    inquiry: Arc<Inquiry>,
    follower: Option<Follower>,
    range: Option<Range>,
}

struct Follower {
    consumer: BaseConsumer<Plain>,
    cursors: Cursors<Offset>,
    /// Met while records were on their way, to be told by the next poll.
    failure: Option<LogError>,
}

struct Range {
    consumer: BaseConsumer<Plain>,
    place: Option<Place>,
}

/// Where a range consumer is.
struct Place {
    partition: TopicPartition,
    /// The next offset to give.
    next: Offset,
    /// The last stable offset, asked for before the position was taken.
    stable: Offset,
    /// The end of the partition was reported, and no record since.
    is_at_end: bool,
    /// Read beyond the end of the last stretch.
    held: Option<Record>,
}

impl KafkaReader {
    pub(super) fn new(configs: &Configs, inquiry: Arc<Inquiry>) -> Self {
        Self { configs: configs.clone(), inquiry, follower: None, range: None }
    }

    fn range(&mut self) -> Result<&mut Range, LogError> {
        if self.range.is_none() {
            let created = self.configs.range_reader().create_with_context(Plain::default());
            let consumer = created.map_err(|error| log_error("making a Kafka consumer", &error, None))?;
            self.range = Some(Range { consumer, place: None });
        }
        Ok(self.range.as_mut().expect("made above"))
    }

    fn follower(&mut self) -> Result<&mut Follower, LogError> {
        if self.follower.is_none() {
            let created = self.configs.follower().create_with_context(Plain::default());
            let consumer = created.map_err(|error| log_error("making a Kafka consumer", &error, None))?;
            self.follower = Some(Follower { consumer, cursors: Cursors::default(), failure: None });
        }
        Ok(self.follower.as_mut().expect("made above"))
    }
}

/// Waits for the first record only, and for whole milliseconds: of the rest of one librdkafka makes none, and a
/// loop until the deadline would be a busy one.
pub(super) fn patience(records: &[Record], deadline: Instant) -> Duration {
    if !records.is_empty() {
        return Duration::ZERO;
    }
    let left = deadline.saturating_duration_since(clock::instant());
    Duration::from_millis(u64::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
}

/// Ends fetching, so that what nobody reads is not held in memory.
fn stop(consumer: &BaseConsumer<Plain>) -> Result<(), LogError> {
    consumer
        .assign(&TopicPartitionList::new())
        .map_err(|error| log_error("ending the reading of partitions", &error, None))
}

/// What an error met by a consumer means; `None` if the consumer goes on by itself.
fn judge<'a>(
    error: &KafkaError,
    consumer: &BaseConsumer<Plain>,
    cursors: impl Iterator<Item = (&'a TopicPartition, Offset)>,
    inquiry: &Inquiry,
) -> Option<LogError> {
    let reason = consumer.context().voice.last_error().unwrap_or_default();
    match code_of(error)? {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => {
            for (partition, offset) in cursors {
                match check_bounds(partition, offset, inquiry) {
                    Ok(_) => {}
                    Err(error) => return Some(error),
                }
            }
            Some(LogError::Fatal(reason))
        }
        code if is_missing(code) => Some(LogError::Missing(reason)),
        // librdkafka reconnects by itself; a group that it may not look up is never joined.
        Code::GroupAuthorizationFailed | Code::PartitionEOF => None,
        code if is_temporary(code) => None,
        _ => Some(log_error(&reason, error, None)),
    }
}

/// The last stable offset, if `offset` is one that can be read from.
fn check_bounds(partition: &TopicPartition, offset: Offset, inquiry: &Inquiry) -> Result<Offset, LogError> {
    let one = std::slice::from_ref(partition);
    let stable = inquiry.bounds(one, Isolation::Committed)?[0];
    if offset >= stable.low && offset <= stable.end {
        return Ok(stable.end);
    }
    let all = inquiry.bounds(one, Isolation::Uncommitted)?[0];
    if offset >= all.low && offset <= all.end {
        return Ok(stable.end);
    }
    Err(LogError::OutOfRange { partition: partition.clone(), offset, low: all.low, end: all.end })
}

impl Range {
    /// Takes a position, unless it is the one already held.
    fn go_to(&mut self, partition: &TopicPartition, from: Offset, inquiry: &Inquiry) -> Result<(), LogError> {
        if let Some(place) = &self.place
            && place.partition == *partition
            && place.next == from
        {
            if !place.is_at_end {
                return Ok(());
            }
            let one = std::slice::from_ref(partition);
            if inquiry.bounds(one, Isolation::Committed)?[0].end <= from {
                return Ok(());
            }
        }
        self.place = None;
        let stable = check_bounds(partition, from, inquiry)?;
        let list = positions(&[(partition.clone(), from)])?;
        self.consumer
            .assign(&list)
            .map_err(|error| log_error(&format!("reading {partition} from {from}"), &error, None))?;
        self.place = Some(Place { partition: partition.clone(), next: from, stable, is_at_end: false, held: None });
        Ok(())
    }

    fn read(&mut self, until: Offset, deadline: Instant, max: usize, inquiry: &Inquiry) -> Result<Stretch, LogError> {
        let Some(place) = &mut self.place else {
            return Err(LogError::Fatal("no position was taken to read from".to_owned()));
        };
        let from = place.next;
        let mut records = Vec::new();
        if let Some(held) = place.held.take() {
            place.take(held, until, &mut records);
        }
        while records.len() < max && place.next < until {
            let patience = patience(&records, deadline);
            match self.consumer.poll(patience) {
                Some(Ok(message)) if place.is_here(&message) => {
                    let record = record(&place.partition, &message);
                    place.take(record, until, &mut records);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    place.is_at_end = true;
                    place.next = place.next.max(place.stable.min(until));
                    if place.next > from {
                        break;
                    }
                }
                Some(Err(error)) => {
                    let here = std::iter::once((&place.partition, place.next));
                    if let Some(failure) = judge(&error, &self.consumer, here, inquiry) {
                        self.place = None;
                        return Err(failure);
                    }
                }
                None if !records.is_empty() => break,
                Some(Ok(_)) | None => {}
            }
            if records.is_empty() && clock::instant() >= deadline {
                break;
            }
        }
        Ok(Stretch { records, next: place.next })
    }

    /// Ends fetching once all was read that was there: what is appended later would only fill memory.
    /// Before that it goes on, for the next stretch.
    fn rest(&mut self, until: Offset) -> Result<(), LogError> {
        let has_all = |place: &Place| place.next >= until && until >= place.stable && place.held.is_none();
        if self.place.as_ref().is_some_and(has_all) {
            self.place = None;
            stop(&self.consumer)?;
        }
        Ok(())
    }
}

impl Place {
    fn is_here(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> bool {
        use rdkafka::Message;
        // A leftover of the partition read before is outdated inside librdkafka; this makes sure of it.
        message.offset() >= self.next.0
            && message.partition() == self.partition.partition.0
            && message.topic() == self.partition.topic.as_str()
    }

    fn take(&mut self, record: Record, until: Offset, records: &mut Vec<Record>) {
        self.is_at_end = false;
        if record.offset < until {
            self.next = record.offset.next();
            records.push(record);
        } else {
            self.next = until;
            self.held = Some(record);
        }
    }
}

impl Reader for KafkaReader {
    fn follow(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        if let Some(range) = &mut self.range {
            range.place = None;
            stop(&range.consumer)?;
        }
        let list = positions(from)?;
        let follower = self.follower()?;
        follower.cursors = Cursors::default();
        follower.failure = None;
        follower.consumer.assign(&list).map_err(|error| log_error("following partitions", &error, None))?;
        for (partition, offset) in from {
            follower.cursors.set(partition, *offset);
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Record>, LogError> {
        let deadline = clock::instant() + wait;
        let inquiry = Arc::clone(&self.inquiry);
        let follower = self.follower()?;
        if let Some(failure) = follower.failure.take() {
            return Err(failure);
        }
        let mut records = Vec::new();
        while records.len() < max {
            let patience = patience(&records, deadline);
            match follower.consumer.poll(patience) {
                Some(Ok(message)) => {
                    use rdkafka::Message;
                    if let Some((partition, next)) = follower.cursors.of_message(&message)
                        && message.offset() >= next.0
                    {
                        *next = Offset(message.offset()).next();
                        records.push(record(partition, &message));
                    }
                }
                Some(Err(error)) => {
                    let cursors = follower.cursors.iter().map(|(partition, next)| (partition, *next));
                    match judge(&error, &follower.consumer, cursors, &inquiry) {
                        Some(failure) if records.is_empty() => return Err(failure),
                        Some(failure) => {
                            follower.failure = Some(failure);
                            break;
                        }
                        None => {}
                    }
                }
                None if !records.is_empty() => break,
                None => {}
            }
            if records.is_empty() && clock::instant() >= deadline {
                break;
            }
        }
        Ok(records)
    }

    fn read(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        until: Offset,
        wait: Duration,
        max: usize,
    ) -> Result<Stretch, LogError> {
        if from >= until {
            return Ok(Stretch { records: Vec::new(), next: from });
        }
        if let Some(follower) = &mut self.follower
            && !follower.cursors.is_empty()
        {
            follower.cursors = Cursors::default();
            stop(&follower.consumer)?;
        }
        let deadline = clock::instant() + wait;
        let inquiry = Arc::clone(&self.inquiry);
        let range = self.range()?;
        range.go_to(partition, from, &inquiry)?;
        let stretch = range.read(until, deadline, max, &inquiry)?;
        range.rest(until)?;
        Ok(stretch)
    }
}
