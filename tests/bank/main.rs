//! The bank as a whole, driven from its command line as anyone would: on the embedded log with SQLite,
//! which is always there, and on real servers where `HEADWATER_TEST_KAFKA`, `HEADWATER_TEST_REGISTRY` and
//! `HEADWATER_TEST_VIEWS` name them. `HEADWATER_TEST_REQUIRE=1` makes their absence a failure.

mod endings;
mod foreign_consumer;
mod movements;
mod proof;
mod real_movements;
mod restarts;
mod servers;
mod teller;
mod together;
mod world;
