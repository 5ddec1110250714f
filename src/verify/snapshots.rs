//! Snapshots and the checkpoint of one partition, compared with the full fold as it passes them.
//!
//! Of each aggregate the last snapshot counts, and of the checkpoints the last: they are what a restore
//! starts from.

use hashbrown::HashMap;
use serde_json::Value;

use super::fold::{Fold, Folded};
use super::report::{AggregateCounts, Findings, Place, Rule};
use crate::aggregate::{Aggregate, Codecs};
use crate::command::OutcomeEntry;
use crate::event::{Checkpoint, SnapshotControl, SnapshotHead};
use crate::log::{Record, TopicPartition};
use crate::position::{Offset, Sequence, Version};
use crate::schema::{Data, DecodeError};
use crate::topology::partition_of;

/// A snapshot.
struct Taken {
    version: Version,
    sequence: Sequence,
    offset: Offset,
    /// The state as JSON text, until it was compared.
    state: Option<Box<str>>,
}

/// A checkpoint with where it stands.
struct Promise {
    offset: Offset,
    sequence: Sequence,
    checkpoint: Checkpoint,
    /// Whether its events offset was compared with the fold.
    passed: bool,
    /// Whether its commands offset was compared with the outcomes.
    judged: bool,
}

/// What a restore of one partition would start from.
pub(super) struct Snapshots {
    place: TopicPartition,
    partitions: i32,
    taken: HashMap<Box<str>, Taken>,
    promise: Option<Promise>,
    /// Snapshots that a restore would not use; it would then use none.
    unused: u64,
}

impl Snapshots {
    pub fn new(place: TopicPartition, partitions: i32) -> Self {
        Self { place, partitions, taken: HashMap::new(), promise: None, unused: 0 }
    }

    /// One more record of the snapshots topic. `Err` if the registry is away.
    pub fn take<A: Aggregate>(
        &mut self,
        record: &Record,
        codecs: &Codecs<A>,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let (Some(key), Some(value)) = (&record.key, &record.value) else { return Ok(()) };
        let decoded = match codecs.snapshots.decode(value) {
            Ok(decoded) => decoded,
            Err(DecodeError::RegistryAway(reason)) => return Err(reason),
            Err(_) => {
                self.unused += 1;
                return Ok(());
            }
        };
        if decoded.head.state != A::STATE {
            self.unused += 1;
            return Ok(());
        }
        let id = String::from_utf8_lossy(key);
        match decoded.data {
            Data::Engine(SnapshotControl::Checkpoint(checkpoint)) => {
                let (offset, sequence) = (record.offset, decoded.head.sequence);
                self.promise = Some(Promise { offset, sequence, checkpoint, passed: false, judged: false });
            }
            Data::User(state) => self.snapshot(&id, record.offset, &decoded.head, &state, findings),
        }
        Ok(())
    }

    fn snapshot<A: Aggregate>(
        &mut self,
        id: &str,
        offset: Offset,
        head: &SnapshotHead,
        state: &A,
        findings: &mut Findings,
    ) {
        let place = || Place::record(&self.place, offset, Some(id));
        if head.partition != self.place.partition || partition_of(id.as_bytes(), self.partitions) != head.partition {
            let what =
                format!("it says partition {}, its key belongs elsewhere, or it stands elsewhere", head.partition);
            findings.add(Rule::Records, place(), what);
        }
        let state = match as_json(state) {
            Ok(state) => Some(state.to_string().into()),
            Err(reason) => {
                findings.add(Rule::Snapshots, place(), reason);
                None
            }
        };
        let taken = Taken { version: head.version, sequence: head.sequence, offset, state };
        self.taken.insert(id.into(), taken);
    }

    /// The fold has reached this version of an aggregate.
    pub fn folded<A: Aggregate>(&mut self, id: &str, folded: &Folded<A>, findings: &mut Findings) {
        let Some(taken) = self.taken.get_mut(id).filter(|taken| taken.version == folded.version) else { return };
        let (Some(text), Some(state)) = (taken.state.take(), &folded.state) else { return };
        let place = || Place::record(&self.place, taken.offset, Some(id));
        if taken.sequence != folded.sequence {
            let what = format!(
                "the snapshot of version {} says sequence {}; that version has {}",
                taken.version, taken.sequence, folded.sequence
            );
            findings.add(Rule::Snapshots, place(), what);
        }
        let difference = match (as_json(state), serde_json::from_str::<Value>(&text)) {
            (Ok(fold), Ok(snapshot)) => difference("", &snapshot, &fold),
            (Err(reason), _) => Some(reason),
            (_, Err(error)) => Some(error.to_string()),
        };
        if let Some(difference) = difference {
            let what = format!("the snapshot of version {} is not the fold of its events: {difference}", taken.version);
            findings.add(Rule::Snapshots, place(), what);
        }
    }

    /// Called before the event at `next` is folded, and at the end: holds the checkpoint to what it says of
    /// the events before it.
    pub fn before_event<A: Aggregate>(&mut self, next: Option<Offset>, fold: &Fold<A>, findings: &mut Findings) {
        let Some(promise) = self.promise.as_mut().filter(|it| !it.passed) else { return };
        let w = promise.checkpoint.events_offset;
        if next.is_some_and(|next| next < w) {
            return;
        }
        promise.passed = true;
        if self.unused > 0 {
            return;
        }
        let place = || Place::record(&self.place, promise.offset, None);
        let said = promise.checkpoint.sequence;
        if said != fold.sequence() || promise.sequence != said {
            let what = format!(
                "the checkpoint covers the events before offset {w} and says they end at sequence {said}; they end at {}",
                fold.sequence()
            );
            findings.add(Rule::Checkpoints, place(), what);
        }
        for (id, folded) in fold.iter() {
            let covered = self.taken.get(id).map_or(Version::NONE, |taken| taken.version);
            if covered < folded.version {
                let what = format!(
                    "the checkpoint covers version {} of it (events before offset {w}), and its snapshot is of version {covered}",
                    folded.version
                );
                findings.add(Rule::Checkpoints, Place::record(&self.place, promise.offset, Some(id)), what);
            }
        }
    }

    /// Called before the outcome of the command at `next` is compared, and at the end: holds the
    /// checkpoint to what it says of the commands before it. `sequence` is the partition's after the
    /// last outcome before, where that is known.
    pub fn before_outcome(&mut self, next: Option<Offset>, sequence: Option<Sequence>, findings: &mut Findings) {
        let Some(promise) = self.promise.as_mut().filter(|it| !it.judged) else { return };
        let Checkpoint { commands_offset, sequence: said, .. } = promise.checkpoint;
        if next.is_some_and(|next| next < commands_offset) {
            return;
        }
        promise.judged = true;
        if let Some(sequence) = sequence.filter(|sequence| *sequence != said) {
            let what = format!(
                "the checkpoint says that the commands before offset {commands_offset} led to sequence {said}; they led to {sequence}"
            );
            findings.add(Rule::Checkpoints, Place::record(&self.place, promise.offset, None), what);
        }
    }

    /// An outcome in the record at `record`: what a restore from this checkpoint would not read again must
    /// be older than what the checkpoint says is forgotten, or its command could be judged twice.
    pub fn outcome(&self, record: Offset, entry: &OutcomeEntry, findings: &mut Findings) {
        let Some(promise) = &self.promise else { return };
        let Checkpoint { outcomes_offset, forgotten, .. } = promise.checkpoint;
        if record < outcomes_offset && !entry.about_copy && entry.appended_at > forgotten {
            let what = format!(
                "the checkpoint remembers outcomes from offset {outcomes_offset} and what was appended after {forgotten}; \
                 the outcome of command {} at {record} is of {}: it could be judged twice",
                entry.command_id, entry.appended_at
            );
            findings.add(
                Rule::Checkpoints,
                Place::record(&self.place, promise.offset, Some(&entry.aggregate_id)),
                what,
            );
        }
    }

    /// The ends of the other topics, and all that was folded.
    pub fn finish<A: Aggregate>(
        &self,
        ends: &Ends,
        fold: &Fold<A>,
        counts: &mut AggregateCounts,
        findings: &mut Findings,
    ) {
        for (id, taken) in &self.taken {
            let version = fold.version(id);
            if taken.version > version {
                let what = format!("a snapshot of version {}, and its events end at {version}", taken.version);
                findings.add(Rule::Snapshots, Place::record(&self.place, taken.offset, Some(id)), what);
            }
            if taken.state.is_none() {
                counts.snapshots += 1;
            }
        }
        counts.snapshots_unused += self.unused;
        let Some(promise) = &self.promise else { return };
        counts.checkpoints += 1;
        let cp = &promise.checkpoint;
        for (what, said, end) in [
            ("events", cp.events_offset, ends.events),
            ("commands", cp.commands_offset, ends.commands),
            ("outcomes", cp.outcomes_offset, ends.outcomes),
        ] {
            if said > end {
                let what = format!("the checkpoint names {what} offset {said}, and there are none from {end} on");
                findings.add(Rule::Checkpoints, Place::record(&self.place, promise.offset, None), what);
            }
        }
    }
}

/// One past the last event, judged command and outcomes record that a checkpoint may speak of.
pub(super) struct Ends {
    pub events: Offset,
    pub commands: Offset,
    pub outcomes: Offset,
}

fn as_json<A: Aggregate>(state: &A) -> Result<Value, String> {
    serde_json::to_value(state).map_err(|error| format!("its state cannot be compared: {error}"))
}

/// The first field in which two states differ.
fn difference(path: &str, snapshot: &Value, fold: &Value) -> Option<String> {
    const SHOWN_CHARS: usize = 80;
    let show = |value: Option<&Value>| {
        value.map_or_else(|| "nothing".to_owned(), |it| shortened(&it.to_string(), SHOWN_CHARS))
    };
    match (snapshot, fold) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            keys.into_iter().find_map(|key| match (left.get(key), right.get(key)) {
                (Some(left), Some(right)) => difference(&format!("{path}/{key}"), left, right),
                (left, right) => {
                    Some(format!("{path}/{key} is {} in the snapshot, {} in the fold", show(left), show(right)))
                }
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let mut both = left.iter().zip(right).enumerate();
            both.find_map(|(index, (left, right))| difference(&format!("{path}/{index}"), left, right))
        }
        _ if snapshot == fold => None,
        _ => Some(format!("{path} is {} in the snapshot, {} in the fold", show(Some(snapshot)), show(Some(fold)))),
    }
}

fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
