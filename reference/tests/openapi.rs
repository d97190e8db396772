//! The API's description is one that generators of clients can work with: everything has a name or a plain type.
//! `make e2e-clients` has three of them do so.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const SCHEMAS: &str = "#/components/schemas/";

/// `docs/openapi.json`, which another test holds to be current.
fn document() -> Value {
    serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The operations under `paths` or `webhooks`, by their ids.
fn operations<'a>(document: &'a Value, under: &str) -> Vec<(&'a str, &'a Value)> {
    let items = fields(&document[under]).flat_map(|(_, item)| fields(item));
    let operations = items.map(|(_, operation)| operation);
    operations
        .map(|operation| {
            (
                operation["operationId"].as_str().unwrap_or_default(),
                operation,
            )
        })
        .collect()
}

/// Every schema, with where it is, and those within it.
fn schemas(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (name, schema) in fields(&document["components"]["schemas"]) {
        add(name.clone(), schema, &mut found);
    }
    let all = ["paths", "webhooks"].map(|under| operations(document, under));
    for (id, operation) in all.into_iter().flatten() {
        for parameter in elements(&operation["parameters"]) {
            add(
                format!("{id} {}", parameter["name"]),
                &parameter["schema"],
                &mut found,
            );
        }
        let responses = fields(&operation["responses"]);
        let contents = responses.map(|(status, response)| (status.as_str(), &response["content"]));
        let body = ("body", &operation["requestBody"]["content"]);
        for (of, content) in contents.chain([body]) {
            for (_, media_type) in fields(content) {
                add(format!("{id} {of}"), &media_type["schema"], &mut found);
            }
        }
    }
    found
}

fn add<'a>(place: String, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    for (name, property) in fields(&schema["properties"]) {
        add(format!("{place}.{name}"), property, found);
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        for choice in elements(&schema[key]) {
            add(format!("{place} {key}"), choice, found);
        }
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            add(format!("{place} {key}"), &schema[key], found);
        }
    }
    found.push((place, schema));
}

/// The names of a schema's types.
fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        names => elements(names).filter_map(Value::as_str).collect(),
    }
}

fn is_named(schema: &Value) -> bool {
    schema["$ref"].is_string()
}

fn is_scalar(schema: &Value) -> bool {
    let types = types(schema);
    !types.is_empty() && !types.contains(&"object") && !types.contains(&"array")
}

#[test]
fn the_items_of_a_list_have_a_name_or_a_plain_type() {
    let document = document();
    let mut lists = 0;
    for (place, schema) in schemas(&document) {
        let types = types(schema);
        if types.contains(&"array") {
            lists += 1;
            let items = &schema["items"];
            assert!(is_named(items) || is_scalar(items), "{place}: {items}");
            assert!(
                matches!(*types, ["array"] | ["array", "null"]),
                "{place}: {types:?}"
            );
        }
    }
    assert!(lists > 0);
}

#[test]
fn an_object_has_properties_or_says_what_they_may_be() {
    let document = document();
    for (place, schema) in schemas(&document) {
        let types = types(schema);
        if types.contains(&"object") {
            let says =
                schema["properties"].is_object() || schema["additionalProperties"].is_object();
            assert!(says, "{place}: {schema}");
            assert_eq!(types, ["object"], "{place}");
        }
    }
}

#[test]
fn nothing_is_untyped_but_what_may_be_any_json() {
    let document = document();
    let known = |schema: &Map<String, Value>| {
        ["$ref", "type", "oneOf", "allOf"]
            .iter()
            .any(|key| schema.contains_key(*key))
    };
    let any = schemas(&document)
        .into_iter()
        .filter(|(_, schema)| !schema.as_object().is_some_and(known));
    let any: BTreeSet<String> = any.map(|(place, _)| place).collect();
    let expected = [
        "Free",
        "JsonSchema additionalProperties",
        "OpenApiDocument additionalProperties",
        "Payload additionalProperties",
        "Record additionalProperties",
    ];
    assert_eq!(any, expected.map(str::to_owned).into());
}

#[test]
fn each_of_several_choices_has_a_name_or_a_plain_type() {
    let document = document();
    let mut choices = 0;
    for (place, schema) in schemas(&document) {
        assert!(
            schema["anyOf"].is_null(),
            "{place}: a value may be several at once"
        );
        for choice in elements(&schema["oneOf"]) {
            choices += 1;
            let is_list = types(choice) == ["array"];
            assert!(
                is_named(choice) || is_scalar(choice) || is_list,
                "{place}: {choice}"
            );
        }
    }
    assert!(choices > 0);
}

#[test]
fn bodies_and_answers_refer_to_schemas() {
    let document = document();
    for (id, operation) in operations(&document, "paths") {
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert!(body.is_null() || is_named(body), "{id}: {body}");
        let mut answers = 0;
        for (status, response) in fields(&operation["responses"]) {
            let schema = &response["content"]["application/json"]["schema"];
            if !status.starts_with('2') {
                assert_eq!(
                    schema["$ref"],
                    format!("{SCHEMAS}ErrorBody"),
                    "{id} {status}"
                );
                continue;
            }
            answers += 1;
            let is_page = response["content"]["text/html"].is_object();
            let is_list = types(schema) == ["array"];
            assert!(
                is_named(schema) || is_list || is_page,
                "{id} {status}: {schema}"
            );
        }
        assert_eq!(answers, 1, "{id}");
    }
    for (id, operation) in operations(&document, "webhooks") {
        let payload = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert!(is_named(&payload["allOf"][0]), "{id}: {payload}");
    }
}

#[test]
fn no_schema_is_written_out_where_it_could_be_referred_to() {
    let document = document();
    let named: Vec<_> = fields(&document["components"]["schemas"])
        .filter(|(_, schema)| !is_scalar(schema))
        .collect();
    let within = schemas(&document);
    let within = within
        .iter()
        .filter(|(place, _)| place.contains([' ', '.']));
    for (place, schema) in within {
        let same = named.iter().find(|(_, named)| named == schema);
        assert!(same.is_none(), "{place} is {same:?}");
    }
}

#[test]
fn every_schema_is_referred_to_and_every_reference_resolves() {
    let document = document();
    let names: BTreeSet<&str> = fields(&document["components"]["schemas"])
        .map(|(name, _)| name.as_str())
        .collect();
    let referred: BTreeSet<&str> = schemas(&document)
        .iter()
        .filter_map(|(_, schema)| schema["$ref"].as_str()?.strip_prefix(SCHEMAS))
        .collect();
    assert_eq!(names, referred);
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let document = document();
    let all = ["paths", "webhooks"]
        .map(|under| operations(&document, under))
        .concat();
    let ids: BTreeSet<&str> = all.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), all.len());
    assert!(!ids.contains(""));
}
