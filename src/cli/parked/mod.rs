//! `parked`: aggregates whose commands cannot be judged, or whose events cannot be folded into a view, and
//! what becomes of them.

mod commands;
mod views;

use super::error::CliResult;
use super::session::Session;

pub(super) const EXAMPLES: &str = "  {bin} parked ls
  {bin} parked show account 000001
  {bin} parked retry account 000001
  {bin} parked skip account 000001
  {bin} parked retry account 000001 --view accounts";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Every parked aggregate
    Ls {
        /// Only those of this view
        #[arg(long, value_name = "NAME")]
        view: Option<String>,
    },
    /// One parked aggregate, why it is parked, and what waits: its commands, or its events
    Show(Named),
    /// Judges the commands that wait, or folds the events, in order, and releases the aggregate
    Retry(Named),
    /// The same without the first, which is given up: its command fails, or the view is partial from then on
    Skip(Named),
}

#[derive(clap::Args, Debug)]
struct Named {
    /// The aggregate's type, for example account
    aggregate: String,
    /// The aggregate's id
    id: String,
    /// The view in which it is parked, if it is one and not its commands
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> CliResult {
    match args.what {
        What::Ls { view: Some(view) } => views::list(Some(&view), session).await,
        What::Ls { view: None } => {
            commands::list(session).await?;
            views::list(None, session).await
        }
        What::Show(Named { aggregate, id, view: None }) => commands::show(aggregate, id, session).await,
        What::Retry(Named { aggregate, id, view: None }) => commands::release(aggregate, id, false, session).await,
        What::Skip(Named { aggregate, id, view: None }) => commands::release(aggregate, id, true, session).await,
        What::Show(Named { aggregate, id, view: Some(view) }) => views::show((&view, &aggregate, &id), session).await,
        What::Retry(Named { aggregate, id, view: Some(view) }) => {
            views::release((&view, &aggregate, &id), false, session).await
        }
        What::Skip(Named { aggregate, id, view: Some(view) }) => {
            views::release((&view, &aggregate, &id), true, session).await
        }
    }
}
