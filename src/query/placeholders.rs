//! The `?` of a statement, each of which stands for a parameter.

/// The statement's stretches between its `?`. Those within texts, quoted names and comments are none.
pub fn split(sql: &str) -> Vec<&str> {
    let mut stretches = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        at += match first {
            '\'' | '"' => 1 + rest[1..].find(first).map_or(rest.len() - 1, |end| end + 1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '?' => {
                stretches.push(&sql[begin..at]);
                begin = at + 1;
                1
            }
            _ => first.len_utf8(),
        };
    }
    stretches.push(&sql[begin..]);
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_question_mark_outside_of_texts_is_a_parameter() {
        let sql = "SELECT '?' AS \"a?\", b -- why?\nFROM t /* ? */ WHERE a = ? AND ü = ? AND c = 'it''s ?'";
        let expected =
            ["SELECT '?' AS \"a?\", b -- why?\nFROM t /* ? */ WHERE a = ", " AND ü = ", " AND c = 'it''s ?'"];
        assert_eq!(split(sql), expected);
        for odd in ["SELECT 'unfinished ?", "SELECT /* unfinished ?", "SELECT 1 -- ?", ""] {
            assert_eq!(split(odd), [odd]);
        }
        assert_eq!(split("?"), ["", ""]);
    }
}
