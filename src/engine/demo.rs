//! What an application's `demo` does.

use serde_json::Value;

use super::CommandInput;

/// A load that shows an application at work.
pub trait Demo: Send + Sync + 'static {
    /// Commands in the order in which they are sent; the same for the same seed.
    fn commands(&self, seed: u64, count: u64) -> Box<dyn Iterator<Item = CommandInput> + Send>;

    /// A query whose answer is shown before and after the load: its name and its fields.
    fn figures(&self) -> Option<(&'static str, Value)> {
        None
    }
}
