//! The journal: as a library, from its command line and over HTTP; on the embedded log with SQLite, which
//! is always there, and on real servers where `HEADWATER_TEST_KAFKA`, `HEADWATER_TEST_REGISTRY` and
//! `HEADWATER_TEST_VIEWS` name them. `HEADWATER_TEST_REQUIRE=1` makes their absence a failure.

mod command_line;
mod frames;
mod http;
mod library;
mod rebuilding;
#[path = "../bank/servers.rs"]
mod servers;
mod waiting;
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod world;

const JOURNAL: &str = env!("CARGO_BIN_EXE_journal");
