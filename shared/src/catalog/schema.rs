//! JSON Schemas of payloads, in the dialect 2020-12.

use serde_json::{Map, Value, json};

use super::{CatalogEvent, payload::Schemas};

/// Where schemas refer to their parts, as utoipa writes it, and as a schema by itself needs it.
const IN_OPENAPI: &str = "#/components/schemas/";
const IN_SCHEMA: &str = "#/$defs/";

impl CatalogEvent {
    /// The payload's schema as a document of OpenAPI has it, and the schemas that it refers to, by name,
    /// which belong among the document's components.
    #[must_use]
    pub fn components(&self) -> (Value, Schemas) {
        let name = self.payload_type().name();
        let of_type = json!({"$ref": format!("{IN_OPENAPI}{name}")});
        let required = self.required.iter().map(|required| required.schema());
        let all: Vec<Value> = [of_type].into_iter().chain(required).collect();
        let mut schemas = self.payload_type().parts();
        schemas.push((name, self.payload_type().schema()));
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
        if let Value::Object(object) = json!(self.payload_type().schema()) {
            for (key, value) in object {
                schema.entry(key).or_insert(value);
            }
        }
        let required = self.required.iter().map(|required| required.schema());
        schema.insert("allOf".to_owned(), required.collect());
        let parts = self.payload_type().parts();
        if !parts.is_empty() {
            let parts = parts.into_iter().map(|(name, part)| (name, json!(part)));
            schema.insert("$defs".to_owned(), parts.collect());
        }
        let mut schema = Value::Object(schema);
        refer_to_own_parts(&mut schema);
        schema
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
