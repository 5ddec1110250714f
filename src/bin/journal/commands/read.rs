//! What reads: `last`, `many`, `count`, `at`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use headwater::cli::{CliError, CliResult, Command, Console};
use headwater::clock::Moment;
use headwater::journal::{Entry, FrameFormat, Limit};
use serde_json::json;

use super::{Place, WAIT, ended, journals, show};
use crate::journals::Asked;

/// The newest record under a key
#[derive(clap::Args)]
pub struct Last {
    #[command(flatten)]
    place: Place,
}

impl Command for Last {
    const NAME: &'static str = "last";
    const EXAMPLES: &'static str = "  {bin} last reading north";

    async fn run(self, console: Console) -> CliResult {
        newest(&self.place, None, console).await
    }
}

/// The record that was the newest under a key at a time
#[derive(clap::Args)]
pub struct At {
    #[command(flatten)]
    place: Place,
    /// The time
    #[arg(value_name = "TIME")]
    time: Moment,
}

impl Command for At {
    const NAME: &'static str = "at";
    const EXAMPLES: &'static str = "  {bin} at reading north 2026-01-31T12:00:00Z";

    async fn run(self, console: Console) -> CliResult {
        newest(&self.place, Some(self.time), console).await
    }
}

/// How many records are under a key
#[derive(clap::Args)]
pub struct Count {
    #[command(flatten)]
    place: Place,
}

impl Command for Count {
    const NAME: &'static str = "count";
    const EXAMPLES: &'static str = "  {bin} count reading north";

    async fn run(self, console: Console) -> CliResult {
        let asked = Asked { limit: Limit::up_to(0), ..Asked::default() };
        let journals = journals(&console).await?;
        let count = journals.find(&self.place.entity)?.read(&self.place.key, &asked, WAIT).await.map_err(ended)?.count;
        let mut output = console.output();
        if output.is_json() {
            return show(output, &json!({ "count": count }));
        }
        output.line(count)?;
        Ok(output.flush()?)
    }
}

/// The newest records under a key, the newest first
#[derive(clap::Args)]
pub struct Many {
    #[command(flatten)]
    place: Place,
    /// How many at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// How they are written: jsonl, csv, parquet or arrow
    #[arg(long, default_value_t = FrameFormat::Jsonl)]
    format: FrameFormat,
    /// Into a file, instead of to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Command for Many {
    const NAME: &'static str = "many";
    const EXAMPLES: &'static str = "  {bin} many reading north --limit 1000
  {bin} many reading north --format csv --output north.csv";

    async fn run(self, console: Console) -> CliResult {
        let journals = journals(&console).await?;
        let journal = journals.find(&self.place.entity)?;
        let mut writer = self.format.writer(journal.fields(), sink(self.output)?)?;
        let (mut left, mut before) = (self.limit, None);
        loop {
            let asked = Asked { limit: Limit::up_to(left), before, ..Asked::default() };
            let page = journal.read(&self.place.key, &asked, WAIT).await.map_err(ended)?;
            writer.write(&page.records)?;
            (left, before) = (left - page.records.len(), page.next);
            if before.is_none() || left == 0 {
                return Ok(writer.finish()?);
            }
        }
    }
}

fn sink(file: Option<PathBuf>) -> CliResult<Box<dyn Write + Send>> {
    let Some(path) = file else { return Ok(Box::new(BufWriter::new(io::stdout()))) };
    let file = File::create(&path).map_err(|error| CliError::failed(format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufWriter::new(file)))
}

async fn newest(place: &Place, time: Option<Moment>, console: Console) -> CliResult {
    let journals = journals(&console).await?;
    let asked = Asked { limit: Limit::up_to(1), time, ..Asked::default() };
    let found = journals.find(&place.entity)?.read(&place.key, &asked, WAIT).await.map_err(ended)?;
    match found.records.first() {
        Some(entry) => show::<Entry>(console.output(), entry),
        None => Err(CliError::failed("there is no such record")),
    }
}
