//! One seed from its first step to its last.

use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use super::fate::Weather;
use super::load;
use super::model::{Model, Shared, read_on};
use super::trace::Trace;
use super::view::{self, View};
use super::worker::{Worker, World};
use super::{Failure, Simulation, Summary};
use crate::aggregate::processor::ProcessorSettings;
use crate::clock::{self, Clock, Seeded, turns};
use crate::engine::Commands;
use crate::log::embedded::{EmbeddedLog, Settings};
use crate::log::{Isolation, Log, LogError, Outgoing, Reader, Topic};
use crate::position::{Offset, Partition};
use crate::verify::{Findings, Scope};

/// As in Kafka; shorter than the embedded log's own, so that a zombie is one soon.
const SESSION: Duration = Duration::from_secs(15);
const NAMES: [&str; 3] = ["one", "two", "three"];
/// Once faults have ceased, everything is answered within this.
const CALM: Duration = Duration::from_mins(20);
const LOOK: Duration = Duration::from_secs(2);
/// No schedule takes a tenth of it; one that does goes round in circles.
const MOST_TURNS: u64 = 300_000;

pub(super) struct Schedule<'a> {
    of: &'a Simulation,
    world: World,
    reader: Box<dyn Reader>,
    trace: Trace,
    dice: Seeded,
    /// Those that live.
    workers: Vec<Worker>,
    /// Those that were stopped: their threads may still come round.
    stopped: Vec<Worker>,
    sent: Vec<(usize, Outgoing)>,
    models: Vec<Box<dyn Model>>,
    shared: Shared,
    views: Vec<View>,
}

/// Batches and checkpoints small enough that a schedule has many of them.
fn small(dice: &mut Seeded) -> ProcessorSettings {
    ProcessorSettings {
        lanes: 1,
        batch_commands: [3, 8][dice.index(2)],
        batch_bytes: [60, 1_000_000][dice.index(2)],
        checkpoint_events: [4, 12][dice.index(2)],
        ..ProcessorSettings::default()
    }
}

impl<'a> Schedule<'a> {
    pub fn run(of: &'a Simulation, seed: u64, database: Option<Database>) -> Result<Summary, Failure> {
        let trace = Trace::default();
        let failed = |what: String| Failure { seed, what, trace: trace.shown() };
        let mut schedule = Self::begin(of, seed, database, trace.clone()).map_err(failed)?;
        let held = schedule.play();
        schedule.world.weather.cease();
        schedule.bury();
        held.and_then(|()| schedule.audit()).map_err(failed)?;
        let counts = schedule.models.iter().map(|model| model.counts());
        let (commands, events) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        let (turns, _) = turns::count();
        let (faults, digest) = (trace.faults(), trace.digest());
        Ok(Summary { schedules: 1, commands, events, faults, turns, digest })
    }

    fn begin(of: &'a Simulation, seed: u64, database: Option<Database>, trace: Trace) -> Result<Self, String> {
        let settings = Settings { session_timeout: SESSION, ..Settings::default() };
        let text = |error: LogError| error.to_string();
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::in_memory_with(settings, Clock::system()).map_err(text)?);
        let aggregates: Vec<_> = of.aggregates.iter().map(|aggregate| aggregate.name()).collect();
        let sagas: Vec<_> = of.sagas.iter().map(|saga| saga.name()).collect();
        log.create(&of.topology.specs(&aggregates, &sagas)).map_err(text)?;
        let mut dice = Seeded::new(seed.wrapping_mul(31));
        let weather = Arc::new(Weather::new(&mut dice, trace.clone()));
        let (processors, views) = (small(&mut dice), view::small(&mut dice));
        let world = World { log, database: database.map(Arc::new), weather, processors, views };
        Ok(Self {
            of,
            reader: world.log.reader().map_err(text)?,
            world,
            workers: Vec::new(),
            stopped: Vec::new(),
            sent: Vec::new(),
            models: of.models.iter().map(|model| model.model()).collect(),
            shared: Shared::new(trace.clone()),
            views: of.projections.iter().map(View::new).collect::<Result<_, _>>()?,
            trace,
            dice,
        })
    }

    fn play(&mut self) -> Result<(), String> {
        for _ in 0..20 + self.dice.below(30) {
            self.act()?;
            let wait = [5, 50, 500, 4_000][self.dice.index(4)];
            clock::pause(Duration::from_millis(self.dice.below(wait)));
            self.check()?;
        }
        self.settle()
    }

    fn act(&mut self) -> Result<(), String> {
        match self.dice.below(if self.views.is_empty() { 12 } else { 13 }) {
            0..=5 => self.send(),
            6 | 7 => {
                self.start();
                Ok(())
            }
            8 => {
                self.with_worker("is killed", |worker| worker.kill());
                Ok(())
            }
            9 => {
                self.with_worker("is drained", Worker::drain);
                Ok(())
            }
            10 => {
                let wait = Duration::from_secs(1 + self.dice.below(30));
                self.with_worker(&format!("is frozen for {wait:?}"), |worker| worker.fate.freeze(wait));
                Ok(())
            }
            12 => self.replay(),
            _ => {
                let full = self.dice.once_in(3);
                self.trace.tell(format!("the disk is {}", if full { "full" } else { "not full" }));
                self.world.weather.set_full_disk(full);
                Ok(())
            }
        }
    }

    fn replay(&mut self) -> Result<(), String> {
        let (of, World { log, database, .. }) = (self.of, &self.world);
        let (Some(view), Some(on)) = (self.views.get(self.dice.index(self.views.len())), database) else {
            return Ok(());
        };
        if view.exists() {
            self.trace.tell(format!("view {} is replayed", view.name()));
            view.replay(of, log, on)?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), String> {
        for _ in 0..=self.dice.below(7) {
            if self.of.loads.is_empty() {
                return Ok(());
            }
            let before = self.sent.get(self.dice.index(self.sent.len())).cloned();
            let (load, record) = match before {
                Some((load, record)) if self.dice.once_in(8) => (load, Ok(record)),
                Some((load, record)) if self.dice.once_in(12) => {
                    (load, self.of.loads[load].conflict(&record, &mut self.dice))
                }
                _ => {
                    let load = self.dice.index(self.of.loads.len());
                    (load, self.of.loads[load].new_command(&mut self.dice))
                }
            };
            let record = record.map_err(|error| error.to_string())?;
            load::send(&*self.world.log, record.clone()).map_err(|error| error.to_string())?;
            self.sent.push((load, record));
        }
        Ok(())
    }

    fn start(&mut self) {
        self.remove_ended();
        let is_free = |name: &&&str| self.workers.iter().all(|worker| worker.name != **name);
        let Some(name) = NAMES.iter().find(is_free) else { return };
        self.trace.tell(format!("{name} starts"));
        self.workers.push(Worker::start(self.of, &self.world, name));
    }

    fn remove_ended(&mut self) {
        for worker in self.workers.extract_if(.., |worker| worker.has_ended()) {
            self.trace.tell(format!("{} has ended", worker.name));
            worker.kill();
            self.stopped.push(worker);
        }
    }

    fn with_worker(&mut self, what: &str, act: impl FnOnce(&mut Worker)) {
        let index = self.dice.index(self.workers.len());
        let Some(worker) = self.workers.get_mut(index) else { return };
        self.trace.tell(format!("{} {what}", worker.name));
        act(worker);
    }

    /// Holds what can be read now to the models.
    fn check(&mut self) -> Result<(), String> {
        for model in &mut self.models {
            model.check(&*self.world.log, &mut *self.reader, &mut self.shared)?;
        }
        if let Some(database) = &self.world.database {
            let check = |view: &mut View| view.check(self.of, &self.world.log, database, &self.trace, CALM);
            self.views.iter_mut().try_for_each(check)?;
        }
        if let Some(refusal) = self.workers.iter().find_map(Worker::refusal) {
            return Err(format!("a partition stopped: {refusal}"));
        }
        let (turns, now) = turns::count();
        if turns > MOST_TURNS { Err(format!("{turns} turns in {now:?}: it goes round in circles")) } else { Ok(()) }
    }

    /// Faults cease: everything is answered.
    fn settle(&mut self) -> Result<(), String> {
        self.trace.tell("faults cease".to_owned());
        self.world.weather.cease();
        let until = turns::count().1 + CALM;
        let mut quiet = 0;
        while quiet < 2 {
            self.remove_ended();
            if self.workers.is_empty() {
                self.start();
            }
            clock::pause(LOOK);
            self.check()?;
            match self.open_work()? {
                None => quiet += 1,
                Some(open) if turns::count().1 > until => {
                    let waits: Vec<_> = self.workers.iter().flat_map(Worker::waits_for).collect();
                    return Err(format!("not done in {CALM:?}: {open} {waits:?}"));
                }
                Some(_) => quiet = 0,
            }
        }
        self.models.iter_mut().try_for_each(|model| model.settle(&mut self.shared))?;
        self.shared.settle()
    }

    /// Records that somebody still has to take in.
    fn open_work(&mut self) -> Result<Option<String>, String> {
        if let Some(open) = self.open_inputs().map_err(|error| error.to_string())? {
            return Ok(Some(open));
        }
        for view in &self.views {
            if let Some(open) = view.open_work(self.of, &*self.world.log, &mut *self.reader)? {
                return Ok(Some(open));
            }
        }
        Ok(None)
    }

    /// Records that lanes still have to take in.
    fn open_inputs(&mut self) -> Result<Option<String>, LogError> {
        let topology = &self.of.topology;
        let mut inputs: Vec<(String, Topic)> = Vec::new();
        for aggregate in &self.of.aggregates {
            inputs.push((topology.command_group(aggregate.name()), aggregate.topics().commands.clone()));
        }
        for saga in &self.of.sagas {
            inputs.push((topology.saga_group(saga.name()), saga.topics().inbox.clone()));
            for source in saga.sources() {
                inputs.push((topology.router_group(saga.name(), source), topology.aggregate(source).events));
            }
        }
        for (group, topic) in inputs {
            for number in 0..topology.partitions {
                let place = [topic.partition(Partition(number))];
                let ends = |isolation| Ok::<_, LogError>(self.world.log.bounds(&place, isolation)?[0].end);
                if ends(Isolation::Committed)? < ends(Isolation::Uncommitted)? {
                    return Ok(Some(format!("a transaction is open in {}", place[0])));
                }
                let committed = self.world.log.committed(&group, &place)?.pop().flatten();
                let mut next = committed.map_or(Offset::ZERO, |committed| committed.offset);
                if let Some(record) = read_on(&*self.world.log, &mut *self.reader, &place[0], &mut next)?.first() {
                    return Ok(Some(format!("group {group} stands before {} offset {}", place[0], record.offset)));
                }
            }
        }
        Ok(None)
    }

    /// Ends every thread of the schedule.
    fn bury(&mut self) {
        self.workers.iter().chain(&self.stopped).for_each(Worker::kill);
        self.workers.append(&mut self.stopped);
        self.workers.iter_mut().for_each(Worker::drain);
        turns::until_alone(CALM);
    }

    /// The whole log, as `verify` audits it.
    fn audit(&self) -> Result<(), String> {
        let scope = Scope { log: &*self.world.log, topology: &self.of.topology, stall: CALM, progress: &|_| {} };
        let mut findings = Findings::default();
        let text = |error: crate::verify::VerifyError| error.to_string();
        for aggregate in &self.of.aggregates {
            aggregate.verify(&scope, &mut findings).map_err(text)?;
        }
        let commands = Commands(&self.of.aggregates);
        for saga in &self.of.sagas {
            saga.verify(&scope, &commands, &mut findings).map_err(text)?;
        }
        for invariant in &self.of.invariants {
            invariant.verify(&scope, &self.of.registry, &mut findings).map_err(text)?;
        }
        match findings.violations() {
            [] => Ok(()),
            [first, rest @ ..] => Err(format!("{first} (and {} more)", rest.len())),
        }
    }
}
