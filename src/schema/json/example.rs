//! A value that a type's hints allow, for probing.

use serde_json::Value;

use super::shape::Shape;

const ID: &str = "01900000-0000-7000-8000-000000000001";

/// A whole number within the bounds.
pub fn number(tree: &Value, field: &Value) -> i64 {
    match Shape::hinted(tree, field) {
        Ok(Shape::Integer { minimum, maximum } | Shape::Decimal { minimum, maximum, .. }) if minimum <= maximum => {
            1.clamp(minimum, maximum)
        }
        _ => 1,
    }
}

/// A text that keeps the rules, if one of a few common ones does.
pub fn text(tree: &Value, field: &Value) -> String {
    match Shape::hinted(tree, field) {
        Ok(Shape::Uuid) => ID.to_owned(),
        Ok(Shape::Text(rules)) => {
            let lengths = 1..=rules.min_length.unwrap_or(0).max(12);
            let mut tried = lengths.flat_map(|length| ["a", "1", "A"].map(|letter| letter.repeat(length)));
            tried.find(|text| rules.check(text).is_ok()).unwrap_or_default()
        }
        _ => String::new(),
    }
}
