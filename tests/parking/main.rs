//! Aggregates whose commands cannot be judged, as an operator meets them: real processes of an application whose
//! `decide` panics at some amounts, until a release of it comes in which that is corrected.
//!
//! This binary is that application too: with `FRAGILE` in the environment it does what its command line says.

mod embedded;
mod kafka;
#[path = "../bank/servers.rs"]
mod servers;
#[path = "../processor/tally.rs"]
mod tally;
mod world;

use std::process::ExitCode;

use headwater::App;
use tally::{Tally, set_mended};

/// In the environment of a process that is to be the application: `broken`, or `mended`.
const FRAGILE: &str = "FRAGILE";

/// What is tried, one after the other.
const STORIES: [(&str, fn()); 2] = [
    ("an_operator_sees_what_is_parked_and_retries_or_skips_it", embedded::retried_and_skipped),
    ("poison_in_every_partition_of_a_cluster_among_ten_thousand_commands", kafka::poison_in_every_partition),
];

fn main() -> ExitCode {
    if let Some(release) = std::env::var_os(FRAGILE) {
        set_mended("*", release == "mended");
        return App::new("fragile").aggregate::<Tally>().main();
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, story) in STORIES {
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())) {
            story();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}
