//! The workers of this process.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use super::health::RoleHealth;
use super::instance::Instance;
use super::{CatchUpError, Engine, EngineError};
use crate::aggregate::HandOffTargets;
use crate::aggregate::processor::{ProcessorParts, ProcessorSettings};
use crate::lane::{LaneError, Lanes};
use crate::projection::WorkerError;
use crate::projection::worker::{Pulse, Worker, WorkerSettings};
use crate::store::local::{self, LocalStore, LocalStoreError};

/// What a worker can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Judges commands.
    Commands,
    /// Runs the instances of sagas.
    Sagas,
    /// Folds events into views.
    Projections,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 3] = [Self::Commands, Self::Sagas, Self::Projections];
}

/// Why a worker ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// What it works on is not ready.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It has no name of its own.
    #[error("this worker cannot be named: {0}; set `instance`")]
    Instance(#[source] io::Error),
    /// The local store.
    #[error(transparent)]
    Store(#[from] LocalStoreError),
    /// A command processor.
    #[error("commands of {aggregate}: {source}")]
    Commands {
        /// The aggregate.
        aggregate: &'static str,
        /// Why it ended.
        source: LaneError,
    },
    /// A saga.
    #[error("saga {saga}: {source}")]
    Sagas {
        /// The saga.
        saga: &'static str,
        /// Why it ended.
        source: LaneError,
    },
    /// A projection worker.
    #[error("view {view}: {source}")]
    Projections {
        /// The view.
        view: &'static str,
        /// Why it ended.
        source: WorkerError,
    },
    /// The views do not get to where the log is.
    #[error("the views do not catch up: {0}")]
    CatchUp(#[from] CatchUpError),
    /// A task of the runtime was cancelled or panicked.
    #[error("a worker's task ended early: {0}")]
    Task(#[from] JoinError),
}

/// Running workers. Dropping them stops them.
pub struct Roles {
    processors: Vec<Running>,
    workers: Vec<RunningWorker>,
    /// Kept until the last worker has left.
    instance: Instance,
}

/// The lanes of an aggregate's commands or of a saga.
struct Running {
    /// The aggregate or the saga.
    name: &'static str,
    lanes: Lanes,
    failed: Box<dyn FnOnce(LaneError) -> RoleError + Send>,
}

/// A projection worker, watched by a task that ends when it has ended.
struct RunningWorker {
    view: &'static str,
    pulse: Pulse,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), RoleError>>,
}

impl RunningWorker {
    fn watch(mut worker: Worker) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (view, pulse) = (worker.view(), worker.pulse());
        let ended = tokio::spawn(async move {
            let ended = tokio::select! {
                ended = worker.ended() => Some(ended),
                _ = stopped => None,
            };
            let ended = if let Some(ended) = ended {
                ended
            } else {
                worker.stop();
                worker.ended().await
            };
            ended.map_err(|source| RoleError::Projections { view, source })
        });
        Self { view, pulse, stop, ended }
    }
}

impl Roles {
    /// Starts these roles.
    pub async fn start(engine: &Arc<Engine>, roles: &[Role]) -> Result<Self, RoleError> {
        let of = engine.clone();
        let instance = tokio::task::spawn_blocking(move || {
            of.require_ready()?;
            let given = of.settings.instance.as_deref();
            Instance::claim(given, &of.settings.state()).map_err(RoleError::Instance)
        });
        let mut running = Self { processors: Vec::new(), workers: Vec::new(), instance: instance.await?? };
        if roles.contains(&Role::Projections) {
            running.start_projections(engine).await?;
        }
        let (of, roles, instance) = (engine.clone(), roles.to_vec(), running.instance.name().to_owned());
        running.processors = tokio::task::spawn_blocking(move || start_processors(&of, &roles, &instance)).await??;
        Ok(running)
    }

    async fn start_projections(&mut self, engine: &Engine) -> Result<(), RoleError> {
        for projection in &engine.app.projections {
            let view = projection.name();
            let failed = |source: WorkerError| RoleError::Projections { view, source };
            let views = engine.views().await.map_err(|error| failed(error.into()))?;
            let parts = engine.worker_parts(Some(self.instance.name().to_owned()));
            let worker = projection.start(views, parts, WorkerSettings::default()).await.map_err(failed)?;
            self.workers.push(RunningWorker::watch(worker));
        }
        Ok(())
    }

    /// Whether a worker has ended, which it only does by itself when it cannot go on.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let processor_ended = self.processors.iter().any(|running| running.lanes.has_ended());
        processor_ended || self.workers.iter().any(|worker| worker.ended.is_finished())
    }

    /// Looks at all of them, for those who ask how this process is.
    pub fn look(&self, engine: &Engine) {
        let (topology, mut roles) = (&engine.topology, Vec::new());
        for Running { name, lanes, .. } in &self.processors {
            if lanes.kind() == "commands" {
                engine.health.see_lanes(name, lanes.partitions());
            }
            roles.push(RoleHealth::of_lanes(name, lanes));
        }
        for RunningWorker { view, pulse, ended, .. } in &self.workers {
            let group = topology.projection_group(view);
            roles.push(RoleHealth::of_view(view, group, ended.is_finished(), &pulse.status()));
        }
        engine.health.see_roles(roles);
    }

    /// Finishes what is under way, leaves the groups, and says the first error.
    pub async fn stop(self) -> Result<(), RoleError> {
        let Self { processors, workers, instance } = self;
        for running in &processors {
            running.lanes.stop();
        }
        let mut ended = Vec::new();
        for RunningWorker { stop, ended: watching, .. } in workers {
            // One that has ended by itself listens no more.
            let _ = stop.send(());
            ended.push(watching);
        }
        let joined = tokio::task::spawn_blocking(move || join(processors));
        let mut first = joined.await?;
        for watching in ended {
            first = first.and(watching.await?);
        }
        drop(instance);
        first
    }
}

/// Where command processors keep their state besides the log.
fn open_store(engine: &Engine, roles: &[Role], instance: &str) -> Result<Option<Arc<LocalStore>>, RoleError> {
    if !engine.settings.processor.store || !roles.contains(&Role::Commands) {
        return Ok(None);
    }
    Ok(Some(LocalStore::open(&local::folder_of(&engine.settings.state(), instance))?))
}

fn start_processors(engine: &Engine, roles: &[Role], instance: &str) -> Result<Vec<Running>, RoleError> {
    let store = open_store(engine, roles, instance)?;
    let mut targets = HandOffTargets::new(engine.topology.partitions);
    engine.aggregates.iter().for_each(|aggregate| aggregate.add_to(&mut targets));
    engine.sagas.iter().for_each(|saga| saga.add_to(&mut targets));
    let parts = ProcessorParts {
        log: engine.log.clone(),
        topology: engine.topology.clone(),
        targets,
        clock: engine.clock.clone(),
        settings: ProcessorSettings {
            slow_command: engine.settings.telemetry.slow_command.0,
            ..engine.settings.processor.clone()
        },
        store,
        instance: instance.to_owned(),
    };
    let mut processors = Vec::new();
    if roles.contains(&Role::Commands) {
        for gate in &engine.aggregates {
            let aggregate = gate.name();
            let failed = move |source| RoleError::Commands { aggregate, source };
            let lanes = gate.start(&parts).map_err(failed)?;
            processors.push(Running { name: aggregate, lanes, failed: Box::new(failed) });
        }
    }
    if roles.contains(&Role::Sagas) {
        for gate in &engine.sagas {
            let saga = gate.name();
            let failed = move |source| RoleError::Sagas { saga, source };
            let started = gate.start(&parts, &engine.settings.saga).map_err(failed)?;
            processors.extend(started.into_iter().map(|lanes| Running { name: saga, lanes, failed: Box::new(failed) }));
        }
    }
    Ok(processors)
}

fn join(processors: Vec<Running>) -> Result<(), RoleError> {
    let mut first = Ok(());
    for Running { lanes, failed, .. } in processors {
        first = first.and(lanes.join().map_err(failed));
    }
    first
}
