//! Whether an application can work as it is put together: asked before anything is connected.

use super::{Application, SagaGate, suggest};
use crate::settings::AppName;

/// What is wrong with an application as it is put together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationError {
    /// A name cannot be part of a topic's.
    #[error("{what} {name:?} has no good name: {rule}")]
    Name {
        /// What has it.
        what: &'static str,
        /// The name.
        name: &'static str,
        /// What a name is made of.
        rule: &'static str,
    },
    /// Something was added twice.
    #[error("the {what} {name:?} was added to the application twice; add it once")]
    Twice {
        /// What was.
        what: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The events or the view that something needs come from nothing that was added.
    #[error(
        "the {what} {name:?} reads the {of} {missing:?}, which the application does not have{hint}; add it to the App"
    )]
    Missing {
        /// What needs it.
        what: &'static str,
        /// Its name.
        name: &'static str,
        /// What is missing: an aggregate or a projection.
        of: &'static str,
        /// Its name.
        missing: String,
        /// The nearest name there is.
        hint: String,
    },
}

impl Application {
    /// Whether names are good and everything that is read is there.
    ///
    /// # Errors
    /// The first thing that is wrong. What is wrong in the shape of a view is told by whoever makes it.
    pub fn check(&self) -> Result<(), ApplicationError> {
        let aggregates: Vec<_> = self.aggregates.iter().map(|it| it.name()).collect();
        let projections: Vec<_> = self.projections.iter().map(|it| it.name()).collect();
        let sagas: Vec<_> = self.sagas.iter().map(|it| it.name()).collect();
        let queries: Vec<_> = self.queries.iter().map(|it| it.name()).collect();
        for (what, names) in [("application", &[self.name][..]), ("aggregate", &aggregates), ("saga", &sagas)] {
            for name in names {
                name.parse::<AppName>().map_err(|rule| ApplicationError::Name { what, name, rule })?;
            }
        }
        for (what, names) in
            [("aggregate", &aggregates), ("saga", &sagas), ("projection", &projections), ("query", &queries)]
        {
            let twice = names.iter().enumerate().find(|(number, name)| names[..*number].contains(name));
            if let Some((_, name)) = twice {
                return Err(ApplicationError::Twice { what, name });
            }
        }
        for projection in &self.projections {
            let Ok(shape) = projection.shape() else { continue };
            all_there(("projection", projection.name()), ("aggregate", &aggregates), &shape.sources)?;
        }
        for query in &self.queries {
            let views: Vec<_> = query.shapes().unwrap_or_default().iter().map(|shape| shape.view).collect();
            all_there(("query", query.name()), ("projection", &projections), &views)?;
        }
        Ok(())
    }

    /// Whether the aggregates are there whose events a saga takes in.
    pub(super) fn check_saga(&self, saga: &dyn SagaGate) -> Result<(), ApplicationError> {
        let aggregates: Vec<_> = self.aggregates.iter().map(|it| it.name()).collect();
        all_there(("saga", saga.name()), ("aggregate", &aggregates), &saga.sources())
    }
}

fn all_there(
    (what, name): (&'static str, &'static str),
    (of, there): (&'static str, &[&'static str]),
    needed: &[&'static str],
) -> Result<(), ApplicationError> {
    let Some(missing) = needed.iter().find(|it| !there.contains(it)) else { return Ok(()) };
    let hint = suggest(missing, there.iter().copied());
    Err(ApplicationError::Missing { what, name, of, missing: (*missing).to_owned(), hint })
}
