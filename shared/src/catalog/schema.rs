//! JSON Schemas of payloads, in the dialect 2020-12.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    CatalogEvent,
    payload::{Free, PayloadType},
};

/// Where schemas refer to their parts, as utoipa writes it, and as a schema by itself needs it.
const IN_OPENAPI: &str = "#/components/schemas/";
const IN_SCHEMA: &str = "#/$defs/";

impl CatalogEvent {
    /// The payload's schema as a document of OpenAPI has it, and the schemas that it refers to, by name,
    /// which belong among the document's components.
    #[must_use]
    pub fn components(&self) -> (Value, Map<String, Value>) {
        let payload_type = self.payload_type();
        let name = payload_type.name();
        let of_type = json!({"$ref": format!("{IN_OPENAPI}{name}")});
        let (whole, mut schemas) = (whole(payload_type), parts(payload_type));
        let required = self.required.iter();
        let required = required.map(|required| with_required(required.parts(), &whole, &schemas));
        let all: Vec<Value> = [of_type].into_iter().chain(required).collect();
        schemas.insert(name, whole);
        (json!({"allOf": all}), schemas)
    }

    /// The schema of the event's payload, whole in itself: what it refers to stands in its `$defs`.
    #[must_use]
    pub fn schema(&self) -> Value {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        let mut schema = Map::from_iter([
            ("$schema".to_owned(), json!(dialect)),
            ("title".to_owned(), json!(self.name)),
            ("description".to_owned(), json!(self.description)),
        ]);
        let payload_type = self.payload_type();
        let (whole, parts) = (whole(payload_type), parts(payload_type));
        let required = self.required.iter();
        let required = required.map(|required| with_required(required.parts(), &whole, &parts));
        let all = required.collect();
        if let Value::Object(object) = whole {
            for (key, value) in object {
                schema.entry(key).or_insert(value);
            }
        }
        schema.insert("allOf".to_owned(), all);
        if !parts.is_empty() {
            schema.insert("$defs".to_owned(), Value::Object(parts));
        }
        let mut schema = Value::Object(schema);
        refer_to_own_parts(&mut schema);
        schema
    }
}

/// The schema of a payload's type.
fn whole(payload_type: PayloadType) -> Value {
    let mut schema = json!(payload_type.schema());
    let_any_json_be_null(&mut schema);
    schema
}

/// The schemas that it refers to, by name.
fn parts(payload_type: PayloadType) -> Map<String, Value> {
    let parts = payload_type.parts().into_iter().map(|(name, part)| {
        let mut part = json!(part);
        let_any_json_be_null(&mut part);
        (name, part)
    });
    parts.collect()
}

/// What a payload must have, as a schema beside that of its type: the objects that lead there, and the field
/// with its own type, so that generators know it.
fn with_required(
    (fields, may_be_null): (&[&str], bool),
    of: &Value,
    parts: &Map<String, Value>,
) -> Value {
    match fields {
        [] if may_be_null => of.clone(),
        [] => without_null(of),
        [field, inner @ ..] => {
            let of = object(of, parts).map_or(&Value::Null, |of| &of["properties"][field]);
            let found = with_required((inner, may_be_null), of, parts);
            json!({"type": "object", "required": [field], "properties": {*field: found}})
        }
    }
}

/// The object that a schema is, or may be.
fn object<'a>(schema: &'a Value, parts: &'a Map<String, Value>) -> Option<&'a Value> {
    let reference = schema["$ref"].as_str();
    let name = reference.and_then(|reference| reference.strip_prefix(IN_OPENAPI));
    if let Some(part) = name.and_then(|name| parts.get(name)) {
        return object(part, parts);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().find_map(|choice| object(choice, parts));
    }
    schema["properties"].is_object().then_some(schema)
}

/// The schema of an optional field that is not null.
fn without_null(schema: &Value) -> Value {
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let mut choices = choices.filter(|choice| choice["type"] != "null");
    if let Some(choice) = choices.next() {
        return choice.clone();
    }
    let mut schema = schema.clone();
    let types = schema["type"].as_array().into_iter().flatten();
    let mut types = types.filter(|name| *name != "null");
    if let Some(name) = types.next().cloned() {
        schema["type"] = name;
    }
    schema
}

/// Makes an optional field of any JSON just that. As utoipa writes it, it is one of any JSON and null; null
/// would be both, which is no longer one.
fn let_any_json_be_null(schema: &mut Value) {
    let null = json!({"type": "null"});
    let free = format!("{IN_OPENAPI}{}", Free::name());
    let any = match schema["oneOf"].as_array().map(Vec::as_slice) {
        Some([any, other]) if any["$ref"] == free && *other == null => Some(any.clone()),
        _ => None,
    };
    match (any, schema) {
        (Some(any), schema) => *schema = any,
        (None, Value::Object(fields)) => fields.values_mut().for_each(let_any_json_be_null),
        (None, Value::Array(items)) => items.iter_mut().for_each(let_any_json_be_null),
        _ => {}
    }
}

fn refer_to_own_parts(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(IN_OPENAPI)
            {
                *reference = format!("{IN_SCHEMA}{name}");
            }
            fields.values_mut().for_each(refer_to_own_parts);
        }
        Value::Array(items) => items.iter_mut().for_each(refer_to_own_parts),
        _ => {}
    }
}
