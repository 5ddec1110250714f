//! Headwater: a Kafka-native event-sourcing engine.
//!
//! A team writes its domain as pure functions; [`App`] makes of them one binary whose roles are
//! consumer-group workers. The Kafka log is event store and event stream at once.
//!
//! # The way of a command
//!
//! ```text
//!  command::Client · any Kafka producer
//!        │  a command, keyed by its aggregate's id                        command/    schema/
//!        ▼
//!  <app>.<aggregate>.commands
//!        │  a lane polls it, recognises repeats, asks the aggregate       lane/  aggregate/
//!        ▼
//!  ONE Kafka transaction: events · outcomes · replies · commands          log/
//!  handed on · the offset of the command
//!        │  the projection's worker folds the events                      event/    projection/
//!        ▼
//!  ONE SQL transaction: rows · the offset of the events                   store/sql/
//!        │
//!        ▼
//!  a query, which may wait for the position in the reply                  query/
//! ```
//!
//! # The rooms
//!
//! | room | what is in it |
//! |---|---|
//! | [`clock`], [`position`], [`trace`], [`topology`] | times and ids · versions, sequences, offsets · the header of a trace · topics and partitions |
//! | [`log`] | the port to the log, and its adapters `log/kafka` and `log/embedded` |
//! | [`schema`] | messages, envelopes, Avro, the registry, JSON |
//! | [`command`] | the envelope, the outcome, deduplication, the client |
//! | [`event`] | recorded events, snapshots and checkpoints |
//! | [`lane`] | the loop that processes a topic's partitions in transactions |
//! | [`aggregate`] | the [`Aggregate`] trait, and the processor that runs it |
//! | [`projection`], [`query`] | events to rows, rows to answers |
//! | [`saga`] | events, outcomes and deadlines to commands |
//! | [`store`] | the databases behind the views: `PostgreSQL` and `SQLite` |
//! | [`verify`] | the audit of the log and of the views |
//! | [`engine`] | all of it put together without its types, as the faces see it |
//! | [`gateway`], [`cli`] | its faces: HTTP, and the command line |
//! | [`App`] | the application, of which a `main` is made |
//! | [`settings`], [`telemetry`] | what can be set, and where · metrics, logs and traces, going out |
//! | [`journal`] | records under keys: an application part, ready made |
//! | [`testing`] | given/when/then, the triple shuffle, faults between engine and log |
//!
//! A room imports only what stands before it, and the flow sees ports, never adapters. Nothing but
//! `log/kafka` knows librdkafka, nothing but `schema` knows Avro, nothing but `store/sql` knows SQL
//! drivers, nothing but `gateway` knows HTTP, nothing but `cli` knows the command line, and nothing but [`clock`] asks for the time.
//!
//! # What always holds
//!
//! 1. Every command that was acknowledged has exactly one outcome.
//! 2. Versions of an aggregate are 1..n, sequences of a partition too.
//! 3. Nothing of an aborted transaction is ever seen: not in state, not in a view, not in a reply.
//! 4. State is the fold of the events, at every prefix, whatever was cached, snapshotted or restored.
//! 5. A view is the fold of the events up to its stored offset.
//! 6. A stale owner commits nothing.
//! 7. Memory is bounded: queues, batches, caches, windows. What grows with the number of aggregates is
//!    said where it does.
//! 8. Every refusal to go on says what happened, where, and what to do.

pub mod aggregate;
mod app;
pub mod cli;
pub mod clock;
pub mod command;
pub mod engine;
pub mod event;
pub mod gateway;
pub mod journal;
pub mod lane;
pub mod log;
pub mod position;
pub mod projection;
pub mod query;
pub mod saga;
pub mod schema;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod testing;
pub mod topology;
pub mod trace;
pub mod verify;

pub use aggregate::{Aggregate, AttemptsRetention, Context, Decision, EventContext, Refusal};
pub use app::{App, Connected};
pub use event::Recorded;
pub use projection::Projection;
pub use query::Query;
pub use saga::Saga;
pub use verify::Invariant;

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
