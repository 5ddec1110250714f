//! Several byte strings in one value, each with a number.

use bytes::Bytes;

/// One of them.
pub(super) type Frame = (i64, Bytes);

/// Adds one.
pub(super) fn push(to: &mut Vec<u8>, number: i64, bytes: &[u8]) {
    to.extend_from_slice(&number.to_be_bytes());
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// All of them; `None` if the value is none of these.
pub(super) fn read(mut value: Bytes) -> Option<Vec<Frame>> {
    let mut found = Vec::new();
    while !value.is_empty() {
        let number = i64::from_be_bytes(*value.first_chunk()?);
        let rest = value.slice(size_of::<i64>()..);
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let begin = size_of::<u32>();
        if rest.len() < begin + length {
            return None;
        }
        found.push((number, rest.slice(begin..begin + length)));
        value = rest.slice(begin + length..);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_read_and_a_value_cut_short_is_not() {
        let mut value = Vec::new();
        for (number, bytes) in [(7, &b"seven"[..]), (-1, b""), (i64::MAX, &[0; 300])] {
            push(&mut value, number, bytes);
        }
        let found = read(value.clone().into()).expect("whole");
        let shown: Vec<_> = found.iter().map(|(number, bytes)| (*number, bytes.len())).collect();
        assert_eq!(shown, [(7, 5), (-1, 0), (i64::MAX, 300)]);
        assert_eq!(found[0].1, "seven");
        assert_eq!(read(value[..value.len() - 1].to_vec().into()), None);
        assert_eq!(read(value[..20].to_vec().into()), None);
    }
}
