//! How far each group is behind: command processors and sagas by the offsets that they commit, projections
//! by those that stand beside their rows.
//!
//! Offsets are sparse: markers of transactions take some too. Where only a few are left, they are looked
//! at, so that a group that has nothing to do is not shown as behind.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Engine;
use crate::log::{Bounds, Isolation, LogError, RangeReader, StallError, TopicPartition};
use crate::position::{Offset, Partition};
use crate::projection::{Progress, ViewError};

/// Up to how many offsets behind it is looked whether there is a record among them.
const FEW: i64 = 16;
const STALL: Duration = Duration::from_secs(10);

/// One group's place in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupLag {
    /// The consumer group.
    pub group: String,
    /// The topic and its partition.
    pub partition: String,
    /// The next offset to read; none before the first.
    pub current: Option<Offset>,
    /// One past the last committed record.
    pub end: Offset,
    /// How many offsets are left to read; 0 if none of them is a record.
    pub lag: i64,
    /// The lane that committed last, which is its owner unless that has just changed.
    pub owner: Option<String>,
}

/// Why the lags cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LagError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The views.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Looking at the last records was broken off.
    #[error("looking at the log was broken off: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A group's place, before it is compared with the end.
struct Reached {
    group: String,
    place: TopicPartition,
    current: Option<Offset>,
    owner: Option<String>,
}

impl Engine {
    /// How far every group is behind, in every partition.
    pub async fn lags(self: &Arc<Self>) -> Result<Vec<GroupLag>, LagError> {
        let views = self.reached_by_views().await?;
        let engine = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut reached = engine.reached_by_lanes()?;
            reached.extend(views);
            engine.compare(reached)
        })
        .await?
    }

    fn reached_by_lanes(&self) -> Result<Vec<Reached>, LogError> {
        let mut groups = Vec::new();
        for aggregate in &self.aggregates {
            groups.push((self.topology.command_group(aggregate.name()), aggregate.topics().commands.clone()));
        }
        for saga in &self.sagas {
            for source in saga.sources() {
                let events = self.topology.aggregate(source).events;
                groups.push((self.topology.router_group(saga.name(), source), events));
            }
            groups.push((self.topology.saga_group(saga.name()), saga.topics().inbox.clone()));
        }
        let mut reached = Vec::new();
        for (group, topic) in groups {
            let places: Vec<TopicPartition> =
                (0..self.topology.partitions).map(|number| topic.partition(Partition(number))).collect();
            let committed = self.log.committed(&group, &places)?;
            reached.extend(places.into_iter().zip(committed).map(|(place, committed)| Reached {
                group: group.clone(),
                place,
                current: committed.as_ref().map(|it| it.offset),
                owner: committed.and_then(|it| owner(&it.metadata)),
            }));
        }
        Ok(reached)
    }

    async fn reached_by_views(&self) -> Result<Vec<Reached>, ViewError> {
        let mut reached = Vec::new();
        for projection in &self.app.projections {
            let shape = projection.shape()?;
            let Progress { positions, .. } = match self.views().await?.store().progress(&shape).await {
                // Nobody has made it yet: it has no place to be behind from.
                Err(ViewError::Missing { .. }) => continue,
                progress => progress?,
            };
            let group = self.topology.projection_group(projection.name());
            reached.extend(positions.into_iter().map(|position| Reached {
                group: group.clone(),
                place: shape.place(&self.topology, position.source),
                current: Some(position.next_offset),
                owner: None,
            }));
        }
        Ok(reached)
    }

    fn compare(&self, reached: Vec<Reached>) -> Result<Vec<GroupLag>, LagError> {
        let places: Vec<_> = reached.iter().map(|it| it.place.clone()).collect();
        let bounds = self.log.bounds(&places, Isolation::Committed)?;
        let mut lags = Vec::with_capacity(reached.len());
        for (Reached { group, place, current, owner }, bounds) in reached.into_iter().zip(bounds) {
            let lag = self.lag(&place, current, bounds)?;
            lags.push(GroupLag { group, partition: place.to_string(), current, end: bounds.end, lag, owner });
        }
        Ok(lags)
    }

    fn lag(&self, place: &TopicPartition, current: Option<Offset>, bounds: Bounds) -> Result<i64, LogError> {
        let from = current.unwrap_or(bounds.low).max(bounds.low);
        let lag = (bounds.end.0 - from.0).max(0);
        if lag == 0 || lag > FEW {
            return Ok(lag);
        }
        let mut reader = self.log.reader()?;
        let mut range = RangeReader::between(place.clone(), from, bounds.end, STALL);
        loop {
            match range.step(self.log.as_ref(), reader.as_mut()) {
                Ok(None) => return Ok(0),
                Ok(Some(records)) if records.is_empty() => {}
                // It moves on, or nothing can be said: the offsets are the best there is to tell.
                Ok(Some(_)) | Err(StallError::HangingTransaction { .. } | StallError::Truncated { .. }) => {
                    return Ok(lag);
                }
                Err(StallError::Log(error)) => return Err(error),
            }
        }
    }
}

/// Who committed last: the transactional ids of the owner's writers are kept with the offset, one for
/// each writer, told apart by what follows the last dot.
fn owner(metadata: &str) -> Option<String> {
    let first = metadata.split(',').next().filter(|id| !id.is_empty())?;
    Some(first.rsplit_once('.').map_or(first, |(lane, _)| lane).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_the_lane_whose_writers_committed_last() {
        let ids = "bank.account.host-1234-0.1.0,bank.account.host-1234-0.1.1";
        assert_eq!(owner(ids).as_deref(), Some("bank.account.host-1234-0.1"));
        assert_eq!(owner(""), None);
    }
}
