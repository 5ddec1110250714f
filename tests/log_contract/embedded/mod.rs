//! What only the embedded log promises: it survives any kill, its time can be set, its deadlines are
//! short where a test needs it, it deletes when asked, and others go through the process that holds it.

mod child;
mod deadlines;
mod deleting;
mod kill;
mod model;
mod reopening;
pub mod sharing;
