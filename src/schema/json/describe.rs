//! The JSON of a message as a JSON Schema (2020-12), for the description of the API.

use serde_json::{Map, Value, json};

use super::decimal;
use super::shape::{Shape, TextRules};
use crate::schema::compatibility::{list, short_name};
use crate::schema::{MessageSchema, SchemaError, avsc};

/// A message's fields as they are written in JSON, with the rules and docs of its schema.
pub fn json_schema(schema: &MessageSchema) -> Result<Value, SchemaError> {
    let file = format!("{}.avsc", schema.name);
    let tree = avsc::expand(&file, schema.avsc, "")?;
    describe(&tree, &Value::Null).map_err(|reason| SchemaError::Invalid { file, reason })
}

fn describe(tree: &Value, field: &Value) -> Result<Value, String> {
    let shape = Shape::hinted(tree, field)?;
    let mut schema = of_shape(&shape, tree, field)?;
    let doc = field.get("doc").or_else(|| tree.get("doc")).and_then(Value::as_str);
    let form = form_of(&shape);
    let description = [doc, form.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    if let Some(attributes) = schema.as_object_mut()
        && !description.is_empty()
    {
        attributes.insert("description".to_owned(), description.into());
    }
    Ok(schema)
}

/// How a value is written where JSON itself does not say it.
fn form_of(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Decimal { places, .. } => Some(format!("In JSON text such as {:?}.", decimal::show(1000, *places))),
        Shape::Optional(inner) => form_of(inner),
        _ => None,
    }
}

fn of_shape(shape: &Shape, tree: &Value, field: &Value) -> Result<Value, String> {
    Ok(match shape {
        Shape::Null => json!({"type": "null"}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Integer { minimum, maximum } => {
            json!({"type": "integer", "format": "int64", "minimum": minimum, "maximum": maximum})
        }
        Shape::Decimal { places, minimum, maximum } => {
            let example = decimal::show(1000.clamp(*minimum, *maximum), *places);
            let pattern = decimal::pattern(*places, *minimum, *maximum);
            json!({"type": "string", "pattern": pattern, "examples": [example]})
        }
        Shape::Float => json!({"type": "number"}),
        Shape::Text(rules) => of_text(rules),
        Shape::Uuid => json!({"type": "string", "format": "uuid"}),
        Shape::Timestamp { .. } => json!({"type": "string", "format": "date-time"}),
        Shape::Date => json!({"type": "string", "format": "date"}),
        Shape::Bytes(_) => json!({"type": "string", "contentEncoding": "base64"}),
        Shape::Symbol(symbols) => json!({"type": "string", "enum": symbols}),
        Shape::List(_) => json!({"type": "array", "items": describe(&tree["items"], field)?}),
        Shape::Map(_) => json!({"type": "object", "additionalProperties": describe(&tree["values"], field)?}),
        Shape::Record(_) => of_record(tree)?,
        Shape::Optional(inner) => {
            let mut others = tree.as_array().into_iter().flatten().filter(|branch| *branch != "null");
            let other = others.next().unwrap_or(&Value::Null);
            or_null(of_shape(inner, other, field)?)
        }
        Shape::Either(branches) => {
            let trees = tree.as_array().into_iter().flatten();
            let branch = |((name, shape), tree): (&(String, Shape), &Value)| {
                if matches!(shape, Shape::Null) {
                    return Ok(json!({"type": "null"}));
                }
                let inner = describe(tree, &Value::Null)?;
                let properties = Map::from_iter([(name.clone(), inner)]);
                Ok(json!({
                    "type": "object", "properties": properties, "required": [name], "additionalProperties": false,
                }))
            };
            json!({"oneOf": branches.iter().zip(trees).map(branch).collect::<Result<Vec<_>, String>>()?})
        }
    })
}

fn of_text(rules: &TextRules) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), json!("string"))]);
    let lengths = [("minLength", rules.min_length), ("maxLength", rules.max_length)];
    schema.extend(lengths.into_iter().filter_map(|(name, length)| Some((name.to_owned(), length?.into()))));
    schema.extend(rules.pattern.as_ref().map(|pattern| ("pattern".to_owned(), pattern.as_str().into())));
    Value::Object(schema)
}

fn of_record(tree: &Value) -> Result<Value, String> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in list(tree, "fields") {
        let name = short_name(field);
        let kind = &field["type"];
        let mut schema = describe(kind, field)?;
        if field.get("secret") == Some(&Value::Bool(true)) && schema["type"] == "string" {
            schema["format"] = "password".into();
        }
        properties.insert(name.to_owned(), schema);
        let is_optional = matches!(Shape::hinted(kind, field)?, Shape::Optional(_)) || field.get("default").is_some();
        if !is_optional {
            required.push(name);
        }
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    Ok(schema)
}

fn or_null(mut schema: Value) -> Value {
    match schema.get("type").cloned() {
        Some(Value::String(kind)) if schema.get("enum").is_none() => {
            schema["type"] = json!([kind, "null"]);
            schema
        }
        _ => json!({"oneOf": [schema, {"type": "null"}]}),
    }
}
