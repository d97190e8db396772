//! A sample is a masked payload: it is still one of its event.

use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::mask;

static EVENTS: LazyLock<Vec<(&CatalogEvent, Validator)>> = LazyLock::new(|| {
    let validator = |event: &CatalogEvent| jsonschema::draft202012::new(&event.schema());
    let with_validator = events().map(|event| (event, validator(event).expect("a schema")));
    with_validator.collect()
});

fn masked(payload: &Value) -> Value {
    parsed(&mask::masked(&raw(&payload.to_string())).expect("a masked payload"))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[test]
fn every_masked_example_is_a_payload_of_its_event() {
    for (event, validator) in EVENTS.iter() {
        let example = masked(&parsed(event.example()));
        assert!(validator.is_valid(&example), "{}: {example}", event.name);
        let held = hold(event, &example.to_string());
        assert!(held.is_ok(), "{}: {held:?}", event.name);
    }
}

proptest! {
    #[test]
    fn whatever_a_payload_holds_its_mask_keeps_structure_and_types(
        event in 0..EVENTS.len(),
        place in any::<Index>(),
        text in prop_oneof![".{0,40}", "https?://[a-z./]{0,30}", "[a-z]{0,9}@[a-z.]{0,9}"],
        number in any::<u32>(),
        degrees in prop_oneof![
            (-180.0..180.0).prop_map(Value::from),
            "-?[0-9]{1,3}\\.[0-9]{1,15}".prop_map(Value::from),
        ],
    ) {
        let (event, validator) = &EVENTS[event];
        let mut payload = parsed(event.example());
        for way in ways(&payload) {
            if let Some(Step::Field(name)) = way.steps().last()
                && ["latitude", "longitude"].contains(&name.as_str())
            {
                *at(&mut payload, way.steps()) = degrees.clone();
            }
        }
        let all = ways(&payload);
        let value = at(&mut payload, place.get(&all).steps());
        match value {
            Value::String(_) => *value = json!(text),
            Value::Number(_) => *value = json!(number),
            _ => {}
        }
        prop_assume!(validator.is_valid(&payload));
        let mut masked = masked(&payload);
        prop_assert!(validator.is_valid(&masked), "{}: {}", event.name, masked);
        let places = ways(&payload);
        prop_assert_eq!(&ways(&masked), &places);
        for way in places {
            let [before, after] = [&mut payload, &mut masked].map(|value| type_of(at(value, way.steps())));
            prop_assert_eq!(before, after, "{}: {}", event.name, way);
        }
    }
}
