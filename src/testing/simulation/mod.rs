//! The simulator: an application's workers on a log in memory, with every fault that a seed comes up with,
//! held to what must always hold.
//!
//! One schedule is one seed. Its workers are the engine's own: command processors, saga routers, saga
//! processors and projection workers, several processes of them. Their threads
//! [take turns](crate::clock), and the seed says whose it is, what happens at each call to the log and to the
//! views' database (the process stops before or after it, it fails, its answer is lost, it takes longer than a
//! session, it is done when nobody waits for it any more), which process is killed, frozen, drained or
//! started, when the disk is full, which view is replayed from its first event, and which commands are sent,
//! again or for the first time. Time is the schedule's own. So a seed that fails does so each time.
//!
//! What is held to what must hold:
//!
//! * at every step, the log to a plain model: each command judged once, by the aggregate's own
//!   `decide` on the state its events fold to; versions and sequences without gap; events, outcomes,
//!   commands handed on and replies as that says, nothing else, and nothing of an aborted transaction;
//! * at every step, each view to the fold of its events up to the offsets that are stored beside its rows;
//! * once faults have ceased, everything is answered, and views are where their events end;
//! * at the end, the whole log to what [`verify`](crate::verify) audits: snapshots and checkpoints, what
//!   sagas issued, and the application's own invariants.
//!
//! | file | what |
//! |---|---|
//! | `load` | the commands that are sent |
//! | `fate` | what befalls a process at its calls |
//! | `worker` | one process: its lanes and projection workers, behind its fate |
//! | `database` | the database of the views |
//! | `view` | the views: held to the fold of their events, reset, waited for |
//! | `schedule` | one seed from its first step to its last |
//! | `model` | what must be in the log of one aggregate type |
//! | `trace` | what happened, to be shown and compared |

mod database;
mod fate;
mod load;
mod model;
mod schedule;
mod trace;
mod view;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;

use self::database::Database;
use self::load::{Load, Sender};
use self::model::{Judged, ModelOf};
use self::schedule::Schedule;
use crate::aggregate::Aggregate;
use crate::clock::Seeded;
use crate::engine::schemas::Subject;
use crate::engine::{self, AggregateGate, InvariantType, ProjectionType, SagaGate};
use crate::projection::{Projection, ViewError};
use crate::saga::Saga;
use crate::schema::{InMemoryRegistry, Registry};
use crate::topology::Topology;
use crate::verify::Invariant;

/// How long topics keep records, which no schedule outlasts.
const RETENTION: Duration = Duration::from_hours(24);

/// An application to be simulated.
///
/// ```
/// # use headwater::aggregate::{Aggregate, Context, Decision, EventContext};
/// # use headwater::schema::{Message, MessageSchema};
/// # use serde::{Deserialize, Serialize};
/// # const ADD: &str = r#"{"type": "record", "name": "Add", "fields": [{"name": "amount", "type": "long"}]}"#;
/// # const ADDED: &str = r#"{"type": "record", "name": "Added", "fields": [{"name": "amount", "type": "long"}]}"#;
/// # const TOTAL: &str = r#"{"type": "record", "name": "Total", "fields": [{"name": "sum", "type": "long"}]}"#;
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # struct Add { amount: i64 }
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # enum Command { Add(Add) }
/// # impl Message for Command { const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new("Add", ADD)]; }
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # struct Added { amount: i64 }
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # enum Event { Added(Added) }
/// # impl Message for Event { const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new("Added", ADDED)]; }
/// # #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
/// # struct Total { sum: i64 }
/// # impl Message for Total { const SCHEMAS: &'static [MessageSchema] = &[MessageSchema::new("Total", TOTAL)]; }
/// # impl Aggregate for Total {
/// #     const NAME: &'static str = "total";
/// #     type Id = String;
/// #     type Command = Command;
/// #     type Event = Event;
/// #     type Refusal = std::convert::Infallible;
/// #     fn decide(&self, Command::Add(Add { amount }): Command, _: &Context<'_>)
/// #         -> Result<Decision<Event>, Self::Refusal> { Ok(Decision::event(Event::Added(Added { amount }))) }
/// #     fn evolve(&mut self, Event::Added(Added { amount }): &Event, _: &EventContext<'_>) { self.sum += amount; }
/// # }
/// use headwater::testing::simulation::Simulation;
///
/// let simulation = Simulation::new("shop").aggregate::<Total>().commands::<Total>(|random| {
///     let amount = i64::try_from(random.below(100)).unwrap_or(0);
///     (format!("till-{}", random.below(5)), Command::Add(Add { amount }))
/// });
/// let summary = simulation.run(0..20).unwrap_or_else(|failure| panic!("{failure}"));
/// assert!(summary.commands > 0);
/// ```
#[must_use = "a simulation does nothing until it is run"]
pub struct Simulation {
    registry: Arc<dyn Registry>,
    topology: Topology,
    aggregates: Vec<Arc<dyn AggregateGate>>,
    sagas: Vec<Arc<dyn SagaGate>>,
    projections: Vec<Arc<dyn ProjectionType>>,
    /// Where the database of the views is spoken to, if there are any.
    runtime: Option<Arc<Runtime>>,
    invariants: Vec<Arc<dyn InvariantType>>,
    models: Vec<Arc<dyn Judged>>,
    loads: Vec<Arc<dyn Load>>,
    #[cfg(feature = "mutations")]
    mutation: Option<crate::clock::Mutation>,
    /// The first part of the application that cannot be used.
    unusable: Option<String>,
}

impl Simulation {
    /// An application of this name, without parts yet.
    pub fn new(app: &str) -> Self {
        let topology = Topology {
            app: app.to_owned(),
            partitions: 2,
            reply_partitions: 1,
            command_retention: RETENTION,
            reply_retention: RETENTION,
        };
        Self {
            registry: Arc::new(InMemoryRegistry::default()),
            topology,
            aggregates: Vec::new(),
            sagas: Vec::new(),
            projections: Vec::new(),
            runtime: None,
            invariants: Vec::new(),
            models: Vec::new(),
            loads: Vec::new(),
            #[cfg(feature = "mutations")]
            mutation: None,
            unusable: None,
        }
    }

    /// With this aggregate.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        let opened = engine::aggregate::<A>().open(&self.registry, &self.topology);
        let model = ModelOf::<A>::new(&self.registry, &self.topology);
        match opened.and_then(|gate| Ok((gate, model?))) {
            Ok((gate, model)) => {
                self.register(gate.subjects());
                self.aggregates.push(gate);
                self.models.push(Arc::new(model));
            }
            Err(error) => self.is_unusable(error),
        }
        self
    }

    /// Sends commands that `make` makes: each with the id of its aggregate. Some are sent several times, and
    /// some with an expected version.
    pub fn commands<A: Aggregate>(
        mut self,
        make: impl Fn(&mut Seeded) -> (String, A::Command) + Send + Sync + 'static,
    ) -> Self {
        match Sender::<A>::new(&self.registry, &self.topology, Box::new(make)) {
            Ok(load) => self.loads.push(Arc::new(load)),
            Err(error) => self.is_unusable(error),
        }
        self
    }

    /// With this saga.
    pub fn saga<S: Saga>(mut self) -> Self {
        match engine::saga::<S>().open(&self.registry, &self.topology) {
            Ok(gate) => {
                self.register(gate.subjects());
                self.sagas.push(gate);
            }
            Err(error) => self.is_unusable(error),
        }
        self
    }

    /// With this projection. At every step its view is held to the fold of its events.
    pub fn projection<P: Projection>(mut self, projection: P) -> Self {
        let projection = engine::projection(projection);
        let shape = projection.shape().map_err(|error| error.to_string());
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        match (shape, runtime()) {
            (Ok(_), Ok(runtime)) => {
                self.runtime.get_or_insert_with(|| Arc::new(runtime));
                self.projections.push(projection);
            }
            (Err(error), _) => self.is_unusable(error),
            (_, Err(error)) => self.is_unusable(error),
        }
        self
    }

    fn is_unusable(&mut self, error: impl fmt::Display) {
        self.unusable.get_or_insert_with(|| error.to_string());
    }

    fn register(&mut self, subjects: Vec<Subject>) {
        for Subject { name, schema } in subjects {
            if let Err(error) = self.registry.register(&name, &schema) {
                self.is_unusable(error);
            }
        }
    }

    /// With this promise about its events.
    pub fn invariant<I: Invariant>(mut self) -> Self {
        self.invariants.push(engine::invariant::<I>());
        self
    }

    /// With a fault in the engine itself.
    #[cfg(feature = "mutations")]
    pub fn with_mutation(mut self, mutation: crate::clock::Mutation) -> Self {
        self.mutation = Some(mutation);
        self
    }

    /// Runs the schedule of each seed, as many side by side as there are cores.
    ///
    /// # Errors
    /// The lowest seed that was found to fail, and how. Others may not have been run.
    pub fn run(&self, seeds: std::ops::Range<u64>) -> Result<Summary, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (next, failed) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
        let work = || {
            let mut done = Vec::new();
            while !failed.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    break;
                }
                let run = self.replay(seed);
                failed.fetch_or(run.is_err(), Ordering::Relaxed);
                done.push(run);
            }
            done
        };
        let runs = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            let done = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            done.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
        });
        let mut summary = Summary::default();
        let mut first: Option<Failure> = None;
        for run in runs {
            match run {
                Ok(run) => summary.add(&run),
                Err(failure) if first.as_ref().is_none_or(|first| failure.seed < first.seed) => first = Some(failure),
                Err(_) => {}
            }
        }
        first.map_or(Ok(summary), Err)
    }

    /// Runs the schedule of one seed.
    ///
    /// # Errors
    /// If something does not hold.
    pub fn replay(&self, seed: u64) -> Result<Summary, Failure> {
        if let Some(error) = &self.unusable {
            return Err(Failure { seed, what: error.clone(), trace: String::new() });
        }
        let failed = |error: ViewError| Failure { seed, what: error.to_string(), trace: String::new() };
        let database = self.runtime.as_ref().map(|runtime| Database::make(runtime, &self.topology.app));
        let database = database.transpose().map_err(failed)?;
        let run = || Schedule::run(self, seed, database);
        #[cfg(feature = "mutations")]
        return crate::clock::turns::simulate(seed, self.mutation, run);
        #[cfg(not(feature = "mutations"))]
        return crate::clock::turns::simulate(seed, run);
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("app", &self.topology.app).finish_non_exhaustive()
    }
}

/// What was simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many schedules.
    pub schedules: u64,
    /// Commands that were judged, repeats not counted.
    pub commands: u64,
    /// Events.
    pub events: u64,
    /// Faults, kills and whatever else was done to the workers.
    pub faults: u64,
    /// Turns that threads took.
    pub turns: u64,
    /// A hash of all that happened, in order: the same seed gives the same.
    pub digest: u64,
}

impl Summary {
    fn add(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.commands += other.commands;
        self.events += other.events;
        self.faults += other.faults;
        self.turns += other.turns;
        self.digest ^= other.digest;
    }
}

/// A schedule in which something did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its seed: [`Simulation::replay`] shows it again.
    pub seed: u64,
    /// What did not hold, and where.
    pub what: String,
    /// The last things that were done to the workers, and when.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} fails: {}\n{}\nsee it again with replay({})", self.seed, self.what, self.trace, self.seed)
    }
}

impl std::error::Error for Failure {}
