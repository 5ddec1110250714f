//! `tail`: events as JSON lines, as they come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::error::{CliError, CliResult};
use super::session::{Session, blocking};
use crate::clock::Timestamp;
use crate::engine::{AggregateGate, Engine, EventRow, scan};
use crate::log::{Isolation, Log, Record, StallError, TopicPartition};
use crate::position::{Offset, Partition, Position, Sequence};
use crate::schema::json::Secrets;

pub(super) const EXAMPLES: &str = "  {bin} tail
  {bin} tail account --from earliest --key 000001
  {bin} tail account --from 2026-01-31T12:00:00Z --exit-at-end
  {bin} tail --from account/3:1042";

/// How long the reading thread waits before it looks whether anybody still reads.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// The most records taken at once, and held ahead of what is written.
const AT_ONCE: usize = 1000;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Only events of this aggregate type
    aggregate: Option<String>,
    /// Where to begin
    ///
    /// A position is of one partition; only its events are shown.
    #[arg(long, value_name = "earliest|latest|POSITION|TIME", default_value = "latest", value_parser = from)]
    from: Start,
    /// Only events of this aggregate id
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Ends once it has shown so many
    #[arg(long, value_name = "COUNT")]
    max_messages: Option<u64>,
    /// Ends at what is there now
    #[arg(short = 'e', long)]
    exit_at_end: bool,
    /// Shows fields that are secret
    #[arg(long)]
    reveal: bool,
}

#[derive(Clone, Debug)]
enum Start {
    Earliest,
    Latest,
    Position(Position),
    Time(Timestamp),
}

fn from(text: &str) -> Result<Start, String> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        other => {
            let time = |_| other.parse().map(Start::Time);
            other.parse().map(Start::Position).or_else(time).map_err(|_| {
                "write earliest, latest, a position such as account/3:1042, or a time such as 2026-01-31T12:00:00Z"
                    .to_owned()
            })
        }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    let working = session.working().await?;
    let shown = show(args, working.engine.clone(), session).await;
    working.close().await?;
    shown
}

async fn show(args: Args, engine: Arc<Engine>, session: &Session) -> CliResult {
    let most = args.max_messages.unwrap_or(u64::MAX);
    let (rows, mut received) = mpsc::channel(AT_ONCE);
    let reading = blocking(move || Follow::begin(args, engine)?.run(&rows));
    let showing = async {
        let mut output = session.output();
        let mut shown = 0;
        while shown < most {
            let row: EventRow = if let Ok(row) = received.try_recv() {
                row
            } else {
                output.flush()?;
                let Some(row) = received.recv().await else { break };
                row
            };
            output.json(&row)?;
            shown += 1;
        }
        output.flush()?;
        // Tells the reading thread that nobody reads any more.
        received.close();
        CliResult::Ok(())
    };
    let (read, shown) = tokio::join!(reading, showing);
    shown?;
    read?
}

/// The reading thread's part.
struct Follow {
    engine: Arc<Engine>,
    aggregates: Vec<Arc<dyn AggregateGate>>,
    key: Option<String>,
    exit_at_end: bool,
    secrets: Secrets,
    /// Each partition with the offset to begin at.
    places: Vec<(TopicPartition, Offset)>,
    /// Events before it are passed over.
    first: Sequence,
}

impl Follow {
    fn begin(args: Args, engine: Arc<Engine>) -> CliResult<Self> {
        let position = if let Start::Position(position) = &args.from { Some(position) } else { None };
        let aggregates = match args.aggregate.as_ref().or(position.map(|it| &it.aggregate)) {
            Some(name) => vec![engine.aggregate(name)?.clone()],
            None => engine.aggregates.clone(),
        };
        let all: Vec<Partition> = match (&args.key, position) {
            (Some(key), _) => vec![engine.partition_of(key)],
            (None, Some(position)) => vec![position.partition],
            (None, None) => (0..engine.topology.partitions).map(Partition).collect(),
        };
        if let Some(position) = position {
            let fits = aggregates[0].name() == position.aggregate && all == [position.partition];
            if !fits || position.partition.0 >= engine.topology.partitions {
                return Err(CliError::usage(format!("the position {position} is foreign to what is to be shown")));
            }
        }
        let mut places = Vec::new();
        for aggregate in &aggregates {
            for partition in &all {
                let place = aggregate.topics().events.partition(*partition);
                let offset = start(engine.log.as_ref(), &place, &args.from)?;
                places.push((place, offset));
            }
        }
        let secrets = super::output::secrets(args.reveal);
        let first = position.map_or(Sequence::NONE, |it| it.sequence);
        Ok(Self { engine, aggregates, key: args.key, exit_at_end: args.exit_at_end, secrets, places, first })
    }

    fn run(self, rows: &mpsc::Sender<EventRow>) -> CliResult {
        if self.exit_at_end {
            for (place, offset) in self.places.clone() {
                scan(self.engine.log.as_ref(), place, offset, |record| self.hand_on(&record, rows))?;
            }
            return Ok(());
        }
        let mut reader = self.engine.log.reader()?;
        reader.follow(&self.places)?;
        while !rows.is_closed() {
            for record in reader.poll(IDLE_WAIT, AT_ONCE)? {
                self.hand_on(&record, rows)?;
            }
        }
        Ok(())
    }

    /// Does nothing once nobody reads any more.
    fn hand_on(&self, record: &Record, rows: &mpsc::Sender<EventRow>) -> CliResult {
        let asked = self.key.as_ref().is_none_or(|key| record.key.as_deref() == Some(key.as_bytes()));
        let aggregate = self.aggregates.iter().find(|aggregate| aggregate.topics().events == record.topic);
        if let Some(aggregate) = aggregate.filter(|_| asked && !rows.is_closed()) {
            let row = aggregate.event(record, self.secrets)?;
            if row.position.sequence >= self.first {
                drop(rows.blocking_send(row));
            }
        }
        Ok(())
    }
}

fn start(log: &dyn Log, place: &TopicPartition, from: &Start) -> CliResult<Offset> {
    let bounds = log.bounds(std::slice::from_ref(place), Isolation::Committed)?[0];
    Ok(match from {
        Start::Earliest => bounds.low,
        Start::Latest => bounds.end,
        // Sequences are dense from 1, and each event takes an offset: it stands there or later.
        Start::Position(position) => bounds.low.max(Offset(position.sequence.0 - 1)).min(bounds.end),
        Start::Time(time) => log.offset_at(place, *time)?.unwrap_or(bounds.end),
    })
}

impl From<StallError> for CliError {
    fn from(error: StallError) -> Self {
        match error {
            StallError::Log(error) => error.into(),
            other => Self::failed(other),
        }
    }
}
