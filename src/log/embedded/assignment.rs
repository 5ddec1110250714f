//! Who gets which partition: balanced and sticky, as Kafka's cooperative-sticky assignor does it.
//! Nobody has two more than another that could take one, and no partition moves without need.

use std::collections::{BTreeMap, BTreeSet};

use crate::log::TopicPartition;

/// A member, for as long as it lives; a member that comes back is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(pub(super) u64);

/// What a member may be given, and what it was to have so far.
pub(super) type Wishes<'a> = BTreeMap<MemberId, (&'a BTreeSet<TopicPartition>, &'a BTreeSet<TopicPartition>)>;
type Targets = BTreeMap<MemberId, BTreeSet<TopicPartition>>;

/// Shares the partitions out.
pub(super) fn assign(members: &Wishes<'_>) -> Targets {
    let mut targets = keep(members);
    let placed: BTreeSet<_> = targets.values().flatten().cloned().collect();
    let all: BTreeSet<_> = members.values().flat_map(|(subscribed, _)| subscribed.iter()).collect();
    for partition in all.into_iter().filter(|it| !placed.contains(*it)) {
        if let Some(taker) = least_loaded(members, &targets, partition) {
            targets.entry(taker).or_default().insert(partition.clone());
        }
    }
    while let Some((giver, taker, partition)) = imbalance(members, &targets) {
        targets.entry(giver).or_default().remove(&partition);
        targets.entry(taker).or_default().insert(partition);
    }
    targets
}

/// What stays where it was; the first of two that were to have the same keeps it.
fn keep(members: &Wishes<'_>) -> Targets {
    let mut kept = BTreeSet::new();
    members
        .iter()
        .map(|(id, (subscribed, before))| {
            let stays = before.intersection(subscribed).filter(|it| kept.insert((*it).clone())).cloned().collect();
            (*id, stays)
        })
        .collect()
}

fn load(targets: &Targets, id: MemberId) -> usize {
    targets.get(&id).map_or(0, BTreeSet::len)
}

fn least_loaded(members: &Wishes<'_>, targets: &Targets, partition: &TopicPartition) -> Option<MemberId> {
    let takers = members.iter().filter(|(_, (subscribed, _))| subscribed.contains(partition)).map(|(id, _)| *id);
    takers.min_by_key(|it| (load(targets, *it), *it))
}

/// A move that makes the shares more equal, from the one with the most.
fn imbalance(members: &Wishes<'_>, targets: &Targets) -> Option<(MemberId, MemberId, TopicPartition)> {
    let mut givers: Vec<_> = members.keys().copied().collect();
    givers.sort_by_key(|it| (std::cmp::Reverse(load(targets, *it)), *it));
    givers.into_iter().find_map(|giver| {
        targets.get(&giver)?.iter().rev().find_map(|partition| {
            let taker = least_loaded(members, targets, partition)?;
            (load(targets, giver) >= load(targets, taker) + 2).then(|| (giver, taker, partition.clone()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Topic;
    use crate::position::Partition;

    fn partitions(topic: &str, count: i32) -> BTreeSet<TopicPartition> {
        (0..count).map(|it| Topic::from(topic).partition(Partition(it))).collect()
    }

    fn share(subscribed: &BTreeSet<TopicPartition>, before: &Targets, members: &[u64]) -> Targets {
        let none = BTreeSet::new();
        let wishes = members.iter().map(|it| {
            let id = MemberId(*it);
            (id, (subscribed, before.get(&id).unwrap_or(&none)))
        });
        assign(&wishes.collect())
    }

    #[test]
    fn every_partition_is_given_to_exactly_one_member_and_shares_differ_by_at_most_one() {
        let all = partitions("t", 17);
        let mut before = Targets::new();
        for members in [&[1_u64][..], &[1, 2], &[1, 2, 3, 4, 5], &[2, 5], &[2, 5, 6]] {
            before = share(&all, &before, members);
            let given: Vec<_> = before.values().flatten().cloned().collect();
            assert_eq!(given.len(), 17);
            assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), all);
            let loads: Vec<_> = before.values().map(BTreeSet::len).collect();
            assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
        }
    }

    #[test]
    fn what_can_stay_stays() {
        let all = partitions("t", 8);
        let two = share(&all, &Targets::new(), &[1, 2]);
        let three = share(&all, &two, &[1, 2, 3]);
        for id in [MemberId(1), MemberId(2)] {
            assert!(three[&id].is_subset(&two[&id]), "nothing moves between the two that stay");
        }
        let one_left = share(&all, &three, &[1, 3]);
        assert!(three[&MemberId(1)].is_subset(&one_left[&MemberId(1)]));
        assert!(three[&MemberId(3)].is_subset(&one_left[&MemberId(3)]));
    }

    #[test]
    fn nobody_is_given_what_it_did_not_subscribe_to() {
        let (narrow, wide) = (partitions("a", 2), &partitions("a", 2) | &partitions("b", 4));
        let none = BTreeSet::new();
        let wishes = [(MemberId(1), (&narrow, &none)), (MemberId(2), (&wide, &none))];
        let targets = assign(&wishes.into_iter().collect());
        assert_eq!(targets[&MemberId(1)], narrow);
        assert_eq!(targets[&MemberId(2)], partitions("b", 4));
    }
}
