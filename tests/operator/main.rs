//! What an operator sees of an application and does with it, in real processes: aggregates whose commands cannot
//! be judged, since `decide` panics at some amounts until a release comes in which that is corrected; cards with a
//! secret in them.
//!
//! This binary is that application too: with `FRAGILE` in the environment it does what its command line says.

mod card;
mod embedded;
mod kafka;
mod secrets;
#[path = "../bank/servers.rs"]
mod servers;
#[path = "../processor/tally.rs"]
mod tally;
mod world;

use std::process::ExitCode;

use card::Card;
use headwater::App;
use tally::{Tally, set_mended};

/// In the environment of a process that is to be the application: `broken`, or `mended`.
const FRAGILE: &str = "FRAGILE";

/// What is tried, one after the other.
const STORIES: [(&str, fn()); 3] = [
    ("an_operator_sees_what_is_parked_and_retries_or_skips_it", embedded::retried_and_skipped),
    ("a_secret_is_shown_to_nobody_who_does_not_ask_for_it", secrets::shown_to_who_asks),
    ("poison_in_every_partition_of_a_cluster_among_ten_thousand_commands", kafka::poison_in_every_partition),
];

fn main() -> ExitCode {
    if let Some(release) = std::env::var_os(FRAGILE) {
        set_mended("*", release == "mended");
        return App::new("fragile").aggregate::<Tally>().aggregate::<Card>().main();
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
