//! The types' schemas.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// The schema of an object within a schema: what it refers to, and of several the one for objects.
fn of_object<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("a part of its own");
        return of_object(root, root.pointer(pointer).expect("a part that is there"));
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(several) = schema[several].as_array() {
            return several.iter().find_map(|schema| of_object(root, schema));
        }
    }
    schema["properties"].is_object().then_some(schema)
}

/// Whether the schema of an event requires the field at the end of a way.
fn is_required(root: &Value, way: &[Step]) -> bool {
    let (last, way) = way.split_last().expect("a field");
    let Step::Field(name) = last else {
        return false;
    };
    let object = way.iter().try_fold(root, |schema, step| match step {
        Step::Field(name) => of_object(root, schema)?["properties"].get(name),
        Step::Element(_) => items(schema),
    });
    let object = object.and_then(|schema| of_object(root, schema));
    let required = object.and_then(|object| object["required"].as_array());
    required.is_some_and(|required| required.contains(&json!(name)))
}

/// The schema of a list's elements.
fn items(schema: &Value) -> Option<&Value> {
    schema.get("items").or_else(|| {
        let several = schema["oneOf"].as_array().or(schema["anyOf"].as_array())?;
        several.iter().find_map(items)
    })
}

#[test]
fn leaving_a_field_out_is_a_mistake_exactly_if_the_schema_requires_it() {
    for event in events() {
        let schema = event.schema();
        let example = parsed(event.example());
        let mut required = 0;
        for way in ways(&example) {
            let Some((Step::Field(name), object)) = way.steps().split_last() else {
                continue;
            };
            let mut without = example.clone();
            let fields = at(&mut without, object).as_object_mut();
            fields.expect("an object").shift_remove(name);
            let held = hold(event, &without.to_string());
            let place = format!("{}: {way}", event.name);
            if is_required(&schema, way.steps()) {
                required += 1;
                let wrong = held
                    .err()
                    .unwrap_or_else(|| panic!("{place} is not missed"));
                assert_eq!(wrong.path, way, "{place}");
                assert_eq!(wrong.message, "This field is required.", "{place}");
            } else if let Err(wrong) = held {
                panic!("{place} is missed: {wrong}");
            }
        }
        assert!(required > 0, "{}: nothing is required", event.name);
    }
}

#[test]
fn every_schema_is_one_and_its_example_is_valid() {
    for event in events() {
        let name = event.name;
        let schema = event.schema();
        let wrong = jsonschema::draft202012::meta::validate(&schema).err();
        assert!(wrong.is_none(), "{name}: {wrong:?}");
        // This also looks up every reference.
        let validator =
            jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        let wrong: Vec<_> = validator
            .iter_errors(&parsed(event.example()))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        assert!(!validator.is_valid(&json!({})), "{name}");
        assert!(!validator.is_valid(&json!([])), "{name}");
        assert_eq!(schema["title"], name);
        assert_eq!(schema["description"], event.description);
        assert!(!has_key(&schema, "token"), "{name}: a token");
    }
}

#[test]
fn every_reference_of_a_schema_is_to_a_part_of_its_own() {
    fn references(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    found.insert(reference.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    for event in events() {
        let schema = event.schema();
        let mut found = BTreeSet::new();
        references(&schema, &mut found);
        let parts = schema["$defs"].as_object().expect("parts");
        let parts = parts.keys().map(|name| format!("#/$defs/{name}")).collect();
        assert_eq!(found, parts, "{}", event.name);
    }
}

#[test]
fn schemas_of_the_same_name_are_the_same() {
    let mut known = BTreeMap::new();
    for event in events() {
        let mut schemas = event.payload.parts();
        schemas.push((event.payload.name(), event.payload.schema()));
        for (name, schema) in schemas {
            let schema = json!(schema);
            let first = known.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(*first, schema, "{}: another {name}", event.name);
        }
    }
}
