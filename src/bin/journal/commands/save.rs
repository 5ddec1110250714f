//! What writes: `save`, `save-many`, `delete`.

use std::io::Read;

use headwater::cli::{CliError, CliResult, Command, Console};
use headwater::engine::SendOptions;
use headwater::journal::Receipt;
use serde_json::Value;

use super::{Place, WAIT, ended, journals, show};
use crate::journals::Change;

/// Saves a record under a key
#[derive(clap::Args)]
pub struct Save {
    #[command(flatten)]
    place: Place,
    /// The record, a JSON object
    record: String,
}

impl Command for Save {
    const NAME: &'static str = "save";
    const EXAMPLES: &'static str =
        "  {bin} save reading north '{\"sensor\":\"a\",\"celsius\":-3.5,\"measured_at\":\"2026-01-31T12:00:00Z\"}'";

    async fn run(self, console: Console) -> CliResult {
        let record = parse(&self.record)?;
        change(&self.place, Change::Save(&[record]), console).await
    }
}

/// Saves records under a key: all of them, in this order, or none
#[derive(clap::Args)]
pub struct SaveMany {
    #[command(flatten)]
    place: Place,
    /// One record a line, from a file or from standard input (-)
    #[arg(long, value_name = "FILE", default_value = "-")]
    from: String,
}

impl Command for SaveMany {
    const NAME: &'static str = "save-many";
    const EXAMPLES: &'static str = "  {bin} save-many reading north --from january.jsonl";

    async fn run(self, console: Console) -> CliResult {
        let from = self.from;
        let text = console.blocking(move || read_all(&from)).await??;
        let records = text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect::<CliResult<Vec<_>>>()?;
        change(&self.place, Change::Save(&records), console).await
    }
}

/// Empties a key: what was there stays in the past, a later record begins anew
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    place: Place,
}

impl Command for Delete {
    const NAME: &'static str = "delete";
    const EXAMPLES: &'static str = "  {bin} delete reading north";

    async fn run(self, console: Console) -> CliResult {
        change(&self.place, Change::Delete, console).await
    }
}

async fn change(place: &Place, change: Change<'_>, console: Console) -> CliResult {
    let journals = journals(&console).await?;
    let options = SendOptions { wait: WAIT, ..SendOptions::default() };
    let judged = journals.find(&place.entity)?.change(&place.key, change, options).await;
    let receipt = judged.and_then(|judged| Receipt::of(&judged)).map_err(ended)?;
    show(console.output(), &receipt)
}

fn parse(text: &str) -> CliResult<Value> {
    serde_json::from_str(text).map_err(|error| CliError::usage(format!("the record is malformed JSON: {error}")))
}

fn read_all(from: &str) -> CliResult<String> {
    if from != "-" {
        return std::fs::read_to_string(from).map_err(|error| CliError::usage(format!("{from}: {error}")));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
