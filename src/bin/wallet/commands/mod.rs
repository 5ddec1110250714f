//! The wallet's own commands.

mod history;

pub use history::ShowHistory;
