//! Which partitions a member holds, as far as its user was told. Pure: it calls nobody.
//!
//! The group and the user of a member do not learn of a change at the same moment. A partition that the
//! group takes back is held until the user has released it. And librdkafka drops the news that a
//! membership has ended if it arrives while a rebalance waits for its answer, then goes on with the same
//! partitions under the next membership, although others may have had them in between. The member id,
//! which no two memberships share, tells; such partitions are reported as lost, and then as assigned anew.

use hashbrown::HashSet;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use super::record::{Cursors, record};
use crate::log::{Record, TopicPartition};
use crate::position::Offset;

/// How far a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Assigned to this member, unknown to librdkafka's fetchers.
    Unstarted,
    /// Fetched; records below the offset are leftovers.
    Flowing(Offset),
    /// Known to the fetchers and paused.
    Paused,
    /// Reported as lost, released, and to be reported as assigned anew.
    Regained { is_started: bool },
}

/// Partitions that were reported as gone and are not all released yet.
#[derive(Debug)]
struct Handover {
    partitions: Vec<TopicPartition>,
    unreleased: HashSet<TopicPartition>,
    is_to_group: bool,
}

/// Which partitions a member holds.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    flows: Cursors<Flow>,
    /// The membership under which they are held.
    member_id: String,
    handover: Option<Handover>,
    is_stale: bool,
}

impl Ownership {
    pub(super) fn flow(&self, partition: &TopicPartition) -> Option<Flow> {
        self.flows.get(partition).copied().filter(|flow| !matches!(flow, Flow::Regained { .. }))
    }

    pub(super) fn set_flow(&mut self, partition: &TopicPartition, flow: Flow) {
        self.flows.set(partition, flow);
    }

    /// The partitions that flow, each with the next offset expected.
    pub(super) fn flowing(&self) -> impl Iterator<Item = (&TopicPartition, Offset)> {
        self.flows.iter().filter_map(|(partition, flow)| match flow {
            Flow::Flowing(next) => Some((partition, *next)),
            _ => None,
        })
    }

    /// A record of a partition that flows; `None` for a leftover.
    pub(super) fn accept(&mut self, message: &BorrowedMessage<'_>) -> Option<Record> {
        let (partition, flow) = self.flows.of_message(message)?;
        match flow {
            // librdkafka may fetch a record twice when it pauses partitions for a rebalance while one is
            // on its way to the application.
            Flow::Flowing(next) if message.offset() >= next.0 => {
                *next = Offset(message.offset()).next();
                Some(record(partition, message))
            }
            _ => None,
        }
    }

    fn held(&self) -> impl Iterator<Item = &TopicPartition> {
        self.flows.iter().filter(|(_, flow)| !matches!(flow, Flow::Regained { .. })).map(|(partition, _)| partition)
    }

    /// Compares the present membership with the one under which partitions are held: whether they are one.
    pub(super) fn check(&mut self, member_id: &str) -> bool {
        if self.held().next().is_none() {
            member_id.clone_into(&mut self.member_id);
        }
        self.is_stale |= self.member_id != member_id;
        !self.is_stale
    }

    /// The membership ended while nobody could be told.
    pub(super) fn end_membership(&mut self) {
        let holds_any = self.held().next().is_some();
        self.is_stale = holds_any;
    }

    /// Whether what is held is to be reported as lost, with [`Ownership::lose`].
    pub(super) const fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Whether something reported as gone waits for its release: nothing else is reported meanwhile.
    pub(super) const fn is_handing_over(&self) -> bool {
        self.handover.is_some()
    }

    /// The group gives partitions.
    pub(super) fn assign(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.flows.set(partition, Flow::Unstarted);
        }
    }

    /// The group takes partitions back. Gives those to be reported; with none, they are as good as released.
    pub(super) fn revoke(&mut self, partitions: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let reported: Vec<_> = partitions.iter().filter(|it| self.flow(it).is_some()).cloned().collect();
        self.handover =
            Some(Handover { partitions, unreleased: reported.iter().cloned().collect(), is_to_group: true });
        reported
    }

    /// Everything held is lost, unknown to librdkafka.
    pub(super) fn lose(&mut self) -> Vec<TopicPartition> {
        self.is_stale = false;
        let partitions: Vec<_> = self.held().cloned().collect();
        let unreleased = partitions.iter().cloned().collect();
        self.handover = Some(Handover { partitions: partitions.clone(), unreleased, is_to_group: false });
        partitions
    }

    /// The user gives partitions up. Once that completes a handover to the group: what the group is to get.
    pub(super) fn release(&mut self, partitions: &[TopicPartition]) -> Option<Vec<TopicPartition>> {
        let handover = self.handover.as_mut()?;
        for partition in partitions {
            handover.unreleased.remove(partition);
        }
        // librdkafka takes any unassignment for the answer to its whole revoke.
        if handover.unreleased.is_empty() { self.end_handover() } else { None }
    }

    /// Ends a handover, released or not: what the group is to get, if it waits.
    pub(super) fn end_handover(&mut self) -> Option<Vec<TopicPartition>> {
        let handover = self.handover.take()?;
        for partition in &handover.partitions {
            if handover.is_to_group {
                self.flows.remove(partition);
            } else if let Some(flow) = self.flows.get_mut(partition) {
                *flow = Flow::Regained { is_started: *flow != Flow::Unstarted };
            }
        }
        handover.is_to_group.then_some(handover.partitions)
    }

    /// Whether there is something to [regain](Ownership::regain) once there is a membership.
    pub(super) fn has_regained(&self) -> bool {
        self.flows.iter().any(|(_, flow)| matches!(flow, Flow::Regained { .. }))
    }

    /// What was lost and is still this member's, under its present membership.
    pub(super) fn regain(&mut self, member_id: &str) -> Vec<TopicPartition> {
        self.check(member_id);
        let mut regained = Vec::new();
        for (partition, flow) in self.flows.iter_mut() {
            if let Flow::Regained { is_started } = *flow {
                *flow = if is_started { Flow::Paused } else { Flow::Unstarted };
                regained.push(partition.clone());
            }
        }
        regained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Topic;
    use crate::position::Partition;

    fn partitions(count: i32) -> Vec<TopicPartition> {
        (0..count).map(|it| Topic::from("t").partition(Partition(it))).collect()
    }

    fn owner_of(all: &[TopicPartition]) -> Ownership {
        let mut ownership = Ownership::default();
        assert!(ownership.check("first"));
        ownership.assign(all);
        ownership
    }

    #[test]
    fn the_group_gets_nothing_before_all_is_released() {
        let all = partitions(2);
        let mut ownership = owner_of(&all);
        assert_eq!(ownership.revoke(all.clone()), all);
        assert_eq!(ownership.release(&all[..1]), None);
        assert!(ownership.flow(&all[0]).is_some(), "held until the whole revoke is answered");
        assert_eq!(ownership.release(&all[1..]), Some(all.clone()));
        assert_eq!(ownership.flow(&all[0]), None);
    }

    #[test]
    fn what_another_membership_gave_is_lost_and_then_regained() {
        let all = partitions(2);
        let mut ownership = owner_of(&all);
        ownership.set_flow(&all[0], Flow::Flowing(Offset(7)));
        assert!(!ownership.check("second"));
        assert_eq!(ownership.lose(), all);
        assert_eq!(ownership.release(&all), None, "librdkafka waits for no answer");
        assert_eq!(ownership.flow(&all[0]), None);
        assert!(ownership.has_regained());
        assert_eq!(ownership.regain("second"), all);
        assert_eq!(ownership.flow(&all[0]), Some(Flow::Paused));
        assert_eq!(ownership.flow(&all[1]), Some(Flow::Unstarted));
        assert!(ownership.check("second"));
    }

    #[test]
    fn what_is_regained_and_revoked_at_once_is_never_mentioned() {
        let all = partitions(1);
        let mut ownership = owner_of(&all);
        ownership.end_membership();
        assert!(ownership.is_stale());
        ownership.lose();
        ownership.release(&all);
        assert!(ownership.revoke(all.clone()).is_empty());
        assert_eq!(ownership.release(&[]), Some(all));
        assert!(!ownership.has_regained());
    }

    #[test]
    fn a_member_without_partitions_is_never_stale() {
        let mut ownership = owner_of(&[]);
        assert!(ownership.check("second"));
        ownership.end_membership();
        assert!(!ownership.is_stale());
    }
}
