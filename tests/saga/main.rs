//! Sagas: as pure functions, on the embedded log, on Kafka, and in an application.

mod application;
mod audit;
mod crash_schedules;
mod purse;
mod real;
mod running;
mod stories;
mod world;
