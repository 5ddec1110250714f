//! The wallet's own commands.

mod history;
mod load;

pub use history::ShowHistory;
pub use load::Load;
