//! `demo`: the whole application in one process, on the embedded log and SQLite in a temporary folder,
//! with the application's own load and story; and then the question whether everything holds.
//!
//! Its clock can be put forward: what waits for half an hour is seen to come due within a second.

mod latency;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use serde_json::Value;
use tokio::sync::mpsc;

use super::error::{CliError, CliResult, Exit};
use super::progress::Progress;
use super::session::{self, Session, blocking};
use super::verify;
use crate::clock::{self, Clock};
use crate::command::{ClientError, Outcome, Pending};
use crate::engine::{Calls, CommandInput, Demo, Engine, Role, Stage};
use crate::settings::{LogSetting, Settings, ViewsSetting};
use latency::Latencies;
use report::{Figures, Report, Sagas};

pub(super) const EXAMPLES: &str = "  {bin} demo
  {bin} demo --commands 100000 --seed 7 --json
  {bin} demo --keep";

/// The most commands under way at once: enough to keep the workers busy, few enough to be answered soon.
const IN_FLIGHT: usize = 1000;
const COMMAND_WAIT: Duration = Duration::from_secs(30);
const VIEWS_WAIT: Duration = Duration::from_mins(1);
const SAGAS_WAIT: Duration = Duration::from_mins(2);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// How many commands
    #[arg(long, value_name = "COUNT", default_value_t = 50_000)]
    commands: u64,
    /// The same seed gives the same commands
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Keeps the folder, to look into it afterwards
    #[arg(long)]
    keep: bool,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let folder = Folder::create(session.app.name, args.keep)?;
    let mut settings = Settings {
        log: LogSetting::Embedded(folder.path.clone()),
        views: Some(ViewsSetting::Sqlite(folder.path.join("views"))),
        state: Some(folder.path.join("state")),
        registry: None,
        ..session.settings.clone()
    };
    // Often enough that snapshots and checkpoints are among what is looked at.
    settings.processor.checkpoint_events = settings.processor.checkpoint_events.min(args.commands / 40 + 1);

    let demo = Session { settings, ..session.clone() };
    let report = perform(&args, &demo).await?;
    let mut output = session.output();
    report.show(&mut output)?;
    output.flush()?;
    if args.keep {
        eprintln!("kept in {}; look into it with --log embedded:{0}", folder.path.display());
    }
    if report.ok { Ok(()) } else { Err(CliError::quiet(Exit::Failed)) }
}

/// A folder that is gone afterwards.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn create(app: &str, keep: bool) -> CliResult<Self> {
        let path = std::env::temp_dir().join(format!("{app}-demo-{}", clock::new_id().simple()));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(%error, folder = %path.display(), "a temporary folder could not be removed");
    }
}

async fn perform(args: &Args, session: &Session) -> CliResult<Report> {
    let demo = session.app.demo.clone();
    let demo = demo.ok_or_else(|| CliError::usage(format!("{} has no demo", session.app.name)))?;
    let (app, settings) = (session.app.clone(), session.settings.clone());
    let engine = blocking(move || Engine::connect_with_clock(app, settings, Clock::adjustable())).await??;
    let engine = Arc::new(engine);
    let roles = session::start(&engine, &Role::ALL).await?;
    let before = figures(&engine).await?;
    let load = load(&engine, demo.commands(args.seed, args.commands), args.commands).await?;
    let sagas = play(&engine, demo.as_ref()).await?;
    let after = figures(&engine).await?;
    let of = engine.clone();
    let audit = blocking(move || verify::audit(&of)).await??;
    roles.stop().await?;
    let figures = before.zip(after).map(|((query, before), (_, after))| Figures { query, before, after });
    Ok(Report::new(session.app.name, args.seed, &load, sagas, audit, figures))
}

/// Tells the story, and waits until every saga has ended.
async fn play(engine: &Arc<Engine>, demo: &dyn Demo) -> CliResult<Sagas> {
    let stage = Stage { calls: Calls::open(engine, IN_FLIGHT).await? };
    demo.story(&stage).await.map_err(CliError::failed)?;
    stage.calls.close().await;
    let open = engine.sagas_ended(SAGAS_WAIT).await?;
    let of = engine.clone();
    let counts = blocking(move || of.event_counts()).await??;
    Ok(Sagas { open, endings: demo.endings(&counts) })
}

/// The application's figures, once its views have all that has happened.
async fn figures(engine: &Arc<Engine>) -> CliResult<Option<(&'static str, Value)>> {
    let Some((name, fields)) = engine.app.demo.as_ref().and_then(|demo| demo.figures()) else { return Ok(None) };
    let query = engine.app.find_query(name)?;
    let (of, shapes) = (engine.clone(), query.shapes().map_err(crate::projection::ViewError::from)?);
    let at = blocking(move || of.ends_of(&shapes)).await??;
    let answer = query.ask(engine.views().await?, fields, &at, VIEWS_WAIT).await?;
    Ok(answer.answer.map(|answer| (name, answer)))
}

/// What became of a load.
#[derive(Default)]
struct Load {
    accepted: u64,
    /// By code.
    refused: HashMap<String, u64>,
    /// By code.
    failed: HashMap<String, u64>,
    unanswered: u64,
    latencies: Latencies,
    seconds: f64,
}

/// Sends commands as fast as they are answered, and counts what becomes of them.
async fn load(
    engine: &Arc<Engine>,
    inputs: Box<dyn Iterator<Item = CommandInput> + Send>,
    count: u64,
) -> CliResult<Load> {
    let of = engine.clone();
    let client = blocking(move || of.client(IN_FLIGHT)).await??;
    let (sent, received) = mpsc::channel::<(Instant, Pending)>(IN_FLIGHT);
    let counting = tokio::spawn(tally(received, count));
    let begun = clock::instant();
    for input in inputs {
        let command = engine.prepare(input, Some(client.reply_to())).map_err(CliError::failed)?;
        let pending = client.submit(command, COMMAND_WAIT).await?;
        if sent.send((clock::instant(), pending)).await.is_err() {
            break;
        }
    }
    drop(sent);
    let mut load = counting.await?;
    load.seconds = begun.elapsed().as_secs_f64();
    blocking(move || client.close()).await?;
    Ok(load)
}

async fn tally(mut received: mpsc::Receiver<(Instant, Pending)>, count: u64) -> Load {
    let mut load = Load::default();
    let mut progress = Progress::new("commands", Some(count));
    let mut waiting = futures::stream::FuturesUnordered::new();
    loop {
        tokio::select! {
            next = received.recv(), if waiting.len() < IN_FLIGHT => match next {
                Some((sent, pending)) => waiting.push(async move { (sent, pending.outcome().await) }),
                None if waiting.is_empty() => return load,
                None => {}
            },
            Some((sent, ended)) = futures::StreamExt::next(&mut waiting), if !waiting.is_empty() => {
                load.latencies.add(sent.elapsed());
                load.count(ended);
                progress.add(1);
            }
        }
    }
}

impl Load {
    fn count(&mut self, ended: Result<Outcome, ClientError>) {
        match ended {
            Ok(Outcome::Accepted(_)) => self.accepted += 1,
            Ok(Outcome::Refused(refused)) => *self.refused.entry(refused.code).or_default() += 1,
            Ok(Outcome::Failed(failed)) => *self.failed.entry(failed.code.as_str().to_owned()).or_default() += 1,
            Err(error) => {
                tracing::warn!(%error, "a command has no outcome");
                self.unanswered += 1;
            }
        }
    }
}
