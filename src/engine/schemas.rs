//! Whether the registry, or what was released before, allows the schemas that this release writes.

use std::fmt;

use crate::schema::{Registry, RegistryError, Released, SchemaError, SchemaId, SubjectVersion};

/// A schema that this release writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// `<topic>-value`.
    pub name: String,
    /// The schema's text.
    pub schema: String,
}

/// A subject, and what the registry knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectState {
    /// What this release writes.
    pub subject: Subject,
    /// What the registry says to it.
    pub finding: SubjectFinding,
}

/// What the registry says to a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectFinding {
    /// It is registered.
    Registered(SchemaId),
    /// It was released as this version.
    Released(SubjectVersion),
    /// The subject is not known yet.
    New,
    /// It may follow those that are registered.
    Compatible,
    /// It may not, for these reasons.
    Incompatible(Vec<String>),
}

impl fmt::Display for SubjectFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(id) => write!(f, "registered as {id}"),
            Self::Released(version) => write!(f, "released as version {}", version.0),
            Self::New => f.write_str("new"),
            Self::Compatible => f.write_str("changed, compatible"),
            Self::Incompatible(reasons) => write!(f, "incompatible: {}", reasons.join("; ")),
        }
    }
}

/// Asks the registry about each subject. Blocks.
pub fn compare(registry: &dyn Registry, subjects: Vec<Subject>) -> Result<Vec<SubjectState>, RegistryError> {
    let state = |subject: Subject| {
        let finding = ask(registry, &subject)?;
        Ok(SubjectState { subject, finding })
    };
    subjects.into_iter().map(state).collect()
}

fn ask(registry: &dyn Registry, Subject { name, schema }: &Subject) -> Result<SubjectFinding, RegistryError> {
    if let Some(id) = registry.lookup(name, schema)? {
        return Ok(SubjectFinding::Registered(id));
    }
    if registry.latest(name)?.is_none() {
        return Ok(SubjectFinding::New);
    }
    Ok(judged(registry.check(name, schema)?))
}

fn judged(reasons: Vec<String>) -> SubjectFinding {
    if reasons.is_empty() { SubjectFinding::Compatible } else { SubjectFinding::Incompatible(reasons) }
}

/// Compares each subject with what was released before, without a registry. Blocks.
pub fn compare_with_released(released: &Released, subjects: Vec<Subject>) -> Result<Vec<SubjectState>, SchemaError> {
    let state = |subject: Subject| {
        let finding = find_released(released, &subject)?;
        Ok(SubjectState { subject, finding })
    };
    subjects.into_iter().map(state).collect()
}

fn find_released(released: &Released, Subject { name, schema }: &Subject) -> Result<SubjectFinding, SchemaError> {
    if let Some(version) = released.lookup(name, schema)? {
        return Ok(SubjectFinding::Released(version));
    }
    if released.latest(name)?.is_none() {
        return Ok(SubjectFinding::New);
    }
    Ok(judged(released.check(name, schema)?))
}

/// Adds each subject's schema to what was released. Adds nothing if any of them is incompatible. Blocks.
pub fn release(released: &Released, subjects: Vec<Subject>) -> Result<Vec<SubjectState>, SchemaError> {
    let states = compare_with_released(released, subjects)?;
    refuse_incompatible(&states)?;
    let release = |SubjectState { subject, .. }: SubjectState| {
        let version = released.release(&subject.name, &subject.schema)?;
        Ok(SubjectState { subject, finding: SubjectFinding::Released(version) })
    };
    states.into_iter().map(release).collect()
}

fn refuse_incompatible(states: &[SubjectState]) -> Result<(), RegistryError> {
    for state in states {
        if let SubjectFinding::Incompatible(reasons) = &state.finding {
            return Err(RegistryError::Incompatible { subject: state.subject.name.clone(), reasons: reasons.clone() });
        }
    }
    Ok(())
}

/// Registers each subject's schema, and has the registry hold the subject to full backward
/// compatibility. Registers nothing if any of them is incompatible. Blocks.
pub fn push(registry: &dyn Registry, subjects: Vec<Subject>) -> Result<Vec<SubjectState>, RegistryError> {
    let states = compare(registry, subjects)?;
    refuse_incompatible(&states)?;
    let register = |SubjectState { subject, .. }: SubjectState| {
        let id = registry.register(&subject.name, &subject.schema)?;
        registry.set_compatibility(&subject.name)?;
        Ok(SubjectState { subject, finding: SubjectFinding::Registered(id) })
    };
    states.into_iter().map(register).collect()
}
