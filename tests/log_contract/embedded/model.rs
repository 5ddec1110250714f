//! Whatever is written, committed, aborted, left open and crashed over: readers see exactly what was
//! committed, in order, and never past the oldest open transaction. Held against a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater::clock::Clock;
use headwater::log::embedded::{EmbeddedLog, Settings};
use headwater::log::{Isolation, Log, Retention, TimeKind, Topic, TopicPartition, TopicSpec, Writer};
use headwater::position::{Offset, Partition};
use proptest::prelude::*;

use crate::world::{World, record};

const PARTITIONS: i32 = 2;
const WRITERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Single(i32),
    Send(usize, i32),
    Commit(usize),
    Abort(usize),
    /// The writer is replaced by a new one of the same id.
    Replace(usize),
    /// The log is closed with everything open, and opened again.
    Reopen,
    Maintain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..PARTITIONS).prop_map(Step::Single),
        6 => (0..WRITERS, 0..PARTITIONS).prop_map(|(writer, to)| Step::Send(writer, to)),
        2 => (0..WRITERS).prop_map(Step::Commit),
        1 => (0..WRITERS).prop_map(Step::Abort),
        1 => (0..WRITERS).prop_map(Step::Replace),
        1 => Just(Step::Reopen),
        1 => Just(Step::Maintain),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Open(usize),
    Committed,
    Aborted,
    Marker,
}

/// A partition as a list of offsets and what became of them.
#[derive(Default)]
struct Model {
    partitions: BTreeMap<i32, Vec<Fate>>,
}

impl Model {
    fn append(&mut self, to: i32, fate: Fate) {
        self.partitions.entry(to).or_default().push(fate);
    }

    fn end(&mut self, writer: usize, fate: Fate) {
        for offsets in self.partitions.values_mut() {
            let touched = offsets.contains(&Fate::Open(writer));
            offsets.iter_mut().filter(|it| **it == Fate::Open(writer)).for_each(|it| *it = fate);
            if touched {
                offsets.push(Fate::Marker);
            }
        }
    }

    fn visible(&self, partition: i32) -> (Vec<i64>, i64, i64) {
        let offsets = self.partitions.get(&partition).map_or(&[][..], Vec::as_slice);
        let stable = offsets.iter().position(|it| matches!(it, Fate::Open(_))).unwrap_or(offsets.len());
        let committed = (0_i64..).zip(offsets).take(stable).filter(|(_, it)| **it == Fate::Committed);
        (committed.map(|(at, _)| at).collect(), i64::try_from(stable).unwrap(), i64::try_from(offsets.len()).unwrap())
    }
}

struct Bench {
    folder: Option<tempfile::TempDir>,
    log: Option<EmbeddedLog>,
    writers: Vec<Option<Box<dyn Writer>>>,
    model: Model,
}

fn partition(number: i32) -> TopicPartition {
    Topic::from("t").partition(Partition(number))
}

impl Bench {
    fn new(folder: Option<tempfile::TempDir>) -> Self {
        let mut bench = Self { folder, log: None, writers: Vec::new(), model: Model::default() };
        bench.log = Some(bench.open());
        let spec = TopicSpec {
            topic: "t".into(),
            partitions: PARTITIONS,
            retention: Retention::Compacted,
            time: TimeKind::Append,
        };
        bench.log().create(&[spec]).unwrap();
        bench.writers.resize_with(WRITERS, || None);
        bench
    }

    fn open(&self) -> EmbeddedLog {
        match &self.folder {
            Some(folder) => EmbeddedLog::open(folder.path(), Settings::default()).unwrap(),
            None => EmbeddedLog::in_memory(Clock::system()).unwrap(),
        }
    }

    fn log(&self) -> &EmbeddedLog {
        self.log.as_ref().expect("open except while it is reopened")
    }

    /// The writer, with a transaction open.
    fn writer(&mut self, number: usize) -> &mut dyn Writer {
        if self.writers[number].is_none() {
            self.replace(number);
        }
        &mut **self.writers[number].as_mut().expect("just made")
    }

    fn replace(&mut self, number: usize) {
        let mut writer = self.log().writer(&number.to_string()).unwrap();
        self.model.end(number, Fate::Aborted);
        writer.begin().unwrap();
        self.writers[number] = Some(writer);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Single(to) => {
                let sender = self.log().sender().unwrap();
                // No two records have the same key: compaction deletes nothing but what was aborted.
                sender.send(self.unique(to), Box::new(|it| assert!(it.is_ok()))).unwrap();
                self.model.append(to, Fate::Committed);
            }
            Step::Send(writer, to) => {
                let record = self.unique(to);
                self.writer(writer).send(&[record]).unwrap();
                self.model.append(to, Fate::Open(writer));
            }
            Step::Commit(number) => {
                self.writer(number).commit().unwrap();
                self.writer(number).begin().unwrap();
                self.model.end(number, Fate::Committed);
            }
            Step::Abort(number) => {
                self.writer(number).abort().unwrap();
                self.writer(number).begin().unwrap();
                self.model.end(number, Fate::Aborted);
            }
            Step::Replace(number) => self.replace(number),
            Step::Reopen if self.folder.is_some() => self.reopen(),
            Step::Reopen => {}
            Step::Maintain => self.log().maintain().unwrap(),
        }
    }

    fn reopen(&mut self) {
        // Something durable, so that what is open has reached the disk as well.
        self.take(&Step::Single(0));
        self.take(&Step::Single(1));
        self.writers.clear();
        self.writers.resize_with(WRITERS, || None);
        self.log = None;
        self.log = Some(self.open());
    }

    fn unique(&self, to: i32) -> headwater::log::Outgoing {
        let key = self.model.partitions.get(&to).map_or(0, Vec::len).to_string();
        headwater::log::Outgoing { key: Some(key.into()), ..record(&partition(to), "value") }
    }

    fn check(&self) {
        let mut reader = self.log().reader().unwrap();
        for number in 0..PARTITIONS {
            let (committed, stable, end) = self.model.visible(number);
            let to = [partition(number)];
            let at = |isolation| self.log().bounds(&to, isolation).unwrap()[0].end;
            assert_eq!(at(Isolation::Committed), Offset(stable));
            assert_eq!(at(Isolation::Uncommitted), Offset(end));
            let stretch = reader.read(&to[0], Offset(0), Offset(end), Duration::ZERO, 1000).unwrap();
            assert_eq!(stretch.records.iter().map(|it| it.offset.0).collect::<Vec<_>>(), committed);
            assert_eq!(stretch.next, Offset(stable));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn readers_see_what_was_committed_and_nothing_else(steps in steps()) {
        let mut bench = Bench::new(None);
        for step in &steps {
            bench.take(step);
            bench.check();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
    #[test]
    fn readers_see_it_on_disk_and_across_restarts_too(steps in steps()) {
        let mut bench = Bench::new(Some(tempfile::tempdir().unwrap()));
        for step in &steps {
            bench.take(step);
            bench.check();
        }
    }
}

#[test]
fn writers_and_readers_at_once_see_whole_transactions_in_order() {
    let world = World::new(Arc::new(EmbeddedLog::in_memory(Clock::system()).unwrap()), None);
    let topic = world.topic(PARTITIONS);
    let to: Vec<_> = (0..PARTITIONS).map(|it| topic.partition(Partition(it))).collect();
    std::thread::scope(|scope| {
        for name in 0..WRITERS {
            let (log, to) = (&world.log, &to);
            scope.spawn(move || {
                let mut writer = log.writer(&format!("writer {name}")).unwrap();
                for round in 0..100 {
                    writer.begin().unwrap();
                    for partition in to {
                        writer.send(&[record(partition, &format!("{name} {round}"))]).unwrap();
                    }
                    if round % 7 == 3 { writer.abort().unwrap() } else { drop(writer.commit().unwrap()) }
                }
            });
        }
        let (log, to) = (&world.log, &to);
        scope.spawn(move || {
            let mut reader = log.reader().unwrap();
            reader.follow(&to.iter().map(|it| (it.clone(), Offset(0))).collect::<Vec<_>>()).unwrap();
            let mut last: BTreeMap<(Partition, String), u32> = BTreeMap::new();
            for _ in 0..WRITERS * 86 * to.len() {
                let records = reader.poll(crate::world::PATIENCE, 1).unwrap();
                let text = crate::world::value(&records[0]);
                let (name, round) = text.split_once(' ').unwrap();
                let round: u32 = round.parse().unwrap();
                assert_ne!(round % 7, 3, "aborted");
                let before = last.insert((records[0].partition, name.to_owned()), round);
                assert!(before.is_none_or(|it| it < round), "{name}: {round} after {before:?}");
            }
        });
    });
}
