//! What can be set about sagas.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::aggregate::processor::ProcessorParts;
use crate::lane::LaneParts;

/// How sagas work; times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SagaSettings {
    /// Lanes of each saga, and of each of its routers, in each worker process.
    pub lanes: usize,
    /// For how long it is remembered that an instance has ended, so that late input does nothing.
    pub ended_seconds: u64,
    /// After how long without an input an instance that has no deadline counts as stuck.
    pub stuck_seconds: u64,
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self { lanes: 1, ended_seconds: 7 * 24 * 3600, stuck_seconds: 3600 }
    }
}

impl SagaSettings {
    /// The lanes of a saga's processor or router of this name, in a group.
    pub(super) fn lanes(&self, parts: &ProcessorParts, name: &str, group: String) -> LaneParts {
        let mut lanes = parts.lanes(name, group);
        lanes.settings.lanes = self.lanes.max(1);
        lanes
    }

    pub(super) const fn ended(&self) -> Duration {
        Duration::from_secs(self.ended_seconds)
    }

    pub(super) const fn stuck(&self) -> Duration {
        Duration::from_secs(self.stuck_seconds)
    }
}
