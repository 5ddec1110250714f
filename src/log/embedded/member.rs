//! A member of a consumer group: the engine's side of the [membership](super::group::Membership), and
//! the flow of records from the partitions it holds.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::assignment::MemberId;
use super::broker::Broker;
use super::fetch::Flows;
use super::group::{Notice, Token};
use super::shared::{Shared, deadline};
use super::storage::Batch;
use crate::clock;
use crate::log::{CommittedOffset, Fence, Group, LogError, Member, Polled, TopicPartition};
use crate::position::Offset;

pub(super) struct GroupMember {
    shared: Arc<Shared>,
    group: Group,
    seat: Seat,
    /// What it was told it has, and has not released.
    held: BTreeSet<TopicPartition>,
    flows: Flows,
}

enum Seat {
    Joined(MemberId),
    /// Evicted; joins again when all that was lost is released.
    Evicted {
        lost: BTreeSet<TopicPartition>,
        told: bool,
    },
    /// Another member has its instance, or it has left.
    Gone(String),
}

impl Broker {
    fn join(&mut self, group: &Group) -> Result<MemberId, LogError> {
        let mut subscribed = BTreeSet::new();
        for topic in &group.topics {
            let count = self.topic(topic)?.spec.partitions;
            subscribed.extend((0..count).map(|it| topic.partition(crate::position::Partition(it))));
        }
        let id = MemberId(self.next_member.0 + 1);
        self.next_member = id;
        let now = clock::instant();
        let state = self.groups.entry(group.name.clone()).or_default();
        state.membership.join(id, group.instance.clone(), subscribed, now);
        self.expect_expiry(now + self.settings.session_timeout);
        Ok(id)
    }

    /// Sets a group's offsets by hand.
    pub(super) fn set_committed(
        &mut self,
        group: &str,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), LogError> {
        if self.groups.get(group).is_some_and(|it| !it.membership.is_empty()) {
            return Err(LogError::Fenced(format!(
                "group {group} has members; its offsets can be set only when all have left"
            )));
        }
        for (partition, _) in offsets {
            self.partition(partition)?;
        }
        let mut batch = Batch::default();
        for (partition, committed) in offsets {
            self.set_offset(group, partition.clone(), committed.clone(), &mut batch)?;
        }
        self.write(batch)
    }
}

impl GroupMember {
    pub(super) fn join(shared: Arc<Shared>, group: Group) -> Result<Self, LogError> {
        let id = shared.lock()?.join(&group)?;
        shared.wake();
        Ok(Self { shared, group, seat: Seat::Joined(id), held: BTreeSet::new(), flows: Flows::default() })
    }

    fn fenced(&self, why: &str) -> LogError {
        LogError::Fenced(format!("group {}: {why}", self.group.name))
    }

    /// What the member is to be told, if anything.
    fn news(&mut self, broker: &mut Broker) -> Result<Option<Polled>, LogError> {
        loop {
            match &mut self.seat {
                Seat::Gone(why) => return Err(LogError::Fenced(why.clone())),
                Seat::Evicted { lost, told } if !*told => {
                    *told = true;
                    return Ok(Some(Polled::Lost(lost.iter().cloned().collect())));
                }
                Seat::Evicted { lost, .. } if !lost.is_empty() => return Ok(None),
                Seat::Evicted { .. } => {
                    let id = broker.join(&self.group)?;
                    self.shared.wake();
                    self.seat = Seat::Joined(id);
                }
                Seat::Joined(id) => {
                    let id = *id;
                    let Some(state) = broker.groups.get_mut(&self.group.name) else { return Ok(None) };
                    if state.membership.contains(id) {
                        state.membership.polling(id);
                        let notice = state.membership.notice(id, clock::instant());
                        if matches!(notice, Some(Notice::Revoked(_))) {
                            broker.expect_expiry(clock::instant() + broker.settings.session_timeout);
                        }
                        return Ok(notice.map(|it| self.heed(it)));
                    }
                    self.evicted(broker);
                }
            }
        }
    }

    fn evicted(&mut self, broker: &Broker) {
        let membership = broker.groups.get(&self.group.name).map(|it| &it.membership);
        let instance = self.group.instance.as_deref();
        self.flows.clear();
        let lost = std::mem::take(&mut self.held);
        self.seat = match instance {
            Some(instance) if membership.is_some_and(|it| it.has_instance(instance)) => {
                Seat::Gone(format!("group {}: another member joined as instance {instance}", self.group.name))
            }
            _ => Seat::Evicted { told: lost.is_empty(), lost },
        };
    }

    fn heed(&mut self, notice: Notice) -> Polled {
        match notice {
            Notice::Assigned(partitions) => {
                self.held.extend(partitions.iter().cloned());
                Polled::Assigned(partitions)
            }
            Notice::Revoked(partitions) => {
                for partition in &partitions {
                    self.flows.stop(partition);
                }
                Polled::Revoked(partitions)
            }
        }
    }

    fn poll_until(&mut self, deadline: Instant, max: usize) -> Result<Polled, LogError> {
        let shared = Arc::clone(&self.shared);
        let mut broker = shared.lock()?;
        loop {
            if let Some(news) = self.news(&mut broker)? {
                return Ok(news);
            }
            let records = self.flows.take(max);
            if !records.is_empty() {
                return Ok(Polled::Records(records));
            }
            let plans = self.flows.plans(&broker)?;
            if !plans.is_empty() {
                drop(broker);
                self.flows.fetch(&shared, plans, max)?;
                broker = shared.lock()?;
                continue;
            }
            if clock::instant() >= deadline {
                return Ok(Polled::Records(Vec::new()));
            }
            broker = shared.wait(broker, deadline)?;
        }
    }

    fn step_back(&self) -> Result<(), LogError> {
        let Seat::Joined(id) = self.seat else { return Ok(()) };
        let mut broker = self.shared.lock()?;
        let now = clock::instant();
        if let Some(state) = broker.groups.get_mut(&self.group.name) {
            state.membership.away(id, now);
        }
        let session = broker.settings.session_timeout;
        broker.expect_expiry(now + session);
        Ok(())
    }

    /// The broker, if this member still sits in its group.
    fn seated(&self) -> Result<(MutexGuard<'_, Broker>, MemberId), LogError> {
        match &self.seat {
            Seat::Gone(why) => Err(LogError::Fenced(why.clone())),
            Seat::Evicted { .. } => Err(self.fenced("this member was evicted; release what it lost and poll on")),
            Seat::Joined(id) => {
                let broker = self.shared.lock()?;
                let seated = broker.groups.get(&self.group.name).is_some_and(|it| it.membership.contains(*id));
                if seated { Ok((broker, *id)) } else { Err(self.fenced("this member was evicted; poll on")) }
            }
        }
    }

    fn go(&mut self) -> Result<(), LogError> {
        let left = Seat::Gone(format!("group {}: this member has left", self.group.name));
        if let Seat::Joined(id) = std::mem::replace(&mut self.seat, left) {
            let mut broker = self.shared.lock()?;
            if let Some(state) = broker.groups.get_mut(&self.group.name) {
                state.membership.remove(id);
            }
            drop(broker);
            self.shared.wake();
        }
        Ok(())
    }
}

impl Member for GroupMember {
    fn poll(&mut self, wait: Duration, max: usize) -> Result<Polled, LogError> {
        let polled = self.poll_until(deadline(wait), max.max(1));
        self.step_back()?;
        polled
    }

    fn resume(&mut self, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
        for (partition, offset) in from {
            if !self.held.contains(partition) {
                return Err(self.fenced(&format!("{partition} does not belong to this member")));
            }
            self.flows.start(partition.clone(), *offset);
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        for partition in partitions {
            self.flows.stop(partition);
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        for partition in partitions {
            self.flows.stop(partition);
            self.held.remove(partition);
        }
        match &mut self.seat {
            Seat::Gone(_) => {}
            Seat::Evicted { lost, .. } => partitions.iter().for_each(|it| {
                lost.remove(it);
            }),
            Seat::Joined(id) => {
                let mut broker = self.shared.lock()?;
                if let Some(state) = broker.groups.get_mut(&self.group.name) {
                    state.membership.release(*id, partitions);
                }
                drop(broker);
                self.shared.wake();
            }
        }
        Ok(())
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.shared.stable_offsets(&self.group.name, partitions)
    }

    fn fence(&mut self) -> Result<Fence, LogError> {
        let (broker, member) = self.seated()?;
        let generation = broker.groups.get(&self.group.name).and_then(|it| it.membership.generation(member));
        let Some(generation) = generation else { return Err(self.fenced("there was no assignment yet; poll first")) };
        let group = self.group.name.clone();
        let token = Token { incarnation: broker.incarnation, group: group.clone(), member, generation };
        Ok(Fence { group, generation: generation.0, token: Arc::new(token) })
    }

    fn leave(mut self: Box<Self>) -> Result<(), LogError> {
        self.go()
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        // Within one process a dropped member is surely dead: nobody has to wait for its session to end.
        if let Err(error) = self.go() {
            tracing::debug!(group = %self.group.name, %error, "a dropped member could not leave its group");
        }
    }
}
