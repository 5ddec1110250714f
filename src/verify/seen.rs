//! Which commands have an outcome, in a fixed amount of memory however many there are.
//!
//! A Bloom filter: "no" is certain; "perhaps" must be looked up. Source: B. H. Bloom, "Space/time
//! trade-offs in hash coding with allowable errors", 1970; double hashing after Kirsch and Mitzenmacher,
//! 2006.

use uuid::Uuid;

/// What names a command of one aggregate, hashed to 128 bits: that two collide by chance is left out of
/// account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(u128);

impl KeyHash {
    pub fn of(aggregate_id: &str, command_id: Uuid) -> Self {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(command_id.as_bytes());
        hasher.update(aggregate_id.as_bytes());
        Self(hasher.digest128())
    }
}

/// A set of commands that may say yes too often, and never says no wrongly.
pub(super) struct Seen {
    words: Box<[u64]>,
    mask: u64,
}

impl Seen {
    const BITS_OF_A_KEY: u64 = 16;
    const PROBES: u64 = 4;
    const LEAST_BITS: u64 = 1 << 16;
    /// 64 MiB.
    const MOST_BITS: u64 = 1 << 29;

    /// For about so many commands.
    pub fn for_about(keys: u64) -> Self {
        let wanted = keys.saturating_mul(Self::BITS_OF_A_KEY).min(Self::MOST_BITS);
        let bits = wanted.next_power_of_two().clamp(Self::LEAST_BITS, Self::MOST_BITS);
        let words = usize::try_from(bits / 64).unwrap_or(usize::MAX);
        Self { words: vec![0; words].into(), mask: bits - 1 }
    }

    /// Whether it may have been put in.
    pub fn perhaps(&self, key: KeyHash) -> bool {
        self.places(key).all(|(word, bit)| self.words[word] & bit != 0)
    }

    /// Puts it in; says whether it may have been in before.
    pub fn insert(&mut self, key: KeyHash) -> bool {
        let before = self.perhaps(key);
        for (word, bit) in self.places(key) {
            self.words[word] |= bit;
        }
        before
    }

    fn places(&self, KeyHash(hash): KeyHash) -> impl Iterator<Item = (usize, u64)> + use<> {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the hash")]
        let (first, step) = (hash as u64, (hash >> 64) as u64 | 1);
        let mask = self.mask;
        (0..Self::PROBES).map(move |probe| {
            let place = first.wrapping_add(step.wrapping_mul(probe)) & mask;
            (usize::try_from(place / 64).unwrap_or(usize::MAX), 1 << (place % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> KeyHash {
        KeyHash::of("000001", Uuid::from_u128(number))
    }

    #[test]
    fn what_was_put_in_is_never_denied_and_hardly_anything_else_is_claimed() {
        let mut seen = Seen::for_about(10_000);
        for number in 0..10_000 {
            seen.insert(key(number));
        }
        assert!((0..10_000).all(|number| seen.perhaps(key(number))));
        let claimed = (10_000..20_000).filter(|number| seen.perhaps(key(*number))).count();
        assert!(claimed < 100, "{claimed} of 10000");
    }

    #[test]
    fn a_command_counts_for_its_aggregate_alone() {
        let mut seen = Seen::for_about(1);
        let id = Uuid::from_u128(1);
        assert!(!seen.insert(KeyHash::of("000001", id)));
        assert!(seen.insert(KeyHash::of("000001", id)));
        assert!(!seen.perhaps(KeyHash::of("000002", id)));
    }
}
