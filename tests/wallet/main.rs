//! The wallet: from its command line and over HTTP; on the embedded log with SQLite, which is always there,
//! and on real servers where `HEADWATER_TEST_KAFKA`, `HEADWATER_TEST_REGISTRY` and `HEADWATER_TEST_VIEWS` name
//! them. `HEADWATER_TEST_REQUIRE=1` makes their absence a failure.

mod guide;
mod history;
mod http;
#[path = "../bank/servers.rs"]
mod servers;
#[path = "../journal/world.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod world;

const WALLET: &str = env!("CARGO_BIN_EXE_wallet");
/// From the documentation of KSUIDs.
const ANNA: &str = "0ujtsYcgvSTl8PAuAdqWYSMnLOv";
const BEN: &str = "0ujsszwN8NRY24YaXiTIE2VWDTS";
