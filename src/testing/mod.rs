//! The test kit: what an application needs to prove its domain without a log, a database or a clock,
//! and the [faults] that prove the engine.

pub mod faults;
mod folded;
mod given;
mod golden;
pub mod outcomes;
mod saga;
pub mod simulation;
mod then;
mod triple_shuffle;

pub use crate::projection::TableContents;
pub use folded::{FoldedView, history};
pub use given::{BEGINNING, Given};
pub use golden::Golden;
pub use saga::{GivenSaga, ThenSaga};
pub use then::Then;
pub use triple_shuffle::triple_shuffle;
