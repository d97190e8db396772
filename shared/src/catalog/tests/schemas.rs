//! The types' schemas.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn validator(event: &CatalogEvent) -> jsonschema::Validator {
    // This also looks up every reference.
    jsonschema::draft202012::new(&event.schema())
        .unwrap_or_else(|error| panic!("{}: {error}", event.name))
}

/// The example without the field at the end of a way, or with null in its place.
fn changed(event: &CatalogEvent, way: &Path, with_null: bool) -> Option<Value> {
    let Some((Step::Field(name), object)) = way.steps().split_last() else {
        return None;
    };
    let mut changed = parsed(event.example());
    let fields = at(&mut changed, object).as_object_mut().expect("an object");
    if with_null {
        fields.insert(name.clone(), Value::Null);
    } else {
        fields.shift_remove(name);
    }
    Some(changed)
}

#[test]
fn what_is_missing_or_null_is_a_mistake_exactly_if_the_schema_says_so() {
    for event in events() {
        let validator = validator(event);
        let mut required = 0;
        for way in ways(&parsed(event.example())) {
            for (with_null, message) in [(false, "This field is required."), (true, "")] {
                let Some(payload) = changed(event, &way, with_null) else {
                    continue;
                };
                let place = format!("{}: {way}, null: {with_null}", event.name);
                let held = hold(event, &payload.to_string());
                assert_eq!(held.is_ok(), validator.is_valid(&payload), "{place}");
                if let Err(wrong) = held {
                    required += 1;
                    assert_eq!(wrong.path, way, "{place}");
                    assert!(with_null || wrong.message == message, "{place}");
                }
            }
        }
        assert!(required > 0, "{}: nothing is required", event.name);
    }
}

#[test]
fn what_a_row_requires_must_be_there() {
    for event in events() {
        for required in event.required {
            let (Required::Present(fields) | Required::MayBeNull(fields)) = required;
            let way = fields
                .iter()
                .fold(Path::default(), |way, field| way.join(field));
            let missing = changed(event, &way, false).expect("a field");
            let wrong = hold(event, &missing.to_string()).unwrap_err();
            let message = "This field is required.";
            assert_eq!((&wrong.path, wrong.message.as_str()), (&way, message));
            let null = changed(event, &way, true).expect("a field");
            let held = hold(event, &null.to_string());
            match required {
                Required::MayBeNull(_) => assert!(held.is_ok(), "{}", event.name),
                Required::Present(_) => {
                    let wrong = held.unwrap_err();
                    let message = "This field may not be null.";
                    assert_eq!((&wrong.path, wrong.message.as_str()), (&way, message));
                }
            }
        }
    }
}

#[test]
fn nothing_is_required_but_the_records_number_and_what_the_event_is_about() {
    for event in events() {
        let ids = event.required.iter().filter(|required| {
            let (Required::Present(fields) | Required::MayBeNull(fields)) = required;
            fields.last() == Some(&"id")
        });
        assert_eq!(ids.count(), 1, "{}", event.name);
        assert!(event.required.len() <= 2, "{}", event.name);
        let all = parsed(event.example());
        let mut least = json!({});
        for required in event.required {
            let (Required::Present(fields) | Required::MayBeNull(fields)) = required;
            let pointer = format!("/{}", fields.join("/"));
            let (last, objects) = fields.split_last().expect("a field");
            let mut object = &mut least;
            for name in objects {
                object = &mut object[*name];
            }
            object[*last] = all.pointer(&pointer).expect("a value").clone();
        }
        let held = hold(event, &least.to_string());
        assert!(held.is_ok(), "{}: {least}", event.name);
    }
}

#[test]
fn rules_and_fills_speak_of_fields_and_words_that_the_type_has() {
    for event in events() {
        let (name, schema) = (event.name, event.schema());
        for fill in event.fills {
            assert!(
                schema["properties"][fill.field].is_object(),
                "{name}: {}",
                fill.field
            );
        }
        let Fires::Became(field, words) = event.fires else {
            continue;
        };
        let property = schema["properties"][field].to_string();
        assert_ne!(property, "null", "{name}: {field}");
        // Where the type knows words at all, it knows these.
        let (_, reference) = property.split_once("#/$defs/").unwrap_or_default();
        let known = &schema["$defs"][reference.split('"').next().unwrap_or_default()]["examples"];
        for word in words {
            let is_known = known
                .as_array()
                .is_none_or(|known| known.contains(&json!(word)));
            assert!(is_known, "{name}: {word}");
        }
    }
}

#[test]
fn a_change_to_null_is_never_one_that_cannot_be_delivered() {
    for event in events() {
        let (Fires::Changed(field) | Fires::CreatedOrChanged(field)) = event.fires else {
            continue;
        };
        for required in event.required {
            if let Required::Present(fields) = required {
                assert_ne!(fields.last(), Some(&field), "{}", event.name);
            }
        }
    }
}

#[test]
fn every_schema_is_one_and_its_example_is_valid() {
    for event in events() {
        let name = event.name;
        let schema = event.schema();
        let wrong = jsonschema::draft202012::meta::validate(&schema).err();
        assert!(wrong.is_none(), "{name}: {wrong:?}");
        let validator = validator(event);
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
        let mut schemas = event.payload_type().parts();
        schemas.push((event.payload_type().name(), event.payload_type().schema()));
        for (name, schema) in schemas {
            let schema = json!(schema);
            let first = known.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(*first, schema, "{}: another {name}", event.name);
        }
    }
}
