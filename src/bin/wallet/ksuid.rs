//! KSUIDs: ids of 20 bytes that sort by the second in which they were made, as 27 digits of base 62.
//!
//! Source: github.com/segmentio/ksuid. Four bytes are the seconds since 2014-05-13T16:53:20Z, 16 are
//! random.

use std::fmt;
use std::str::FromStr;

use headwater::clock::{self, Clock};
use serde::{Deserialize, Serialize};

/// The digits, in the order of ASCII: so texts sort as their ids do.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 27;
/// All bits set.
const LAST: &str = "aWgEPTl1tmebfsQzFP4bxwgy80V";
/// In seconds since 1970.
const EPOCH: i64 = 1_400_000_000;

/// A KSUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ksuid(String);

/// A text that is no KSUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a KSUID: {LENGTH} digits and letters, at most {LAST}")]
pub struct KsuidError;

impl Ksuid {
    /// A new one.
    pub fn new() -> Self {
        let seconds = Clock::system().now().0 / 1_000_000 - EPOCH;
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&u32::try_from(seconds).unwrap_or(0).to_be_bytes());
        bytes[4..12].copy_from_slice(&clock::random().to_be_bytes());
        bytes[12..].copy_from_slice(&clock::random().to_be_bytes());
        Self::of(bytes)
    }

    fn of(mut bytes: [u8; 20]) -> Self {
        let mut text = [b'0'; LENGTH];
        for digit in text.iter_mut().rev() {
            let mut rest = 0_usize;
            for byte in &mut bytes {
                let number = (rest << 8) | usize::from(*byte);
                // The rest was below 62, so that this is below 256.
                *byte = u8::try_from(number / DIGITS.len()).unwrap_or(u8::MAX);
                rest = number % DIGITS.len();
            }
            *digit = DIGITS[rest];
        }
        Self(text.into_iter().map(char::from).collect())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Ksuid {
    type Err = KsuidError;

    fn from_str(text: &str) -> Result<Self, KsuidError> {
        let sound = text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && text <= LAST;
        if sound { Ok(Self(text.to_owned())) } else { Err(KsuidError) }
    }
}

impl TryFrom<String> for Ksuid {
    type Error = KsuidError;

    fn try_from(text: String) -> Result<Self, KsuidError> {
        text.parse()
    }
}

impl From<Ksuid> for String {
    fn from(id: Ksuid) -> Self {
        id.0
    }
}

impl fmt::Display for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of `segmentio/ksuid`.
    #[test]
    fn a_ksuid_is_written_as_by_its_inventors() {
        let bytes = 0x0669_F7EF_B5A1_CD34_B5F9_9D11_54FB_6853_u128.to_be_bytes();
        let mut whole = [0; 20];
        whole[..16].copy_from_slice(&bytes);
        whole[16..].copy_from_slice(&0x345C_9735_u32.to_be_bytes());
        assert_eq!(Ksuid::of(whole).as_str(), "0ujtsYcgvSTl8PAuAdqWYSMnLOv");
        assert_eq!(Ksuid::of([0; 20]).as_str(), "000000000000000000000000000");
        assert_eq!(Ksuid::of([255; 20]).as_str(), LAST);
    }

    #[test]
    fn new_ones_are_different_and_can_be_read() {
        let (one, other) = (Ksuid::new(), Ksuid::new());
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
    }

    #[test]
    fn what_is_no_ksuid_is_refused() {
        let long = "0".repeat(28);
        for text in [
            "",
            "anna",
            "0ujtsYcgvSTl8PAuAdqWYSMnLO",
            &long,
            "0ujtsYcgvSTl8PAuAdqWYSMnLO-",
            "aWgEPTl1tmebfsQzFP4bxwgy80W",
        ] {
            assert_eq!(text.parse::<Ksuid>(), Err(KsuidError), "{text}");
        }
    }
}
