//! Sagas: as pure functions, and on the embedded log.

mod crash_schedules;
mod purse;
mod running;
mod stories;
mod world;
