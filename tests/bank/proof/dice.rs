//! What looks like chance, and is the same for the same seed.

/// Splitmix64: the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    /// Below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut roll = self.0;
        roll = (roll ^ (roll >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        roll = (roll ^ (roll >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (roll ^ (roll >> 31)) % sides.max(1)
    }

    /// One of these.
    pub fn pick<'t>(&mut self, of: &'t [String]) -> &'t str {
        &of[usize::try_from(self.roll(of.len() as u64)).unwrap_or(0)]
    }
}
