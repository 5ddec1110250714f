//! A journal of readings and of quotes: what `headwater::journal` is, as an application.

mod commands;
mod entities;
mod http;
mod journals;
#[cfg(test)]
mod released;

use std::process::ExitCode;

use headwater::App;
use headwater::journal::{ReadRecords, RecordsView, Series};

use commands::{At, Count, Delete, Last, Many, Save, SaveMany};
use entities::{Quote, Reading};

fn main() -> ExitCode {
    App::new("journal")
        .aggregate::<Series<Reading>>()
        .projection(RecordsView::<Reading>::default())
        .query::<ReadRecords<Reading>>()
        .aggregate::<Series<Quote>>()
        .projection(RecordsView::<Quote>::default())
        .query::<ReadRecords<Quote>>()
        .routes(http::routes)
        .command::<Save>()
        .command::<SaveMany>()
        .command::<Last>()
        .command::<Many>()
        .command::<Count>()
        .command::<At>()
        .command::<Delete>()
        .main()
}
