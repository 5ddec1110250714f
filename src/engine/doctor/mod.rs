//! Whether everything is there that workers need, and what to do where it is not.
//!
//! Each thing is looked at by itself, so that one that is away hides no other. It changes nothing, except
//! that an embedded log which does not exist yet is made, as by every command.

mod cluster;
mod disk;
mod limits;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::schemas::{self, SubjectFinding};
use super::topics::TopicFinding;
use super::{Application, Engine, Place, ProjectionType};
use crate::log::kafka::KafkaLog;
use crate::log::{LogError, TopicPartition};
use crate::position::Partition;
use crate::projection::{Cell, ViewError, Views};
use crate::schema::{ConfluentRegistry, Registry};
use crate::settings::{LogSetting, Settings, ViewsSetting};

/// Commands that come from further in the future than this are refused.
const MOST_SKEW: Duration = Duration::from_mins(1);
const DATABASE_WAIT: Duration = Duration::from_secs(10);

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it must be.
    Ok,
    /// It works, but not as it should, or not for long.
    Warning,
    /// Workers cannot run, or what they promise is in danger.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it stands.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl fmt::Display) -> Self {
        Self { check, health: Health::Ok, found: found.to_string(), remedy: None }
    }

    fn warning(check: &'static str, found: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { check, health: Health::Warning, found: found.to_string(), remedy: Some(remedy.to_string()) }
    }

    /// Errors of the engine say what to do themselves.
    fn failed(check: &'static str, error: impl fmt::Display) -> Self {
        Self { check, health: Health::Bad, found: error.to_string(), remedy: None }
    }

    fn bad(check: &'static str, found: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { remedy: Some(remedy.to_string()), ..Self::failed(check, found) }
    }
}

/// Looks at everything. `looked` hears of each thing as soon as it is known.
pub async fn examine(
    app: &Arc<Application>,
    settings: &Settings,
    mut looked: impl FnMut(Finding),
) -> Result<(), tokio::task::JoinError> {
    disk::examine(settings).into_iter().for_each(&mut looked);
    let (of, with) = (app.clone(), settings.clone());
    let logged = tokio::task::spawn_blocking(move || examine_log(of, with)).await?;
    logged.into_iter().for_each(&mut looked);
    views(app, settings).await.into_iter().for_each(&mut looked);
    limits::conflicts(settings).into_iter().for_each(&mut looked);
    limits::limits(app.name, settings).into_iter().for_each(&mut looked);
    Ok(())
}

fn examine_log(app: Arc<Application>, settings: Settings) -> Vec<Finding> {
    let (mut findings, answers) = match &settings.log {
        LogSetting::Kafka => cluster(&settings),
        LogSetting::Embedded(_) => (Vec::new(), true),
    };
    if answers {
        match Engine::connect(app, settings) {
            Ok(engine) => findings.extend(connected(&engine)),
            Err(error) => findings.push(Finding::failed("connection", error)),
        }
    } else if let Some(url) = &settings.registry {
        // Topics and schemas cannot be compared without a log; whether the registry answers can be said.
        let asked = ConfluentRegistry::new(url.expose()).and_then(|registry| registry.latest("doctor"));
        findings.push(match asked {
            Ok(_) => Finding::ok("registry", format!("{url:?} answers")),
            Err(error) => Finding::failed("registry", error),
        });
    }
    findings
}

/// What can be said of a cluster without the application, and whether it answers at all.
fn cluster(settings: &Settings) -> (Vec<Finding>, bool) {
    match KafkaLog::connect(settings.kafka.clone()).and_then(|log| log.facts()) {
        Err(error) => {
            let remedy = "start it, or set its address: kafka.bootstrap_servers, -X bootstrap.servers=HOST:PORT";
            (vec![Finding::bad("brokers", error, remedy)], false)
        }
        Ok(facts) => {
            let mut findings = vec![cluster::brokers(&facts)];
            findings.extend(cluster::conflicts(&facts, settings.processor.record_bytes));
            (findings, true)
        }
    }
}

fn connected(engine: &Engine) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let LogSetting::Embedded(folder) = &engine.settings.log {
        let holder =
            if engine.place == Place::Served { "a worker holds it and answers" } else { "nobody else holds it" };
        findings.push(Finding::ok("log", format!("embedded in {}: {holder}", folder.display())));
    }
    findings.extend(topics(engine));
    findings.extend(registry(engine));
    findings.push(clock(engine).unwrap_or_else(|error| Finding::failed("clock", error)));
    findings
}

fn topics(engine: &Engine) -> Vec<Finding> {
    let states = match engine.topics() {
        Ok(states) => states,
        Err(error) => return vec![Finding::failed("topics", error)],
    };
    let mut findings = Vec::new();
    let missing: Vec<_> = states.iter().filter(|state| state.finding == TopicFinding::Missing).collect();
    if let [first, ..] = missing[..] {
        let found = format!("{} of {} do not exist, {} among them", missing.len(), states.len(), first.wanted.topic);
        findings.push(Finding::bad("topics", found, "create them with `topics apply`"));
    }
    for state in &states {
        let found = || format!("{}: {}", state.wanted.topic, state.finding);
        match state.finding {
            TopicFinding::Ready | TopicFinding::Missing => {}
            TopicFinding::Differs(_) => {
                findings.push(Finding::warning(
                    "topics",
                    found(),
                    "change the topic or the settings; see `topics plan`",
                ));
            }
            TopicFinding::Unusable(_) => findings.push(Finding::failed("topics", found())),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("topics", format!("all {} are there and as they must be", states.len())));
    }
    findings
}

fn registry(engine: &Engine) -> Vec<Finding> {
    let states = match schemas::compare(engine.registry.as_ref(), engine.subjects()) {
        Ok(states) => states,
        Err(error) => return vec![Finding::failed("registry", error)],
    };
    let (registered, rest): (Vec<_>, Vec<_>) =
        states.iter().partition(|state| matches!(state.finding, SubjectFinding::Registered(_)));
    let mut findings: Vec<_> = rest
        .iter()
        .map(|state| {
            let remedy = match state.finding {
                SubjectFinding::Incompatible(_) => "a change of a schema must be compatible; see `schemas check`",
                _ => "register it with `schemas push`",
            };
            Finding::bad("registry", format!("{}: {}", state.subject.name, state.finding), remedy)
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok("registry", format!("all {} schemas are registered", registered.len())));
    }
    findings
}

/// Compares this machine's clock with the log's, as far as that stamped something ahead of it. A log whose
/// clock is behind shows itself by commands that fail with `clock_skew`.
fn clock(engine: &Engine) -> Result<Finding, LogError> {
    let now = engine.clock.now();
    for aggregate in &engine.aggregates {
        for number in 0..engine.topology.partitions {
            let place: TopicPartition = aggregate.topics().commands.partition(Partition(number));
            let ahead = match engine.log.offset_at(&place, now.plus(MOST_SKEW)) {
                // What is missing is told with the topics.
                Err(LogError::Missing(_)) => continue,
                other => other?,
            };
            if let Some(offset) = ahead {
                let found = format!(
                    "the log stamped {place} offset {offset} more than a minute ahead of this machine's clock ({now})"
                );
                let remedy = "set the clocks of this machine and of the brokers (NTP): commands would fail as too_old";
                return Ok(Finding::bad("clock", found, remedy));
            }
        }
    }
    Ok(Finding::ok("clock", format!("{now}; the log stamped nothing ahead of it")))
}

/// The database of the views, and whether its tables are those that this release folds into.
async fn views(app: &Application, settings: &Settings) -> Vec<Finding> {
    let setting = settings.views();
    let asked = async {
        let views = Views::connect(&setting.to_string(), &settings.topology(app.name).app).await?;
        let mut reading = views.store().read(&[], DATABASE_WAIT).await?;
        let sql = match setting {
            ViewsSetting::Sqlite(_) => "SELECT 'SQLite ' || sqlite_version() AS version",
            ViewsSetting::Postgres(_) => "SELECT 'PostgreSQL ' || current_setting('server_version') AS version",
        };
        let version = reading.select(sql, &[], 1).await?;
        Ok::<_, ViewError>((views, version))
    };
    let (views, version) = match tokio::time::timeout(DATABASE_WAIT, asked).await {
        Err(_) => {
            let found = format!("no answer from {setting:?} within {DATABASE_WAIT:?}");
            return vec![Finding::bad("views", found, "look after the database, or set --views")];
        }
        Ok(Err(error)) => return vec![Finding::failed("views", error)],
        Ok(Ok(both)) => both,
    };
    let version = match version.rows.first().and_then(|row| row.first()) {
        Some(Cell::Text(version)) => version.clone(),
        _ => "a database that does not say its version".to_owned(),
    };
    let mut findings = vec![Finding::ok("views", format!("{version} at {setting:?}"))];
    for projection in &app.projections {
        findings.push(view(projection.as_ref(), &views).await);
    }
    findings
}

async fn view(projection: &dyn ProjectionType, views: &Views) -> Finding {
    let name = projection.name();
    let progress = match projection.shape() {
        Ok(shape) => views.store().progress(&shape).await,
        Err(error) => Err(error.into()),
    };
    match progress {
        Ok(progress) if progress.parked > 0 => Finding::warning(
            "views",
            format!("view {name} has parked {} aggregates: what it says of them stands still", progress.parked),
            format!("correct the projection, then `replay {name} --to earliest`"),
        ),
        Ok(progress) if progress.partial => Finding::warning(
            "views",
            format!("view {name} was replayed to something else than its first event: something may be missing"),
            format!("`replay {name} --to earliest`"),
        ),
        Ok(_) => Finding::ok("views", format!("view {name} is there")),
        Err(ViewError::Missing { .. }) => Finding::ok("views", format!("view {name}: made when its role first runs")),
        Err(error) => Finding::failed("views", error),
    }
}
