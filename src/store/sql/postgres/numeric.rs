//! `NUMERIC`, which is what `PostgreSQL` sums up integers to.
//!
//! Source: `numeric_send` in the server's `numeric.c`: number of digits, weight, sign and scale, then
//! digits to the base 10,000, the first one counting 10,000 to the power of the weight.

use crate::projection::Cell;

/// Reads the binary form. A whole number stays exact; `Err` says what cannot be held.
pub fn cell(bytes: &[u8]) -> Result<Cell, String> {
    let words: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let [count, weight, sign, _scale, digits @ ..] = &words[..] else {
        return Err("a NUMERIC of less than 8 bytes".to_owned());
    };
    let negative = match sign {
        0 => false,
        0x4000 => true,
        _ => return Err("a NUMERIC that is no number".to_owned()),
    };
    let digits = &digits[..digits.len().min(usize::from(*count))];
    // Trailing zeros are not sent: what is missing up to the point is zero.
    let whole = usize::try_from(i32::from(weight.cast_signed()) + 1).unwrap_or(0);
    if digits.iter().skip(whole).any(|digit| *digit != 0) || i32::from(weight.cast_signed()) < -1 {
        return Ok(Cell::Real(real(digits, weight.cast_signed(), negative)));
    }
    let mut number: i128 = 0;
    for place in 0..whole {
        let digit = i128::from(digits.get(place).copied().unwrap_or(0));
        number = number.checked_mul(10_000).and_then(|number| number.checked_add(digit)).ok_or_else(too_large)?;
    }
    i64::try_from(if negative { -number } else { number }).map(Cell::Integer).map_err(|_| too_large())
}

fn too_large() -> String {
    "a NUMERIC that is larger than 64 bits; cast it to TEXT".to_owned()
}

fn real(digits: &[u16], weight: i16, negative: bool) -> f64 {
    let mut number = 0.0;
    for (digit, power) in digits.iter().zip((i32::MIN..=i32::from(weight)).rev()) {
        number += f64::from(*digit) * 10_000_f64.powi(power);
    }
    if negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn whole_numbers_stay_exact_and_others_become_floats() {
        assert_eq!(cell(&bytes(&[0, 0, 0, 0])), Ok(Cell::Integer(0)));
        assert_eq!(cell(&bytes(&[2, 1, 0x4000, 0, 123, 4567])), Ok(Cell::Integer(-1_234_567)));
        assert_eq!(cell(&bytes(&[1, 2, 0, 0, 5])), Ok(Cell::Integer(500_000_000)));
        assert_eq!(cell(&bytes(&[2, 0, 0, 2, 12, 5000])), Ok(Cell::Real(12.5)));
        assert_eq!(cell(&bytes(&[1, 0xffff, 0, 1, 5000])), Ok(Cell::Real(0.5)));
        let highest = [5, 4, 0, 0, 922, 3372, 368, 5477, 5807];
        assert_eq!(cell(&bytes(&highest)), Ok(Cell::Integer(i64::MAX)));
    }

    #[test]
    fn what_cannot_be_held_is_an_error() {
        assert!(cell(&bytes(&[1, 5, 0, 0, 9999])).is_err());
        assert!(cell(&bytes(&[0, 0, 0xc000, 0])).is_err(), "not a number");
        assert!(cell(&[0, 1]).is_err());
    }
}
