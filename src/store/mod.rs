//! Stores: what is kept beside the log, and can always be made again from it.

pub mod local;
pub mod sql;
