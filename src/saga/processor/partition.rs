//! One owned partition: its instances and when each has something to do. Changed only by what is committed.
//!
//! Memory: of an open instance its record as it stands in the log, of an ended one a marker until it is
//! forgotten; beside its record and its id, about 200 bytes each. A million open instances of a saga whose
//! records take 200 bytes are held in less than half a gigabyte, over all workers together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::gauges::{Count, Gauge};
use crate::clock::Timestamp;
use crate::position::{Offset, Partition};

/// An instance's next moment, where it has none.
pub(super) const NEVER: Timestamp = Timestamp(i64::MAX);

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it has something to do without an input; an ended one, when it is forgotten.
    pub due: Timestamp,
    /// The time of its last input.
    pub time: Timestamp,
    /// Its record; `None` if it has ended.
    pub record: Option<Box<[u8]>>,
}

impl Entry {
    const fn is_undated(&self) -> bool {
        self.due.0 == NEVER.0
    }

    /// By what it is ordered among those of its kind.
    const fn place(&self) -> Timestamp {
        if self.is_undated() { self.time } else { self.due }
    }
}

/// The instances of a partition.
#[derive(Debug, Default)]
pub(super) struct Instances {
    by_id: HashMap<Arc<str>, Entry>,
    /// Those with something to do, by when.
    timers: BTreeSet<(Timestamp, Arc<str>)>,
    /// Those without, by their last input.
    undated: BTreeSet<(Timestamp, Arc<str>)>,
    open: usize,
}

impl Instances {
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id)
    }

    /// The id as it is held here already, so that it is held once.
    pub fn id(&self, id: &str) -> Option<Arc<str>> {
        self.by_id.get_key_value(id).map(|(id, _)| id.clone())
    }

    /// An instance is so now; `None` forgets it.
    pub fn put(&mut self, id: Arc<str>, entry: Option<Entry>) {
        let before = match &entry {
            Some(entry) => self.by_id.insert(id.clone(), entry.clone()),
            None => self.by_id.remove(&id),
        };
        if let Some(before) = before {
            self.open -= usize::from(before.record.is_some());
            self.order(&before).remove(&(before.place(), id.clone()));
        }
        if let Some(entry) = entry {
            self.open += usize::from(entry.record.is_some());
            self.order(&entry).insert((entry.place(), id));
        }
    }

    const fn order(&mut self, entry: &Entry) -> &mut BTreeSet<(Timestamp, Arc<str>)> {
        if entry.is_undated() { &mut self.undated } else { &mut self.timers }
    }

    /// Those with something to do by now, the longest overdue first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Arc<str>> {
        self.timers.iter().take_while(move |(due, _)| *due <= now).map(|(_, id)| id)
    }

    pub fn is_due(&self, now: Timestamp) -> bool {
        self.timers.first().is_some_and(|(due, _)| *due <= now)
    }

    /// How many are open, and how many of them do not get on.
    pub fn count(&self, now: Timestamp, stuck_after: Duration) -> Count {
        let is_open = |id: &&Arc<str>| self.get(id).is_some_and(|entry| entry.record.is_some());
        let then = now.minus(stuck_after);
        Count {
            open: self.open,
            overdue: self.due(now).filter(is_open).count(),
            // They have taken nothing in since then, and have no deadline.
            stuck: self.undated.iter().take_while(|(time, _)| *time <= then).count(),
        }
    }
}

/// The committed state of one owned partition.
#[derive(Debug)]
pub(super) struct Owned {
    pub partition: Partition,
    pub instances: Instances,
    /// The partition's time: the highest of its inputs' times.
    pub time: Timestamp,
    /// The next input to take in.
    pub inbox_offset: Offset,
    /// One past the last record of an instance.
    pub state_offset: Offset,
    /// Whether inputs were taken in since the offset was last committed without any.
    pub is_dirty: bool,
    /// When that was.
    pub passed_at: Timestamp,
    pub gauge: Gauge,
}

/// What a batch changes in a partition.
#[derive(Debug)]
pub(super) struct Changes {
    /// The instances that are not as before; `None` where one is forgotten.
    pub instances: HashMap<Arc<str>, Option<Entry>>,
    pub time: Timestamp,
    /// How many commands it issues.
    pub commands: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(due: i64, time: i64, is_open: bool) -> Entry {
        Entry { due: Timestamp(due), time: Timestamp(time), record: is_open.then(|| Box::from(*b"record")) }
    }

    fn open(instances: &Instances) -> usize {
        instances.count(Timestamp(0), Duration::ZERO).open
    }

    fn stuck(instances: &Instances, since: i64) -> usize {
        instances.count(Timestamp(since), Duration::ZERO).stuck
    }

    #[test]
    fn each_instance_is_counted_once_and_in_its_own_order() {
        let mut instances = Instances::default();
        let due =
            |instances: &Instances, now| instances.due(Timestamp(now)).map(ToString::to_string).collect::<Vec<_>>();
        instances.put("a".into(), Some(entry(30, 1, true)));
        instances.put("b".into(), Some(entry(20, 2, true)));
        instances.put("c".into(), Some(entry(i64::MAX, 3, true)));
        assert_eq!((open(&instances), stuck(&instances, 3), stuck(&instances, 2)), (3, 1, 0));
        assert_eq!(due(&instances, 25), ["b"]);
        assert_eq!(due(&instances, 30), ["b", "a"]);
        instances.put("b".into(), Some(entry(40, 4, false)));
        assert_eq!((open(&instances), instances.count(Timestamp(50), Duration::ZERO).overdue), (2, 1));
        assert_eq!(due(&instances, 50), ["a", "b"]);
        instances.put("a".into(), Some(entry(i64::MAX, 5, true)));
        instances.put("b".into(), None);
        assert_eq!((open(&instances), instances.is_due(Timestamp(50)), instances.get("b")), (2, false, None));
        assert_eq!(stuck(&instances, 5), 2);
    }

    /// How much memory this process takes, in bytes.
    fn resident() -> u64 {
        let told = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
        told.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number of pages") * 4096
    }

    #[test]
    #[ignore = "takes half a gigabyte"]
    fn a_million_open_instances_are_held_in_less_than_half_a_gigabyte() {
        const MANY: u64 = 1_000_000;
        let before = resident();
        let mut instances = Instances::default();
        for number in 0..MANY.cast_signed() {
            let record: Box<[u8]> = vec![7; 200].into();
            let entry = Entry { due: Timestamp(number), time: Timestamp(number), record: Some(record) };
            instances.put(format!("{:06}/transaction-{number}#7", number % 500).into(), Some(entry));
        }
        let each = (resident() - before) / MANY;
        eprintln!("{each} bytes for each open instance whose record takes 200");
        assert_eq!(instances.count(Timestamp(0), Duration::ZERO).open as u64, MANY);
        assert!(each < 512, "{each} bytes each");
    }
}
