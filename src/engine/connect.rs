//! Connects an application to its log, its registry and its database, as the settings say.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::schemas::{self, Subject};
use super::topics::{self, TopicState, TopicsError};
use super::{AggregateGate, AggregateType, Application, ApplicationError, BadInput, Health, SagaGate, suggest};
use crate::aggregate::AttemptsRetention;
use crate::clock::Clock;
use crate::command::{Client, ClientError, Reply};
use crate::log::embedded::{self, Opened};
use crate::log::kafka::KafkaLog;
use crate::log::{Log, LogError, Retention, TopicSpec};
use crate::projection::worker::WorkerParts;
use crate::projection::{ViewError, Views};
use crate::schema::{ConfluentRegistry, EmbeddedRegistry, RecordCodec, Registry, RegistryError, SchemaError};
use crate::settings::{LogSetting, Settings};
use crate::topology::Topology;

/// Why an application cannot be connected, or cannot work on what it is connected to.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The schemas.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The topics.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// The application, as it is put together.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// Kafka without a registry.
    #[error("Kafka needs a schema registry: set `registry` (--registry http://HOST:PORT)")]
    NoRegistry,
}

/// Where the log is, seen from this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the embedded one, held by this process.
    Held,
    /// It is the embedded one, held by another process that works on it.
    Served,
    /// It is a cluster.
    Cluster,
}

/// An application, connected.
pub struct Engine {
    /// What it consists of.
    pub app: Arc<Application>,
    /// The settings it was connected by.
    pub settings: Settings,
    /// The shape of its topics.
    pub topology: Topology,
    /// The wall clock.
    pub clock: Clock,
    /// The log.
    pub log: Arc<dyn Log>,
    /// The registry.
    pub registry: Arc<dyn Registry>,
    /// Its aggregates, with their codecs.
    pub aggregates: Vec<Arc<dyn AggregateGate>>,
    /// Its sagas, with their codecs.
    pub sagas: Vec<Arc<dyn SagaGate>>,
    /// Where the log is.
    pub place: Place,
    /// How this process is.
    pub health: Health,
    /// The views' database, once somebody asked for it.
    views: OnceCell<Views>,
}

impl Engine {
    /// Connects. On an embedded log, topics are created and schemas registered where they are missing;
    /// on a cluster both are left to `topics apply` and `schemas push`. Blocks.
    pub fn connect(app: Arc<Application>, settings: Settings) -> Result<Self, EngineError> {
        Self::connect_with_clock(app, settings, Clock::system())
    }

    /// The same by another clock, which stamps the records of an embedded log as well.
    pub(crate) fn connect_with_clock(
        app: Arc<Application>,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, EngineError> {
        app.check()?;
        let topology = settings.topology(app.name);
        let (log, place) = open_log(&settings, &clock)?;
        let registry = open_registry(&settings, &log)?;
        let aggregates =
            app.aggregates.iter().map(|it| it.open(&registry, &topology)).collect::<Result<_, SchemaError>>()?;
        let sagas: Vec<_> =
            app.sagas.iter().map(|it| it.open(&registry, &topology)).collect::<Result<_, SchemaError>>()?;
        sagas.iter().try_for_each(|saga: &Arc<dyn SagaGate>| app.check_saga(saga.as_ref()))?;
        let engine = Self {
            app,
            settings,
            topology,
            clock,
            log,
            registry,
            aggregates,
            sagas,
            place,
            health: Health::default(),
            views: OnceCell::new(),
        };
        if place == Place::Held {
            engine.log.create(&engine.topic_specs())?;
            topics::require(&engine.topics()?)?;
            schemas::push(engine.registry.as_ref(), engine.subjects())?;
        }
        Ok(engine)
    }

    /// The topics that the application needs.
    pub fn topic_specs(&self) -> Vec<TopicSpec> {
        let aggregates: Vec<_> = self.aggregates.iter().map(|aggregate| aggregate.name()).collect();
        let sagas: Vec<_> = self.sagas.iter().map(|saga| saga.name()).collect();
        let mut specs = self.topology.specs(&aggregates, &sagas);
        let forever =
            |aggregate: &&Arc<dyn AggregateType>| aggregate.attempts_retention() == AttemptsRetention::Forever;
        for aggregate in self.app.aggregates.iter().filter(forever) {
            let topics = self.topology.aggregate(aggregate.name());
            for spec in specs.iter_mut().filter(|spec| [&topics.commands, &topics.outcomes].contains(&&spec.topic)) {
                spec.retention = Retention::Forever;
            }
        }
        specs
    }

    /// The topics that the application needs, and what is there. Blocks.
    pub fn topics(&self) -> Result<Vec<TopicState>, LogError> {
        topics::compare(self.log.as_ref(), self.topic_specs())
    }

    /// The schemas that this release writes.
    pub fn subjects(&self) -> Vec<Subject> {
        let of_aggregates = self.aggregates.iter().flat_map(|aggregate| aggregate.subjects());
        let mut subjects: Vec<_> = of_aggregates.chain(self.sagas.iter().flat_map(|saga| saga.subjects())).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }

    /// Whether workers can run: topics and schemas are there and as they must be. Blocks.
    pub fn require_ready(&self) -> Result<(), EngineError> {
        topics::require(&self.topics()?)?;
        for Subject { name, schema } in self.subjects() {
            if self.registry.lookup(&name, &schema)?.is_none() {
                return Err(SchemaError::NotRegistered { subject: name }.into());
            }
        }
        Ok(())
    }

    /// The aggregate of this name.
    pub fn aggregate(&self, name: &str) -> Result<&Arc<dyn AggregateGate>, BadInput> {
        self.aggregates.iter().find(|aggregate| aggregate.name() == name).ok_or_else(|| {
            let hint = suggest(name, self.aggregates.iter().map(|aggregate| aggregate.name()));
            BadInput::at("/aggregate", format!("there is no aggregate {name:?}{hint}"))
        })
    }

    /// The saga of this name.
    pub fn saga(&self, name: &str) -> Result<&Arc<dyn SagaGate>, BadInput> {
        self.sagas.iter().find(|saga| saga.name() == name).ok_or_else(|| {
            let hint = suggest(name, self.sagas.iter().map(|saga| saga.name()));
            BadInput::at("/saga", format!("there is no saga {name:?}{hint}"))
        })
    }

    /// The views' database. It is connected to when it is first asked for: not everybody needs it.
    pub async fn views(&self) -> Result<&Views, ViewError> {
        // Boxed: every query's future would be as large as that of connecting, and is moved about a lot.
        let connect =
            || Box::pin(async { Views::connect(&self.settings.views().to_string(), &self.topology.app).await });
        self.views.get_or_try_init(connect).await
    }

    /// What a worker of this process works with; `instance` names it across restarts.
    #[must_use]
    pub fn worker_parts(&self, instance: Option<String>) -> WorkerParts {
        let (log, registry) = (self.log.clone(), self.registry.clone());
        WorkerParts { log, registry, topology: self.topology.clone(), clock: self.clock.clone(), instance }
    }

    /// A client with so many commands under way at most. Blocks.
    pub fn client(&self, in_flight: usize) -> Result<Client, EngineError> {
        let replies = RecordCodec::<Reply>::new(self.registry.clone(), self.topology.replies().as_str())?;
        Client::open(&self.log, &self.topology, replies, in_flight).map_err(not_opened)
    }

    /// The same with a partition of the replies of its own, as soon as one is to be had. Who goes through
    /// another process to an embedded log is in no group, and shares one. Blocks.
    pub fn client_with_own_replies(&self, in_flight: usize) -> Result<Client, EngineError> {
        let mut client = self.client(in_flight)?;
        if self.place == Place::Served {
            return Ok(client);
        }
        client.claim_replies(&self.log, &self.topology).map_err(not_opened)?;
        Ok(client)
    }
}

fn not_opened(error: ClientError) -> EngineError {
    match error {
        ClientError::Log(error) => error.into(),
        other => LogError::Fatal(other.to_string()).into(),
    }
}

/// The log of these settings. Blocks.
fn open_log(settings: &Settings, clock: &Clock) -> Result<(Arc<dyn Log>, Place), LogError> {
    match &settings.log {
        LogSetting::Embedded(folder) => open_embedded(folder, settings.sync, clock),
        LogSetting::Kafka => Ok((Arc::new(KafkaLog::connect(settings.kafka.clone())?), Place::Cluster)),
    }
}

fn open_embedded(folder: &Path, sync: bool, clock: &Clock) -> Result<(Arc<dyn Log>, Place), LogError> {
    let settings = embedded::Settings { sync, ..embedded::Settings::default() };
    let opened = embedded::connect_or_open(&folder.join("log"), &settings, clock)?;
    let place = match &opened {
        Opened::Holder(_) => Place::Held,
        Opened::Guest(_) => Place::Served,
    };
    Ok((opened.into_log(), place))
}

/// The registry of these settings; the embedded log is its own. Blocks.
fn open_registry(settings: &Settings, log: &Arc<dyn Log>) -> Result<Arc<dyn Registry>, EngineError> {
    match (&settings.log, &settings.registry) {
        (LogSetting::Embedded(_), None) => Ok(Arc::new(EmbeddedRegistry::open(log.clone())?)),
        (_, Some(url)) => Ok(Arc::new(ConfluentRegistry::new(url.expose())?)),
        (LogSetting::Kafka, None) => Err(EngineError::NoRegistry),
    }
}
