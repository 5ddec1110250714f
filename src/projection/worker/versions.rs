//! The last versions of the aggregates that came by lately, to see that none is skipped.
//!
//! The sequence of a partition is checked for every event. The version is checked as well as far as
//! memory goes: two generations of a map, the older one dropped when the younger is full.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};

use crate::position::Version;

const REMEMBERED: usize = 50_000;

#[derive(Debug, Default)]
pub struct LastVersions {
    young: HashMap<Instance, Version>,
    old: HashMap<Instance, Version>,
}

/// An aggregate's type name and id.
#[derive(Debug, PartialEq, Eq)]
struct Instance(&'static str, String);

/// The same without owning the id, so that looking it up costs no allocation.
struct Named<'a>(&'static str, &'a str);

impl Hash for Instance {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Named(self.0, &self.1).hash(state);
    }
}

impl Hash for Named<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1).hash(state);
    }
}

impl Equivalent<Instance> for Named<'_> {
    fn equivalent(&self, key: &Instance) -> bool {
        self.1 == key.1 && self.0 == key.0
    }
}

impl LastVersions {
    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the next version of an aggregate; `Err` with the last one if it does not follow.
    pub fn follow(&mut self, aggregate: &'static str, id: &str, version: Version) -> Result<(), Version> {
        let name = Named(aggregate, id);
        if let Some(last) = self.young.get_mut(&name) {
            let before = std::mem::replace(last, version);
            return if version == before.next() { Ok(()) } else { Err(before) };
        }
        let before = self.old.remove(&name);
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(Instance(aggregate, id.to_owned()), version);
        match before {
            Some(before) if version != before.next() => Err(before),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_does_not_follow_is_found_while_it_is_remembered() {
        let mut versions = LastVersions::default();
        assert_eq!(versions.follow("account", "a", Version(7)), Ok(()), "the first one seen may be any");
        assert_eq!(versions.follow("account", "a", Version(8)), Ok(()));
        for number in 0..REMEMBERED {
            assert_eq!(versions.follow("account", &number.to_string(), Version(1)), Ok(()));
        }
        assert_eq!(versions.follow("account", "a", Version(10)), Err(Version(8)));
        assert_eq!(versions.follow("account", "1", Version(1)), Err(Version(1)));
        assert_eq!(versions.follow("registry", "a", Version(1)), Ok(()), "each type has its own ids");
        for number in 0..2 * REMEMBERED {
            assert_eq!(versions.follow("registry", &number.to_string(), Version(1)), Ok(()));
        }
        assert!(versions.young.len() + versions.old.len() <= 2 * REMEMBERED);
    }
}
