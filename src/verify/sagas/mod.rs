//! The audit of a saga: each instance is given again what its inbox holds, and must issue the commands that
//! are in the log, no other and none twice, and be as far as its record says.
//!
//! What a saga does by itself, without an input, is told by the commands: a step that was issued anew by the id of
//! its next attempt, a deadline by what followed from it. Where nothing tells, both are tried.
//!
//! Instances that began before the first record that is still held are counted, and not looked at.
//!
//! Memory: the ids of all commands of the saga that are held, and the open instances of one partition.

mod issued;
mod replay;

use hashbrown::HashMap;

use super::report::{Findings, Place, Rule, SagaCounts};
use super::{Scope, VerifyError};
use crate::clock::Timestamp;
use crate::command::{InboxData, InboxInput};
use crate::log::{Isolation, RangeReader, Record, TopicPartition};
use crate::position::{Offset, Partition};
use crate::saga::{Routed, Saga, SagaCodecs, StateHead};
use crate::schema::DecodeError;
pub use issued::CommandHeads;
use issued::Issued;
use replay::Replay;

/// Audits every partition of a saga, one after the other. Blocks.
pub fn saga<S: Saga>(
    scope: &Scope<'_>,
    codecs: &SagaCodecs<S>,
    commands: &dyn CommandHeads,
    findings: &mut Findings,
) -> Result<SagaCounts, VerifyError> {
    let mut counts = SagaCounts { saga: S::NAME, ..SagaCounts::default() };
    let partitions = || (0..scope.topology.partitions).map(Partition);
    let inboxes: Vec<TopicPartition> = partitions().map(|number| codecs.topics.inbox.partition(number)).collect();
    // What was taken in first, then the ends of the commands, then the instances, then everything: what follows
    // from a record is then within what is asked for after it.
    let committed = scope.log.committed(&scope.topology.saga_group(S::NAME), &inboxes)?;
    let early = issued::ends(scope, commands)?;
    let states = partitions().map(|number| heads(scope, codecs, codecs.topics.state.partition(number)));
    let states = states.collect::<Result<Vec<_>, _>>()?;
    let inputs = inboxes.iter().map(|inbox| inputs(scope, codecs, inbox, findings));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let mut issued = Issued::read(scope, commands, codecs.topics.inbox.as_str(), &early, findings)?;
    counts.commands = issued.len();
    for (((place, committed), heads), (inputs, low)) in inboxes.iter().zip(committed).zip(states).zip(inputs) {
        let horizon = issued.horizon().max(low);
        let committed = committed.map_or(Offset::ZERO, |it| it.offset);
        let audit = PartitionAudit { codecs, place, committed, horizon, heads, instances: HashMap::new() };
        audit.run(inputs, &mut issued, &mut counts, findings);
    }
    issued.report_the_rest(S::NAME, findings);
    Ok(counts)
}

/// What each instance of a partition says of itself.
fn heads<S: Saga>(
    scope: &Scope<'_>,
    codecs: &SagaCodecs<S>,
    state: TopicPartition,
) -> Result<HashMap<String, StateHead>, VerifyError> {
    let mut heads = HashMap::new();
    for record in read(scope, state)?.0 {
        let Some(id) = id_of(&record).filter(|id| !id.starts_with(Routed::KEY)) else { continue };
        match record.value.as_deref().map(|value| codecs.state.decode_head(value)) {
            Some(Ok(head)) => drop(heads.insert(id.to_owned(), head)),
            Some(Err(DecodeError::RegistryAway(reason))) => return Err(VerifyError::RegistryAway(reason)),
            Some(Err(_)) | None => drop(heads.remove(id)),
        }
    }
    Ok(heads)
}

type Inputs = Vec<(Record, InboxInput)>;

/// What stands in an inbox, and the time of its first record if something before it is gone.
fn inputs<S: Saga>(
    scope: &Scope<'_>,
    codecs: &SagaCodecs<S>,
    inbox: &TopicPartition,
    findings: &mut Findings,
) -> Result<(Inputs, Option<Timestamp>), VerifyError> {
    let (records, is_cut) = read(scope, inbox.clone())?;
    let low = records.first().filter(|_| is_cut).map(|record| record.timestamp);
    let mut inputs = Vec::with_capacity(records.len());
    for mut record in records {
        let Some(value) = record.value.take() else { continue };
        match codecs.inbox.decode(&value) {
            Ok(input) => inputs.push((record, input)),
            Err(DecodeError::RegistryAway(reason)) => return Err(VerifyError::RegistryAway(reason)),
            // Foreign records are set aside by the worker, as its dead letters.
            Err(DecodeError::WrongEnvelope { .. }) => {}
            Err(error) => {
                let place = Place::record(inbox, record.offset, None);
                findings.add(Rule::Records, place, format!("this input cannot be read: {error}"));
            }
        }
    }
    Ok((inputs, low))
}

/// All records of a partition, and whether earlier ones are gone.
fn read(scope: &Scope<'_>, place: TopicPartition) -> Result<(Vec<Record>, bool), VerifyError> {
    let bounds = scope.log.bounds(std::slice::from_ref(&place), Isolation::Uncommitted)?[0];
    let (mut reader, mut records) = (scope.log.reader()?, Vec::new());
    let mut range = RangeReader::between(place, bounds.low, bounds.end, scope.stall);
    while let Some(more) = range.step(scope.log, reader.as_mut())? {
        (scope.progress)(u64::try_from(more.len()).unwrap_or(0));
        records.extend(more);
    }
    Ok((records, bounds.low > Offset::ZERO))
}

fn id_of(record: &Record) -> Option<&str> {
    std::str::from_utf8(record.key.as_deref()?).ok()
}

struct PartitionAudit<'a, S: Saga> {
    codecs: &'a SagaCodecs<S>,
    place: &'a TopicPartition,
    /// The next input that the group has to take in.
    committed: Offset,
    /// Instances that began before it are not looked at.
    horizon: Option<Timestamp>,
    heads: HashMap<String, StateHead>,
    /// What each may have come to.
    instances: HashMap<String, Instance<S>>,
}

struct Instance<S: Saga> {
    first: Offset,
    ways: Vec<Replay<S>>,
}

/// How many ways are followed in which an instance may have come to where it is.
const MOST_WAYS: usize = 16;

impl<S: Saga> PartitionAudit<'_, S> {
    fn run(mut self, inputs: Inputs, issued: &mut Issued, counts: &mut SagaCounts, findings: &mut Findings) {
        let mut time = Timestamp::MIN;
        for (record, input) in inputs {
            time = time.max(record.timestamp);
            let Some(id) = id_of(&record).map(ToOwned::to_owned) else { continue };
            let taken_in = self.heads.get(&id).map_or(Offset::ZERO, |head| head.input_offset.next());
            if record.offset >= self.committed.max(taken_in) {
                counts.pending += 1;
                continue;
            }
            counts.inputs += 1;
            if self.is_beyond(&id, &record) {
                issued.excuse(&id);
                continue;
            }
            self.take(id, &record, &input, time, issued, findings);
        }
        for (id, instance) in std::mem::take(&mut self.instances) {
            self.conclude(&id, instance, issued, counts, findings);
        }
        if let Some(horizon) = self.horizon {
            for (id, _) in self.heads.iter().filter(|(_, head)| head.started_at <= horizon) {
                issued.excuse(id);
                counts.beyond_retention += 1;
            }
        }
    }

    /// Whether it may have begun before what is held: nothing can be said of it then, nor of its commands.
    fn is_beyond(&self, id: &str, record: &Record) -> bool {
        let Some(horizon) = self.horizon else { return false };
        let began = self.heads.get(id).map_or(record.timestamp, |head| head.started_at);
        began <= horizon
    }

    fn take(
        &mut self,
        id: String,
        record: &Record,
        input: &InboxInput,
        time: Timestamp,
        issued: &Issued,
        findings: &mut Findings,
    ) {
        let is_event = matches!(input.data, InboxData::EventInput(_));
        if !self.instances.contains_key(&id) && !is_event {
            return;
        }
        let fresh = || Instance { first: record.offset, ways: vec![Replay::new(id.as_str())] };
        let instance = self.instances.entry(id.clone()).or_insert_with(fresh);
        let was_told: Vec<_> = instance.ways.iter().filter_map(Replay::after_deadline).collect();
        instance.ways.extend(was_told);
        for way in &mut instance.ways {
            if let Err(reason) = way.take(self.codecs, record, input, time, issued) {
                let place = Place::record(self.place, record.offset, None);
                findings.add(Rule::Sagas, place, format!("instance {id:?} cannot take this in: {reason}"));
            }
        }
        prune(&mut instance.ways, issued);
    }

    /// What an instance came to is compared with what it says of itself and with what it issued.
    fn conclude(
        &self,
        id: &str,
        Instance { first, mut ways }: Instance<S>,
        issued: &mut Issued,
        counts: &mut SagaCounts,
        findings: &mut Findings,
    ) {
        let was_told: Vec<_> = ways.iter().filter_map(Replay::after_deadline).collect();
        ways.extend(was_told);
        let head = self.heads.get(id);
        let fits =
            |way: &Replay<S>| (way.differs_from(head).is_some(), way.missing(issued).count(), way.foreign(issued));
        let Some(way) = ways.iter().min_by_key(|way| fits(way)) else { return };
        if way.is_untouched() && head.is_none() {
            return;
        }
        counts.instances += 1;
        counts.open += u64::from(!way.has_ended());
        let place = Place::record(self.place, first, None);
        if let Some(wrong) = way.differs_from(head) {
            findings.add(Rule::Sagas, place.clone(), format!("instance {id:?}, begun by this input, {wrong}"));
        }
        for step in way.missing(issued) {
            let wrong =
                format!("instance {id:?}, begun by this input, is to have issued {step}, which is not in the log");
            findings.add(Rule::Sagas, place.clone(), wrong);
        }
        way.claim(issued);
    }
}

/// Ways that led to commands which were never issued were not gone; if none is left, all are kept, so that it
/// is told.
fn prune<S: Saga>(ways: &mut Vec<Replay<S>>, issued: &Issued) {
    if ways.iter().any(|way| way.missing(issued).next().is_none()) {
        ways.retain(|way| way.missing(issued).next().is_none());
    }
    ways.truncate(MOST_WAYS);
}
