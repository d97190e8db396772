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
        let required = self.required.iter().map(|required| required.schema());
        let all: Vec<Value> = [of_type].into_iter().chain(required).collect();
        let mut schemas = parts(payload_type);
        schemas.insert(name, whole(payload_type));
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
        if let Value::Object(object) = whole(payload_type) {
            for (key, value) in object {
                schema.entry(key).or_insert(value);
            }
        }
        let required = self.required.iter().map(|required| required.schema());
        schema.insert("allOf".to_owned(), required.collect());
        let parts = parts(payload_type);
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
