//! The command processor, over the embedded log.

mod bad_input;
mod crash_schedules;
mod model;
mod parking;
mod recovery;
mod store;
mod tally;
mod world;
