//! Schema files as trees: every name full, every type written out.
//!
//! A file is self-contained. [`expand`] gives a tree without references, in which two uses of a type
//! are two copies; [`collapse`] writes such trees as one schema text, each type once. Recursive types
//! are refused: a record of a few bytes could then nest deeper than the stack.

use hashbrown::HashMap;
use serde_json::{Map, Value, json};

use super::SchemaError;

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
/// Deeper than any message should nest, and far from what a stack holds.
const MAX_DEPTH: usize = 64;
/// More types than any topic should have: bounds what copies of copies can grow to.
const MAX_NODES: usize = 20_000;

/// The tree of one schema file. Names without a namespace are given `namespace`.
pub fn expand(file: &str, avsc: &str, namespace: &str) -> Result<Value, SchemaError> {
    let invalid = |reason: String| SchemaError::Invalid { file: file.to_owned(), reason };
    let schema: Value = serde_json::from_str(avsc).map_err(|error| invalid(format!("no JSON: {error}")))?;
    let mut expansion = Expansion { named: HashMap::new(), open: Vec::new(), nodes: 0 };
    expansion.walk(&schema, namespace, 0).map_err(invalid)
}

struct Expansion {
    named: HashMap<String, Value>,
    /// The named types around the present place.
    open: Vec<String>,
    nodes: usize,
}

impl Expansion {
    fn walk(&mut self, schema: &Value, namespace: &str, depth: usize) -> Result<Value, String> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(format!("nests deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} types"));
        }
        match schema {
            Value::String(name) if PRIMITIVES.contains(&name.as_str()) => Ok(schema.clone()),
            Value::String(name) => self.reference(&full_name(name, namespace)),
            Value::Array(branches) => branches.iter().map(|branch| self.walk(branch, namespace, depth + 1)).collect(),
            Value::Object(attributes) => self.object(attributes, namespace, depth),
            other => Err(format!("{other} is no type")),
        }
    }

    fn reference(&mut self, name: &str) -> Result<Value, String> {
        if self.open.iter().any(|open| open == name) {
            return Err(format!("{name} contains itself; recursive types are not supported"));
        }
        let copy = self.named.get(name).cloned();
        let copy = copy.ok_or_else(|| format!("{name} is not defined in this file before it is used"))?;
        self.nodes += count(&copy);
        if self.nodes > MAX_NODES {
            return Err(format!("has more than {MAX_NODES} types"));
        }
        Ok(copy)
    }

    fn object(&mut self, attributes: &Map<String, Value>, namespace: &str, depth: usize) -> Result<Value, String> {
        let kind = attributes.get("type").ok_or("a type without \"type\"")?;
        match kind.as_str() {
            Some("record" | "error" | "enum" | "fixed") => self.named(attributes, namespace, depth),
            Some("array") => self.inner(attributes, "items", namespace, depth),
            Some("map") => self.inner(attributes, "values", namespace, depth),
            Some(name) if PRIMITIVES.contains(&name) => Ok(Value::Object(attributes.clone())),
            // `{"type": X}` without anything of its own, where X is a reference, a union or an object.
            _ => self.walk(kind, namespace, depth + 1),
        }
    }

    fn inner(
        &mut self,
        attributes: &Map<String, Value>,
        key: &str,
        namespace: &str,
        depth: usize,
    ) -> Result<Value, String> {
        let inner = attributes.get(key).ok_or_else(|| format!("a type without {key:?}"))?;
        let mut expanded = attributes.clone();
        let inner = self.walk(inner, namespace, depth + 1)?;
        if key == "items" && takes_no_bytes(&inner) {
            // A few bytes could then claim any number of items, and reading them would never end.
            return Err("an array of items that take no bytes".to_owned());
        }
        expanded.insert(key.to_owned(), inner);
        Ok(Value::Object(expanded))
    }

    fn named(&mut self, attributes: &Map<String, Value>, namespace: &str, depth: usize) -> Result<Value, String> {
        let text = |key: &str| attributes.get(key).and_then(Value::as_str);
        let name = text("name").ok_or("a named type without \"name\"")?;
        let full = full_name(name, text("namespace").unwrap_or(namespace));
        if self.named.contains_key(&full) || self.open.contains(&full) {
            return Err(format!("{full} is defined twice"));
        }
        let (inner_namespace, short) = full.rsplit_once('.').unwrap_or(("", &full));
        let mut expanded = attributes.clone();
        expanded.insert("name".to_owned(), json!(short));
        expanded.insert("namespace".to_owned(), json!(inner_namespace));
        if let Some(fields) = attributes.get("fields") {
            self.open.push(full.clone());
            expanded.insert("fields".to_owned(), self.fields(fields, &full, inner_namespace, depth)?);
            self.open.pop();
        }
        let expanded = Value::Object(expanded);
        self.named.insert(full, expanded.clone());
        Ok(expanded)
    }

    fn fields(&mut self, fields: &Value, record: &str, namespace: &str, depth: usize) -> Result<Value, String> {
        let fields = fields.as_array().ok_or_else(|| format!("{record}: \"fields\" is no list"))?;
        let expand = |field: &Value| {
            let attributes = field.as_object().ok_or_else(|| format!("{record}: {field} is no field"))?;
            let name = attributes
                .get("name")
                .and_then(Value::as_str)
                .ok_or_else(|| format!("{record}: a field without name"))?;
            let kind = attributes.get("type").ok_or_else(|| format!("{record}.{name} has no type"))?;
            let kind = self.walk(kind, namespace, depth + 1).map_err(|reason| format!("{record}.{name}: {reason}"))?;
            let mut expanded = attributes.clone();
            expanded.insert("type".to_owned(), kind);
            Ok(Value::Object(expanded))
        };
        fields.iter().map(expand).collect()
    }
}

fn takes_no_bytes(tree: &Value) -> bool {
    match tree.get("fields") {
        Some(Value::Array(fields)) => fields.iter().all(|field| field.get("type").is_some_and(takes_no_bytes)),
        _ => {
            tree == "null" || tree.get("type").is_some_and(|kind| kind == "null") || tree.get("size") == Some(&json!(0))
        }
    }
}

fn count(schema: &Value) -> usize {
    match schema {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(items) => 1 + items.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// A name in full: as it is if it has dots, else within the namespace.
pub fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// The full name of a named type's tree.
pub fn name_of(tree: &Value) -> Option<String> {
    let name = tree.get("name")?.as_str()?;
    Some(full_name(name, tree.get("namespace").and_then(Value::as_str).unwrap_or("")))
}

/// Which type has which definition, and from which file.
#[derive(Default)]
pub struct Definitions {
    known: HashMap<String, (Value, String)>,
}

/// Writes the tree of `file` with each type once: in full where it is new to `definitions`, by name
/// after that.
pub fn collapse(tree: &Value, file: &str, definitions: &mut Definitions) -> Result<Value, SchemaError> {
    match tree {
        Value::Array(branches) => branches.iter().map(|branch| collapse(branch, file, definitions)).collect(),
        Value::Object(attributes) => {
            if let Some(name) = name_of(tree).filter(|_| tree.get("type").is_some_and(is_named_kind)) {
                if let Some((known, first)) = definitions.known.get(&name) {
                    if same_meaning(known, tree) {
                        return Ok(Value::String(name));
                    }
                    let (first, second) = (first.clone(), file.to_owned());
                    return Err(SchemaError::Conflict { name, first, second });
                }
                definitions.known.insert(name, (tree.clone(), file.to_owned()));
            }
            let mut collapsed = attributes.clone();
            for key in ["items", "values"] {
                if let Some(inner) = attributes.get(key) {
                    collapsed.insert(key.to_owned(), collapse(inner, file, definitions)?);
                }
            }
            if let Some(Value::Array(fields)) = attributes.get("fields") {
                let fields = fields.iter().map(|field| {
                    let mut field = field.clone();
                    if let Some(kind) = field.get_mut("type") {
                        *kind = collapse(kind, file, definitions)?;
                    }
                    Ok(field)
                });
                collapsed.insert("fields".to_owned(), fields.collect::<Result<_, SchemaError>>()?);
            }
            Ok(Value::Object(collapsed))
        }
        other => Ok(other.clone()),
    }
}

fn is_named_kind(kind: &Value) -> bool {
    matches!(kind.as_str(), Some("record" | "error" | "enum" | "fixed"))
}

/// Whether two trees say the same, whatever their docs.
pub fn same_meaning(left: &Value, right: &Value) -> bool {
    without_docs(left) == without_docs(right)
}

fn without_docs(tree: &Value) -> Value {
    match tree {
        Value::Array(items) => items.iter().map(without_docs).collect(),
        Value::Object(attributes) => {
            let kept = attributes.iter().filter(|(key, _)| key.as_str() != "doc");
            kept.map(|(key, value)| (key.clone(), if key == "default" { value.clone() } else { without_docs(value) }))
                .collect()
        }
        other => other.clone(),
    }
}

/// Whether two trees stand for the same bytes: same names, fields, branches and symbols in the same
/// order, whatever their docs, defaults and hints.
pub fn same_encoding(left: &Value, right: &Value) -> bool {
    encoding(left) == encoding(right)
}

fn encoding(tree: &Value) -> Value {
    const KEPT: [&str; 9] =
        ["type", "name", "namespace", "fields", "items", "values", "symbols", "size", "logicalType"];
    match tree {
        Value::Array(items) => items.iter().map(encoding).collect(),
        Value::Object(attributes) => {
            let kept = attributes.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), encoding(value))).collect()
        }
        other => other.clone(),
    }
}
