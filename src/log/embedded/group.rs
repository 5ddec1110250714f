//! Group membership: who is in a group, which partitions each should have and which it holds, and the
//! generation. A pure state machine; times come in as values.
//!
//! The assignment is cooperative: every change of the membership computes new targets, a member that
//! holds more than its target is asked to give back, and a partition is handed out only when nobody
//! holds it. Each member learns of a new generation when it polls or releases; a fence it took before
//! is then stale.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::assignment::{MemberId, assign};
use crate::log::TopicPartition;

/// A group's generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(pub(super) i32);

/// The members of one group.
#[derive(Default)]
pub(super) struct Membership {
    generation: Generation,
    seats: BTreeMap<MemberId, Seat>,
}

struct Seat {
    instance: Option<String>,
    /// Everything it may be given.
    subscribed: BTreeSet<TopicPartition>,
    target: BTreeSet<TopicPartition>,
    held: BTreeSet<TopicPartition>,
    /// What it was asked to give back, and when.
    asked_back: Option<(Instant, BTreeSet<TopicPartition>)>,
    /// The generation it knows of; none before its first poll.
    generation: Option<Generation>,
    presence: Presence,
}

enum Presence {
    Polling,
    Away { since: Instant },
}

/// What a member has to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

/// What a fence of this log carries.
pub(super) struct Token {
    /// Tells this log from another one, and from itself before a restart.
    pub(super) incarnation: Uuid,
    pub(super) group: String,
    pub(super) member: MemberId,
    pub(super) generation: Generation,
}

/// What a fence is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Current,
    /// The member is now in this generation.
    StaleGeneration(i32),
    NotAMember,
}

impl Membership {
    /// Adds a member. One with the same instance loses its seat to it, targets included.
    pub(super) fn join(
        &mut self,
        id: MemberId,
        instance: Option<String>,
        subscribed: BTreeSet<TopicPartition>,
        now: Instant,
    ) {
        let same = |seat: &Seat| seat.instance.is_some() && seat.instance == instance;
        let earlier = self.seats.iter().find(|(_, seat)| same(seat)).map(|(id, _)| *id);
        let target = earlier.and_then(|it| self.seats.remove(&it)).map(|it| it.target).unwrap_or_default();
        self.seats.insert(
            id,
            Seat {
                instance,
                subscribed,
                target,
                held: BTreeSet::new(),
                asked_back: None,
                generation: None,
                presence: Presence::Away { since: now },
            },
        );
        self.rebalance();
    }

    /// Removes a member, by its own wish or not; what it held is free at once.
    pub(super) fn remove(&mut self, id: MemberId) {
        if self.seats.remove(&id).is_some() {
            self.rebalance();
        }
    }

    pub(super) fn contains(&self, id: MemberId) -> bool {
        self.seats.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(super) fn has_instance(&self, instance: &str) -> bool {
        self.seats.values().any(|it| it.instance.as_deref() == Some(instance))
    }

    /// The member polls, until it is [away](Self::away) again.
    pub(super) fn polling(&mut self, id: MemberId) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.presence = Presence::Polling;
            seat.generation = Some(self.generation);
        }
    }

    /// The member has come back from its poll.
    pub(super) fn away(&mut self, id: MemberId, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.presence = Presence::Away { since: now };
        }
    }

    /// What the member has to be told now: first what to give back, then what it gets.
    pub(super) fn notice(&mut self, id: MemberId, now: Instant) -> Option<Notice> {
        let generation = self.generation;
        let taken: BTreeSet<_> = self.seats.values().flat_map(|it| &it.held).cloned().collect();
        let seat = self.seats.get_mut(&id)?;
        seat.generation = Some(generation);
        let asked = seat.asked_back.as_ref().map(|(_, it)| it);
        let back: Vec<_> = seat
            .held
            .difference(&seat.target)
            .filter(|it| asked.is_none_or(|asked| !asked.contains(it)))
            .cloned()
            .collect();
        if !back.is_empty() {
            seat.asked_back.get_or_insert_with(|| (now, BTreeSet::new())).1.extend(back.iter().cloned());
            return Some(Notice::Revoked(back));
        }
        let free: Vec<_> = seat.target.difference(&taken).cloned().collect();
        if free.is_empty() {
            return None;
        }
        seat.held.extend(free.iter().cloned());
        Some(Notice::Assigned(free))
    }

    /// The member gives partitions back.
    pub(super) fn release(&mut self, id: MemberId, partitions: &[TopicPartition]) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let before = seat.held.len();
        for partition in partitions {
            seat.held.remove(partition);
            if let Some((_, asked)) = &mut seat.asked_back {
                asked.remove(partition);
            }
        }
        if seat.asked_back.as_ref().is_some_and(|(_, it)| it.is_empty()) {
            seat.asked_back = None;
        }
        if seat.held.len() < before {
            // The releasing member's own earlier fences must die here: the next owner may be at work
            // before it polls again.
            self.generation.0 += 1;
            seat.generation = Some(self.generation);
        }
    }

    /// The generation for the member's fence; none before its first poll and after eviction.
    pub(super) fn generation(&self, id: MemberId) -> Option<Generation> {
        self.seats.get(&id)?.generation
    }

    /// What a fence taken by a member in a generation is worth.
    pub(super) fn standing(&self, id: MemberId, generation: Generation) -> Standing {
        match self.seats.get(&id) {
            None => Standing::NotAMember,
            Some(seat) if seat.generation == Some(generation) => Standing::Current,
            Some(seat) => Standing::StaleGeneration(seat.generation.unwrap_or_default().0),
        }
    }

    /// Evicts the members that did not poll, or sat on revoked partitions, for longer than `session`;
    /// whether there were any.
    pub(super) fn expire(&mut self, now: Instant, session: Duration) -> bool {
        let before = self.seats.len();
        self.seats.retain(|_, it| it.expiry(session).is_none_or(|at| now < at));
        let evicted = self.seats.len() < before;
        if evicted {
            self.rebalance();
        }
        evicted
    }

    /// When the next member is to be evicted, if it does nothing until then.
    pub(super) fn next_expiry(&self, session: Duration) -> Option<Instant> {
        self.seats.values().filter_map(|it| it.expiry(session)).min()
    }

    fn rebalance(&mut self) {
        self.generation.0 += 1;
        let wishes = self.seats.iter().map(|(id, it)| (*id, (&it.subscribed, &it.target)));
        let mut targets = assign(&wishes.collect());
        for (id, seat) in &mut self.seats {
            seat.target = targets.remove(id).unwrap_or_default();
        }
    }
}

impl Seat {
    fn expiry(&self, session: Duration) -> Option<Instant> {
        let away = match self.presence {
            Presence::Polling => None,
            Presence::Away { since } => Some(since),
        };
        let sitting = self.asked_back.as_ref().map(|(since, _)| *since);
        Some(away.into_iter().chain(sitting).min()? + session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::log::Topic;
    use crate::position::Partition;

    const SESSION: Duration = Duration::from_mins(1);
    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    fn four() -> BTreeSet<TopicPartition> {
        (0..4).map(|it| Topic::from("t").partition(Partition(it))).collect()
    }

    fn parts(of: &[i32]) -> Vec<TopicPartition> {
        of.iter().map(|it| Topic::from("t").partition(Partition(*it))).collect()
    }

    fn alone(now: Instant) -> Membership {
        let mut group = Membership::default();
        group.join(A, None, four(), now);
        assert_eq!(group.notice(A, now), Some(Notice::Assigned(parts(&[0, 1, 2, 3]))));
        group
    }

    #[test]
    fn a_partition_moves_only_after_its_owner_released_it() {
        let now = clock::instant();
        let mut group = alone(now);
        group.join(B, None, four(), now);
        assert_eq!(group.notice(B, now), None);
        let Some(Notice::Revoked(back)) = group.notice(A, now) else { panic!("A is asked for half") };
        assert_eq!(back.len(), 2);
        assert_eq!(group.notice(A, now), None, "asked once");
        assert_eq!(group.notice(B, now), None);
        group.release(A, &back);
        assert_eq!(group.notice(B, now), Some(Notice::Assigned(back)));
    }

    #[test]
    fn a_release_makes_the_releasing_members_earlier_fences_stale() {
        let now = clock::instant();
        let mut group = alone(now);
        let fence = group.generation(A).expect("it polled");
        group.join(B, None, four(), now);
        assert_eq!(group.standing(A, fence), Standing::Current, "it still holds everything");
        let Some(Notice::Revoked(back)) = group.notice(A, now) else { panic!("A is asked for half") };
        group.release(A, &back);
        assert!(matches!(group.standing(A, fence), Standing::StaleGeneration(_)));
        let fresh = group.generation(A).expect("it is still a member");
        assert_eq!(group.standing(A, fresh), Standing::Current);
        assert!(fresh > fence);
    }

    #[test]
    fn a_member_that_does_not_poll_in_time_is_evicted() {
        let now = clock::instant();
        let mut group = alone(now);
        let fence = group.generation(A).expect("it polled");
        group.join(B, None, four(), now);
        group.polling(B);
        assert!(!group.expire(now + SESSION / 2, SESSION));
        assert!(group.expire(now + SESSION, SESSION));
        assert_eq!(group.standing(A, fence), Standing::NotAMember);
        assert_eq!(group.notice(B, now + SESSION), Some(Notice::Assigned(parts(&[0, 1, 2, 3]))));
    }

    #[test]
    fn a_member_that_sits_on_revoked_partitions_is_evicted_although_it_polls() {
        let now = clock::instant();
        let mut group = alone(now);
        group.join(B, None, four(), now);
        group.polling(A);
        group.polling(B);
        assert!(matches!(group.notice(A, now), Some(Notice::Revoked(_))));
        assert!(group.expire(now + SESSION, SESSION));
        assert!(!group.contains(A));
    }

    #[test]
    fn an_instance_that_joins_again_takes_over_from_its_earlier_member() {
        let now = clock::instant();
        let mut group = Membership::default();
        group.join(A, Some("one".into()), four(), now);
        group.notice(A, now);
        let fence = group.generation(A).expect("it polled");
        group.join(B, Some("one".into()), four(), now);
        assert_eq!(group.standing(A, fence), Standing::NotAMember);
        assert_eq!(group.notice(B, now), Some(Notice::Assigned(parts(&[0, 1, 2, 3]))));
    }

    #[test]
    fn there_is_no_fence_before_the_first_poll() {
        let now = clock::instant();
        let mut group = Membership::default();
        group.join(A, None, four(), now);
        assert_eq!(group.generation(A), None);
        group.polling(A);
        assert!(group.generation(A).is_some());
    }
}
