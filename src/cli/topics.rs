//! `topics`: what is missing or differs, creating it, and accepting commands that are lost.

use serde::Serialize;

use super::error::{CliError, CliResult};
use super::session::{Session, blocking};
use crate::engine::topics::{self, TopicFinding, TopicState};
use crate::log::{CommittedOffset, Isolation};
use crate::position::{Offset, Partition};

pub(super) const EXAMPLES: &str = "  {bin} topics plan
  {bin} topics apply --log kafka
  {bin} topics skip account/3 --to 10422";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Shows what is missing or differs
    Plan,
    /// Creates what is missing
    Apply,
    /// Accepts that commands which were deleted before they were judged are lost
    Skip {
        /// The partition, as AGGREGATE/PARTITION
        partition: String,
        /// The offset of the first command that is left
        #[arg(long, value_name = "OFFSET")]
        to: i64,
    },
}

#[derive(Serialize)]
struct Row {
    topic: String,
    partitions: i32,
    keeps: String,
    state: String,
}

const COLUMNS: [&str; 4] = ["topic", "partitions", "keeps", "state"];

impl From<&TopicState> for Row {
    fn from(TopicState { wanted, finding }: &TopicState) -> Self {
        Self {
            topic: wanted.topic.to_string(),
            partitions: wanted.partitions,
            keeps: topics::retention(wanted.retention),
            state: finding.to_string(),
        }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    match args.action {
        Action::Plan => plan(session).await,
        Action::Apply => apply(session).await,
        Action::Skip { partition, to } => skip(session, &partition, Offset(to)).await,
    }
}

async fn plan(session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let states = blocking(move || engine.topics()).await??;
    show(session, &states)
}

async fn apply(session: &Session) -> CliResult {
    let engine = session.engine().await?;
    let states = blocking(move || {
        let missing: Vec<_> = engine
            .topics()?
            .into_iter()
            .filter(|state| state.finding == TopicFinding::Missing)
            .map(|state| state.wanted)
            .collect();
        engine.log.create(&missing)?;
        engine.topics()
    })
    .await??;
    show(session, &states)?;
    topics::require(&states).map_err(CliError::failed)
}

fn show(session: &Session, states: &[TopicState]) -> CliResult {
    let mut output = session.output();
    output.rows(&COLUMNS, &states.iter().map(Row::from).collect::<Vec<_>>())?;
    Ok(output.flush()?)
}

#[derive(Serialize)]
struct Skipped {
    partition: String,
    from: Offset,
    to: Offset,
}

async fn skip(session: &Session, partition: &str, to: Offset) -> CliResult {
    let (aggregate, number) = partition
        .split_once('/')
        .and_then(|(aggregate, number)| Some((aggregate.to_owned(), number.parse().ok().map(Partition)?)))
        .ok_or_else(|| CliError::usage(format!("{partition:?} is no partition; write AGGREGATE/PARTITION")))?;
    let engine = session.engine().await?;
    let skipped = blocking(move || -> CliResult<Skipped> {
        let topics = engine.aggregate(&aggregate)?.topics();
        let place = topics.commands.partition(number);
        let one = std::slice::from_ref(&place);
        let group = engine.topology.command_group(&aggregate);
        let bounds = engine.log.bounds(one, Isolation::Committed)?[0];
        let from = engine.log.committed(&group, one)?[0].as_ref().map_or(Offset::ZERO, |it| it.offset);
        if from >= bounds.low {
            let text = format!("{place}: nothing is lost: the next command is {from}, the first held {}", bounds.low);
            return Err(CliError::usage(text));
        }
        if to < bounds.low || to > bounds.end {
            let (low, end) = (bounds.low, bounds.end);
            return Err(CliError::usage(format!("{place}: --to must be an offset that is held: {low} to {end}")));
        }
        let offset = CommittedOffset { offset: to, metadata: String::new() };
        engine.log.set_committed(&group, &[(place.clone(), offset)])?;
        Ok(Skipped { partition: place.to_string(), from, to })
    })
    .await??;
    let mut output = session.output();
    output.rows(&["partition", "from", "to"], &[skipped])?;
    Ok(output.flush()?)
}
