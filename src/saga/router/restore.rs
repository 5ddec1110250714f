//! Where a router goes on: what its group committed says it, and if that has expired, what it wrote beside
//! the instances.

use super::super::codecs::SagaCodecs;
use super::super::error::PartitionError;
use super::super::records::{Routed, StateControl};
use super::Place;
use crate::lane::{Committed, Progress, Step, Tools};
use crate::log::{LogError, RangeReader, Record, Topic};
use crate::position::{Offset, Partition, Sequence};
use crate::saga::Saga;
use crate::schema::{Data, DecodeError};

/// A restore under way.
pub(super) struct Restore {
    partition: Partition,
    stage: Stage,
}

enum Stage {
    Known(Place),
    /// The group has no offset: it is new, or it was idle for long.
    Unknown,
    /// Reads the state topic for the router's own record.
    Reading(RangeReader, Option<Place>),
}

impl Restore {
    pub fn begin(partition: Partition, committed: Option<Committed>, before: Option<Place>) -> Self {
        let known = committed.map(|committed| {
            let sequence = committed.note.and_then(|note| note.parse().ok()).map(Sequence);
            Place { next_offset: committed.offset, sequence }
        });
        let stage = known.or(before).map_or(Stage::Unknown, Stage::Known);
        Self { partition, stage }
    }

    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Known(_) | Stage::Unknown => "begins".into(),
            Stage::Reading(range, _) => Progress::reading("looks for its place among the instances", range),
        }
    }

    pub fn step<S: Saga>(
        self,
        codecs: &SagaCodecs<S>,
        aggregate: &str,
        events: &Topic,
        tools: &mut Tools<'_>,
    ) -> Result<Step<Self, Place>, PartitionError> {
        let Self { partition, stage } = self;
        let stage = match stage {
            Stage::Known(place) => return Ok(Step::Done(place)),
            Stage::Unknown => {
                let state = codecs.topics.state.partition(partition);
                Stage::Reading(tools.range(state, Offset::ZERO)?.0, None)
            }
            Stage::Reading(mut range, mut found) => {
                let Some(records) = tools.read(&mut range)? else {
                    let low = tools.low(&events.partition(partition))?;
                    let from_the_first = Place { next_offset: low, sequence: Some(Sequence::NONE) };
                    return Ok(Step::Done(found.unwrap_or(from_the_first)));
                };
                let key = format!("{}{aggregate}", Routed::KEY);
                for record in records.iter().filter(|it| it.key.as_deref() == Some(key.as_bytes())) {
                    found = place(codecs, record)?;
                }
                Stage::Reading(range, found)
            }
        };
        Ok(Step::More(Self { partition, stage }))
    }
}

fn place<S: Saga>(codecs: &SagaCodecs<S>, record: &Record) -> Result<Option<Place>, PartitionError> {
    let Some(value) = &record.value else { return Ok(None) };
    let decoded = codecs.state.decode(value).map_err(|error| match error {
        DecodeError::RegistryAway(reason) => LogError::Unavailable(reason).into(),
        other => PartitionError::Unreadable {
            partition: record.topic.partition(record.partition),
            what: "the router's place",
            offset: record.offset,
            reason: other.to_string(),
        },
    })?;
    Ok(match decoded.data {
        Data::Engine(StateControl::Routed(Routed { next_offset, sequence, .. })) => {
            Some(Place { next_offset, sequence: Some(sequence) })
        }
        Data::Engine(StateControl::Ended(_)) | Data::User(_) => None,
    })
}
