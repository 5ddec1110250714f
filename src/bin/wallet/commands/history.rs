//! `history`: every attempt across all wallets.

use std::time::Duration;

use headwater::cli::{CliResult, Command, Console};

use crate::ksuid::Ksuid;
use headwater::query::Limit;

use crate::queries::ReadHistory;

const WAIT: Duration = Duration::from_secs(30);

/// Every attempt across all wallets with what became of it, the newest first
#[derive(clap::Args)]
pub struct ShowHistory {
    /// Only of this wallet
    #[arg(long, value_name = "KSUID")]
    wallet: Option<Ksuid>,
    /// How many at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

impl Command for ShowHistory {
    const NAME: &'static str = "history";
    const EXAMPLES: &'static str = "  {bin} history --limit 20
  {bin} history --wallet 0ujtsYcgvSTl8PAuAdqWYSMnLOv --json";

    async fn run(self, console: Console) -> CliResult {
        let calls = console.calls(1).await?;
        let mut output = console.output();
        let (mut left, mut before) = (self.limit, None);
        while left > 0 {
            let limit = Limit::up_to(left);
            let query = ReadHistory { wallet: self.wallet.clone(), limit, before };
            let page = calls.ask(query, &[], WAIT).await?.answer.unwrap_or_default();
            output.rows(&COLUMNS, &page.attempts)?;
            output.flush()?;
            (left, before) = (left - page.attempts.len(), page.next);
            if before.is_none() {
                break;
            }
        }
        Ok(())
    }
}

const COLUMNS: [&str; 8] = ["time", "wallet", "command", "amount", "outcome", "code", "version", "balance"];
