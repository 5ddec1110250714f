//! What takes more than one account: money that is sent, and money that is asked for.

mod request;
mod transfer;

use std::time::Duration;

use headwater::position::Version;
use headwater::saga::SagaId;

use crate::values::TransactionId;

pub use request::Request;
pub use transfer::Transfer;
#[cfg(test)]
pub use {request::RequestStep, transfer::TransferStep};

/// After how long a step that failed is issued anew.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The saga of a transaction: the account that began it, the transaction's id, and the version with which it
/// began, since an account may use an id again.
fn saga_id(begun_by: impl std::fmt::Display, transaction_id: &TransactionId, begun_version: Version) -> SagaId {
    SagaId::of(begun_by, format!("{transaction_id}#{begun_version}"))
}
