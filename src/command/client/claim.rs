//! The claiming thread: a partition of the replies that no other gateway uses.
//!
//! Gateways share the partitions of the replies out among them as a consumer group does, and each uses one of
//! its own: so that none reads what is meant for others. It is a matter of cost and never of correctness:
//! before a partition is assigned, and where there are more gateways than partitions, one is shared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::RETRY_WAIT;
use super::waiters::Shared;
use crate::log::{LogError, Member, Polled, TopicPartition};
use crate::position::Partition;

/// How long it waits for the group before it looks whether the client is closed.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// The claiming thread's part.
pub(super) struct Claim {
    member: Box<dyn Member>,
    held: BTreeSet<Partition>,
    shared: Arc<Shared>,
}

impl Claim {
    pub fn new(member: Box<dyn Member>, shared: Arc<Shared>) -> Self {
        Self { member, held: BTreeSet::new(), shared }
    }

    pub fn run(mut self) {
        while !self.shared.is_closing() {
            match self.step() {
                Ok(()) => {}
                Err(error) if error.is_temporary() => std::thread::sleep(RETRY_WAIT),
                Err(error) => {
                    tracing::warn!(%error, "this gateway shares its partition of the replies from now on");
                    return;
                }
            }
        }
        if let Err(error) = self.member.leave() {
            tracing::warn!(%error, "the group that shares out the replies was not left");
        }
    }

    fn step(&mut self) -> Result<(), LogError> {
        match self.member.poll(IDLE_WAIT, 1)? {
            Polled::Assigned(partitions) => self.held.extend(numbers(&partitions)),
            Polled::Revoked(partitions) | Polled::Lost(partitions) => {
                self.held.retain(|held| !numbers(&partitions).any(|number| number == *held));
                self.member.release(&partitions)?;
            }
            // Nothing flows: the group only says whose is what.
            Polled::Records(_) => {}
        }
        if !self.held.contains(&self.shared.wanted())
            && let Some(first) = self.held.first()
        {
            self.shared.want_replies_at(*first);
        }
        Ok(())
    }
}

fn numbers(partitions: &[TopicPartition]) -> impl Iterator<Item = Partition> {
    partitions.iter().map(|place| place.partition)
}
