//! Whether a reader's schema can resolve what a writer's schema wrote: Avro's resolution rules, named
//! types matched by full name or alias, every obstacle reported with its place.
//!
//! What passes here can be read, whatever the value.

use serde_json::Value;

use super::avsc;

/// Every reason why not all values of `writer` can be read as `reader`. Both are trees.
pub fn obstacles(writer: &Value, reader: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(writer, reader, "", &mut found);
    found
}

/// Whether a branch or field type of a writer is the reader's counterpart, by kind and name only.
pub fn is_counterpart(writer: &Value, reader: &Value) -> bool {
    match (kind(writer), kind(reader)) {
        (Kind::Record | Kind::Enum | Kind::Fixed, Kind::Record | Kind::Enum | Kind::Fixed) => {
            kind(writer) == kind(reader) && has_name_of(writer, reader)
        }
        (writer, reader) => writer == reader,
    }
}

/// Whether a primitive is read as a wider one.
pub fn is_promotable(writer: &Value, reader: &Value) -> bool {
    matches!(
        (kind(writer), kind(reader)),
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
            | (Kind::Long, Kind::Float | Kind::Double)
            | (Kind::Float, Kind::Double)
            | (Kind::String, Kind::Bytes)
            | (Kind::Bytes, Kind::String)
    )
}

/// The branch of a reader's union that a writer's type is read as.
pub fn branch_for(writer: &Value, branches: &[Value]) -> Option<usize> {
    let exact = branches.iter().position(|branch| is_counterpart(writer, branch));
    exact.or_else(|| branches.iter().position(|branch| is_promotable(writer, branch)))
}

/// What a type is, without its logical type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Record,
    Enum,
    Fixed,
    Array,
    Map,
    Union,
}

/// The kind of a tree.
pub fn kind(tree: &Value) -> Kind {
    let name = match tree {
        Value::Array(_) => return Kind::Union,
        Value::String(name) => name.as_str(),
        other => other.get("type").and_then(Value::as_str).unwrap_or_default(),
    };
    match name {
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        "record" | "error" => Kind::Record,
        "enum" => Kind::Enum,
        "fixed" => Kind::Fixed,
        "array" => Kind::Array,
        "map" => Kind::Map,
        _ => Kind::Null,
    }
}

/// A list within a tree: fields, symbols, aliases; empty if there is none.
pub fn list<'t>(tree: &'t Value, key: &str) -> &'t [Value] {
    tree.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The name of a field or of a named type, without its namespace.
pub fn short_name(tree: &Value) -> &str {
    tree.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The writer's field that a reader's field is filled from: of its name, else of one of its aliases.
pub fn field_for(writer: &Value, field: &Value) -> Option<usize> {
    let fields = list(writer, "fields");
    let named = |name: &str| fields.iter().position(|field| short_name(field) == name);
    named(short_name(field)).or_else(|| list(field, "aliases").iter().filter_map(Value::as_str).find_map(named))
}

fn has_name_of(writer: &Value, reader: &Value) -> bool {
    let namespace = reader.get("namespace").and_then(Value::as_str).unwrap_or_default();
    let written = avsc::name_of(writer);
    let is_written = |name: &str| written.as_deref() == Some(avsc::full_name(name, namespace).as_str());
    is_written(short_name(reader)) || list(reader, "aliases").iter().filter_map(Value::as_str).any(is_written)
}

fn compare(writer: &Value, reader: &Value, at: &str, found: &mut Vec<String>) {
    match (kind(writer), kind(reader)) {
        (Kind::Union, _) => {
            for branch in writer.as_array().into_iter().flatten() {
                compare(branch, reader, at, found);
            }
        }
        (_, Kind::Union) => {
            let branches = reader.as_array().map_or(&[][..], Vec::as_slice);
            match branch_for(writer, branches) {
                Some(index) if kind(writer) == Kind::Record => {
                    let name = short_name(&branches[index]);
                    let inner = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                    compare(writer, &branches[index], &inner, found);
                }
                Some(index) => compare(writer, &branches[index], at, found),
                None => found.push(format!("{}: {} is no longer one of its types", place(at), describe(writer))),
            }
        }
        _ if is_promotable(writer, reader) => {}
        _ if !is_counterpart(writer, reader) => {
            found.push(format!("{}: {} cannot be read as {}", place(at), describe(writer), describe(reader)));
        }
        (Kind::Record, _) => compare_fields(writer, reader, at, found),
        (Kind::Enum, _) => compare_symbols(writer, reader, at, found),
        (Kind::Fixed, _) if writer.get("size") != reader.get("size") => {
            found.push(format!("{}: {} has another size", place(at), describe(writer)));
        }
        (Kind::Array, _) => compare(&writer["items"], &reader["items"], &format!("{at}[]"), found),
        (Kind::Map, _) => compare(&writer["values"], &reader["values"], &format!("{at}{{}}"), found),
        _ => {}
    }
}

fn compare_fields(writer: &Value, reader: &Value, at: &str, found: &mut Vec<String>) {
    let at = if at.is_empty() { short_name(reader) } else { at };
    for field in list(reader, "fields") {
        let inner = format!("{at}.{}", short_name(field));
        match field_for(writer, field) {
            Some(index) => compare(&list(writer, "fields")[index]["type"], &field["type"], &inner, found),
            None if field.get("default").is_none() => {
                found.push(format!("{inner} is new and has no default"));
            }
            None => {}
        }
    }
}

fn compare_symbols(writer: &Value, reader: &Value, at: &str, found: &mut Vec<String>) {
    if reader.get("default").is_some() {
        return;
    }
    let kept = list(reader, "symbols");
    for symbol in list(writer, "symbols").iter().filter(|symbol| !kept.contains(symbol)) {
        found.push(format!("{}: {} is no longer a symbol of {}", place(at), symbol, short_name(reader)));
    }
}

fn place(at: &str) -> &str {
    if at.is_empty() { "the value" } else { at }
}

fn describe(tree: &Value) -> String {
    avsc::name_of(tree).unwrap_or_else(|| format!("{:?}", kind(tree)).to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacles_of(writer: &str, reader: &str) -> Vec<String> {
        let tree = |text| avsc::expand("test.avsc", text, "bank").expect("a schema");
        obstacles(&tree(writer), &tree(reader))
    }

    fn record(name: &str, fields: &str) -> String {
        format!(r#"{{"type": "record", "name": "{name}", "fields": [{fields}]}}"#)
    }

    #[test]
    fn a_new_field_needs_a_default() {
        let old = record("Deposit", r#"{"name": "amount", "type": "long"}"#);
        let with = |field: &str| record("Deposit", &format!(r#"{{"name": "amount", "type": "long"}}, {field}"#));
        let new = with(r#"{"name": "note", "type": ["null", "string"], "default": null}"#);
        assert_eq!(obstacles_of(&old, &new), Vec::<String>::new());
        let new = with(r#"{"name": "note", "type": "string"}"#);
        assert_eq!(obstacles_of(&old, &new), ["Deposit.note is new and has no default"]);
        assert_eq!(obstacles_of(&new, &old), Vec::<String>::new());
    }

    #[test]
    fn a_type_may_grow_wider_but_not_narrower() {
        let int = record("Deposit", r#"{"name": "amount", "type": "int"}"#);
        let long = record("Deposit", r#"{"name": "amount", "type": "long"}"#);
        assert_eq!(obstacles_of(&int, &long), Vec::<String>::new());
        assert_eq!(obstacles_of(&long, &int), ["Deposit.amount: long cannot be read as int"]);
    }

    #[test]
    fn branches_are_matched_by_name_and_never_by_likeness() {
        let branch = |name| record(name, r#"{"name": "amount", "type": "long"}"#);
        let old = format!("[{}, {}]", branch("Deposited"), branch("Withdrawn"));
        let new = format!("[{}, {}]", branch("Withdrawn"), branch("Forgiven"));
        assert_eq!(obstacles_of(&old, &new), ["the value: bank.Deposited is no longer one of its types"]);
    }

    #[test]
    fn an_obstacle_in_a_branch_names_the_branch() {
        let old = format!("[{}]", record("Deposited", r#"{"name": "amount", "type": "long"}"#));
        let new = format!("[{}]", record("Deposited", r#"{"name": "sum", "type": "long"}"#));
        assert_eq!(obstacles_of(&old, &new), ["Deposited.sum is new and has no default"]);
    }

    #[test]
    fn a_field_may_be_renamed_under_an_alias() {
        let old = record("Deposit", r#"{"name": "sum", "type": "long"}"#);
        let new = record("Deposit", r#"{"name": "amount", "aliases": ["sum"], "type": "long"}"#);
        assert_eq!(obstacles_of(&old, &new), Vec::<String>::new());
    }

    #[test]
    fn a_symbol_may_go_only_where_there_is_a_default() {
        let symbols =
            |list: &str, more: &str| format!(r#"{{"type": "enum", "name": "Kind", "symbols": [{list}]{more}}}"#);
        let old = symbols(r#""a", "b""#, "");
        assert_eq!(obstacles_of(&old, &symbols(r#""a""#, "")), [r#"the value: "b" is no longer a symbol of Kind"#]);
        assert_eq!(obstacles_of(&old, &symbols(r#""a""#, r#", "default": "a""#)), Vec::<String>::new());
    }

    #[test]
    fn every_obstacle_is_reported() {
        let old = record("Deposit", r#"{"name": "a", "type": "long"}, {"name": "b", "type": "string"}"#);
        let new = record("Deposit", r#"{"name": "a", "type": "int"}, {"name": "b", "type": "long"}"#);
        assert_eq!(obstacles_of(&old, &new).len(), 2);
    }
}
