//! What a process tells of itself, heard by real listeners: a collector of traces, and whoever asks for
//! health, metrics and the documentation over HTTP.
//!
//! What needs a database that goes away uses the `PostgreSQL` that `HEADWATER_TEST_VIEWS` names.

mod collector;
mod door;
mod logs;
mod readiness;
mod served;
mod traces;
mod working;
