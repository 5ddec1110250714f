//! `bank teller`: the bank at a terminal, or fed from a pipe, over the log or over a gateway.

mod counter;
mod desk;
mod known;
mod lines;
mod order;
mod shown;

use std::io::IsTerminal;

use headwater::cli::{CliError, CliResult, Command, Console, Exit};
use reqwest::Url;

use counter::{AtTheLog, Counter, CounterError, Gateway};
use desk::{Desk, DeskError};
use known::Known;
use lines::{Line, Lines};
use order::Order;

/// The bank at a terminal: accounts, transfers and requests, with line editing, history and completion
#[derive(clap::Args, Debug)]
pub struct Teller {
    /// Works over this gateway instead of the log
    #[arg(long, value_name = "URL")]
    gateway: Option<Url>,
}

impl Command for Teller {
    const NAME: &'static str = "teller";
    const EXAMPLES: &'static str = "  {bin} teller
  {bin} teller --gateway http://localhost:8080
  printf 'create Anna Berg 100\\nledger\\n' | {bin} teller";

    async fn run(self, console: Console) -> CliResult {
        let counter = match &self.gateway {
            Some(address) => Counter::Gateway(Gateway::at(address).map_err(CliError::failed)?),
            // One order after the other.
            None => Counter::Log(AtTheLog(console.calls(1).await?)),
        };
        let known = Known::default();
        let history = console.settings().state().join("teller-history");
        let lines = Lines::open(known.clone(), history).map_err(CliError::failed)?;
        serve(&console, Desk::new(counter, known), lines).await
    }
}

/// One line after the other, until there are no more. From a pipe, it failed if one of them did.
async fn serve(console: &Console, mut desk: Desk, mut lines: Lines) -> CliResult {
    let at_a_terminal = std::io::stdin().is_terminal();
    if at_a_terminal {
        eprintln!("`help` says what you can say; the tab key completes it.");
    }
    let mut all_done = true;
    loop {
        let prompt = desk.selected().map_or_else(|| "bank> ".to_owned(), |account| format!("{account}> "));
        let (line, back) = console.blocking(move || (lines.next(&prompt), lines)).await?;
        lines = back;
        let said = match line.map_err(CliError::failed)? {
            Line::Said(said) => said,
            Line::TakenBack => continue,
            Line::End => break,
        };
        match answer(&mut desk, &said).await {
            Ok(Some(shown)) => shown.say(&mut console.output())?,
            Ok(None) => break,
            Err(wrong) => {
                eprintln!("{wrong}");
                all_done = false;
            }
        }
    }
    lines.remember();
    desk.leave().await;
    if all_done || at_a_terminal { Ok(()) } else { Err(CliError::quiet(Exit::Failed)) }
}

/// What is to be said to a line; nothing if it is the last.
async fn answer(desk: &mut Desk, line: &str) -> Result<Option<shown::Shown>, DeskError> {
    match Order::parse(line).map_err(CounterError::Input)? {
        None => Ok(Some(shown::Shown::nothing())),
        Some(Order::Quit) => Ok(None),
        Some(order) => desk.carry_out(order).await.map(Some),
    }
}
