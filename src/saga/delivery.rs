//! What is done with the outcome of a command that an instance waits for. Pure; the worker and the test
//! kit do the same.

use super::StepKind;
use crate::command::{Failed, Failure, Outcome, Refused};
use crate::position::Version;

/// What is done with an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is an input of the saga.
    Input(Outcome),
    /// The saga does not hear of it: the engine issues the command anew.
    Reissue,
}

impl Delivery {
    /// The code under which a forward step that was skipped by hand is refused.
    const SKIPPED: &'static str = Failure::Skipped.as_str();

    /// Of a step's outcome.
    ///
    /// `conflict`, `too_old` and `clock_skew` are answers about a copy. A saga's command is written once, so
    /// if its outcome is still awaited, that one copy was never judged.
    pub fn of(kind: StepKind, outcome: Outcome) -> Self {
        match (kind, outcome) {
            (_, accepted @ Outcome::Accepted(_)) => Self::Input(accepted),
            (StepKind::Compensation, _) => Self::Reissue,
            (_, Outcome::Failed(Failed { code: Failure::Conflict | Failure::TooOld | Failure::ClockSkew, .. })) => {
                Self::Reissue
            }
            (StepKind::Forward, Outcome::Failed(Failed { code: Failure::Skipped, message })) => {
                let (code, version, data) = (Self::SKIPPED.to_owned(), Version::NONE, None);
                Self::Input(Outcome::Refused(Refused { code, message, version, data }))
            }
            (StepKind::Forward, outcome) => Self::Input(outcome),
        }
    }
}
