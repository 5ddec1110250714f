//! What an application itself holds to be true, without its type.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::schema::Registry;
use crate::verify::{self, Findings, Invariant, InvariantCounts, Scope, VerifyError};

/// An invariant.
pub trait InvariantType: Send + Sync {
    /// Holds the log to it. Blocks.
    fn verify(
        &self,
        scope: &Scope<'_>,
        registry: &Arc<dyn Registry>,
        findings: &mut Findings,
    ) -> Result<InvariantCounts, VerifyError>;
}

/// An invariant without its type.
#[must_use]
pub fn of<I: Invariant>() -> Arc<dyn InvariantType> {
    Arc::new(Erased(PhantomData::<fn() -> I>))
}

struct Erased<I>(PhantomData<fn() -> I>);

impl<I: Invariant> InvariantType for Erased<I> {
    fn verify(
        &self,
        scope: &Scope<'_>,
        registry: &Arc<dyn Registry>,
        findings: &mut Findings,
    ) -> Result<InvariantCounts, VerifyError> {
        verify::invariant::<I>(scope, registry, findings)
    }
}
