//! How the registry says no.

use headwater::Refusal;

use crate::values::AccountId;

/// How the registry says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryRefusal {
    /// Every number is taken.
    #[error("every account number up to {} is taken", AccountId::LAST)]
    AccountIdsExhausted,
}

impl Refusal for RegistryRefusal {
    const CODES: &'static [&'static str] = &["account_ids_exhausted"];

    fn code(&self) -> &'static str {
        match self {
            Self::AccountIdsExhausted => "account_ids_exhausted",
        }
    }
}
