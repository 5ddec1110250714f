//! Decimals with a fixed number of places: whole minor units in Avro, exact text in JSON. No floats.

/// Largest number of places: beyond, one unit is more than an `i64` holds.
pub const MAX_PLACES: u32 = 18;

/// `"12.34"` with two places is 1234; fewer places than there may be are filled with zeros.
pub fn parse(text: &str, places: u32) -> Result<i64, String> {
    let form = || format!("must be a decimal such as {:?}", show(1234, places));
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, it)| (whole, Some(it)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return Err(form());
    }
    let fraction = fraction.unwrap_or_default();
    let missing = u32::try_from(fraction.len()).ok().and_then(|given| places.checked_sub(given));
    let Some(missing) = missing else {
        return Err(format!("must have at most {places} decimal places"));
    };
    let mut units = 0_i64;
    let digits = whole.bytes().chain(fraction.bytes()).map(|byte| i64::from(byte - b'0'));
    for digit in digits.chain((0..missing).map(|_| 0)) {
        let grown = units.checked_mul(10).and_then(|it| it.checked_add(if negative { -digit } else { digit }));
        units = grown.ok_or_else(|| "is too large".to_owned())?;
    }
    Ok(units)
}

/// 1234 with two places is `"12.34"`.
pub fn show(units: i64, places: u32) -> String {
    let sign = if units < 0 { "-" } else { "" };
    if places == 0 {
        return units.to_string();
    }
    let one = 10_u64.pow(places);
    let units = units.unsigned_abs();
    format!("{sign}{}.{:0width$}", units / one, units % one, width = places as usize)
}

/// A regular expression for the decimals between two bounds. It is exact about zero and about an upper
/// bound such as 1000.00; about others it is exact to the number of digits.
pub fn pattern(places: u32, minimum: i64, maximum: i64) -> String {
    const MOST_DIGITS: usize = 16;
    let sign = if minimum < 0 { "-?" } else { "" };
    let above_zero = if minimum > 0 { r"(?!0*(\.0*)?$)" } else { "" };
    let some = |digit: &str| if places == 0 { String::new() } else { format!(r"(\.{digit}{{1,{places}}})?") };
    let one = 10_u64.pow(places);
    let most = minimum.unsigned_abs().max(maximum.unsigned_abs());
    let whole = (most / one).to_string();
    let fraction = some("[0-9]");
    let is_round = minimum >= 0 && most.is_multiple_of(one) && whole.len() > 1 && whole.trim_end_matches('0') == "1";
    if is_round {
        let (less, zeros) = (whole.len() - 1, some("0"));
        return format!("^{above_zero}([0-9]{{1,{less}}}{fraction}|{whole}{zeros})$");
    }
    format!("^{above_zero}{sign}[0-9]{{1,{}}}{fraction}$", whole.len().min(MOST_DIGITS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_left_out_are_zeros() {
        for text in ["10", "10.0", "10.00", "010.00"] {
            assert_eq!(parse(text, 2), Ok(1000), "{text}");
        }
        assert_eq!(parse("-0.05", 2), Ok(-5));
        assert_eq!(parse("7", 0), Ok(7));
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "+1", "1,5", "1e3", "NaN", "0x10", " 1", "1 ", "١", "--1", "1.2.3"] {
            assert_eq!(parse(text, 2), Err("must be a decimal such as \"12.34\"".to_owned()), "{text:?}");
        }
        assert_eq!(parse("0.001", 2), Err("must have at most 2 decimal places".to_owned()));
        assert_eq!(parse("92233720368547758.08", 2), Err("is too large".to_owned()));
        assert_eq!(parse("92233720368547758.07", 2), Ok(i64::MAX));
        assert_eq!(parse("-92233720368547758.08", 2), Ok(i64::MIN));
    }

    #[test]
    fn a_pattern_says_the_form_and_the_bounds() {
        let amount = pattern(2, 1, 100_000_000);
        assert_eq!(amount, r"^(?!0*(\.0*)?$)([0-9]{1,6}(\.[0-9]{1,2})?|1000000(\.0{1,2})?)$");
        // Without the look ahead, which this engine does not know.
        let form = regex::Regex::new(&pattern(2, 0, 100_000_000)).expect("a pattern");
        for text in ["0", "0.1", "12.34", "999999.99", "1000000", "1000000.00"] {
            assert!(form.is_match(text) && parse(text, 2).is_ok_and(|units| units <= 100_000_000), "{text}");
        }
        for text in ["", "-1", "1000000.01", "1000001", "1.234", "1.", ".5"] {
            assert!(!form.is_match(text), "{text}");
        }
        assert_eq!(pattern(0, i64::MIN, i64::MAX), "^-?[0-9]{1,16}$");
        assert_eq!(pattern(3, -5000, 5000), r"^-?[0-9]{1,1}(\.[0-9]{1,3})?$");
    }

    proptest! {
        #[test]
        fn a_decimal_reads_back_what_it_writes(units: i64, places in 0..=MAX_PLACES) {
            prop_assert_eq!(parse(&show(units, places), places), Ok(units));
        }
    }
}
