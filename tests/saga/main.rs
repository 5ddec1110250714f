//! Sagas: as pure functions, and on the embedded log.

mod purse;
mod stories;
