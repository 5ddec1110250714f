//! Why a whole lane does not go on, and what it asks of a partition's error.

use crate::log::LogError;

/// Why one partition stopped. The others go on.
pub(crate) trait StopReason: std::error::Error + From<LogError> + Send + Sync + 'static {
    /// Whether the same may succeed later: the log is away.
    fn is_temporary(&self) -> bool;
    /// Whether the fault lies in one record alone, so that the partition may go on without it.
    fn is_poison(&self) -> bool {
        false
    }
}

/// Why a lane ended.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The log failed for good, or the group would not have this member.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The lane's thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The lane's thread panicked, which is a defect of the engine.
    #[error("the lane ended by a panic: {0}")]
    Panicked(String),
}
