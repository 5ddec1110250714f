//! The views on both databases: what changes mean, what a transaction promises, what queries see, and
//! the projection worker over the embedded log.
//!
//! `PostgreSQL` takes part if `HEADWATER_TEST_VIEWS` names one (`deploy/dev test` does); with
//! `HEADWATER_TEST_REQUIRE` its absence fails.

mod database;
mod flaky;
mod library;
mod parking;
mod positions;
mod queries;
mod rebuild;
mod replay;
mod sample;
mod semantics;
mod several;
mod throughput;
mod worker;
