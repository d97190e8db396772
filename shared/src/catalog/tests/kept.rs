//! What stays of a payload, as it is written, and what is left out.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Any JSON in which tokens are not rare.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let name = prop_oneof!["token", "TOKEN", "tokens", ".{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The same without tokens.
fn without_tokens(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields = fields.filter(|(name, _)| !name.eq_ignore_ascii_case("token"));
            let fields = fields.map(|(name, value)| (name, without_tokens(value)));
            Value::Object(fields.collect())
        }
        Value::Array(elements) => elements.into_iter().map(without_tokens).collect(),
        value => value,
    }
}

proptest! {
    #[test]
    fn whatever_is_free_is_sent_as_it_is_but_for_its_tokens(json in any_json()) {
        let record = |json: Value| json!({"id": 1, "status": "ANSWERED", "answers": json});
        let payload = hold(event("survey.survey_answered"), &record(json.clone()).to_string());
        // As text: the order of the fields counts as well.
        let kept = payload.expect("a payload").json.get().to_owned();
        prop_assert_eq!(kept, record(without_tokens(json)).to_string());
    }
}

#[test]
fn every_example_is_held_as_it_is() {
    for event in events() {
        let name = event.name;
        let payload =
            hold(event, event.example()).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        assert_eq!(payload.dropped, [""; 0], "{name}");
        assert_eq!(payload.json.get(), event.example(), "{name}");
    }
}

#[test]
fn words_that_are_not_known_are_no_mistake() {
    let mut words = 0;
    for event in events() {
        let example = parsed(event.example());
        for way in ways(&example) {
            let is_word = matches!(way.steps().last(), Some(Step::Field(name)) if
                ["status", "stage", "role", "type"].iter().any(|end| name.ends_with(end)));
            let mut other = example.clone();
            let value = at(&mut other, way.steps());
            if is_word && value.is_string() {
                words += 1;
                *value = json!("ON_THE_MOON");
                let other = other.to_string();
                let payload = hold(event, &other).expect(event.name);
                assert_eq!(payload.json.get(), other, "{}", event.name);
            }
        }
    }
    assert!(words > 40, "{words}");
}

#[test]
fn money_keeps_its_spelling() {
    let created = event("planfinancing.planfinancing_created");
    for price in [
        "299.00",
        "1e3",
        "1E+3",
        "12345678901234567890.10",
        "0.1",
        "-0.00",
        r#""299.00""#,
        "1e999",
    ] {
        let json = |token: &str| format!(r#"{{{token}"monthly_price":{price},"id":1}}"#);
        let payload = hold(created, &json(r#""token":1,"#)).expect(price);
        assert_eq!(payload.json.get(), json(""));
        assert_eq!(payload.dropped, ["token"]);
    }
}

/// A JSON text with a field before all others in every object of it.
fn with_everywhere(json: &str, field: &str) -> String {
    let mut text = String::new();
    let mut in_text = false;
    for (index, c) in json.char_indices() {
        text.push(c);
        // No example has a quote within a text.
        in_text ^= c == '"';
        if c == '{' && !in_text {
            let is_empty = json[index + 1..].trim_start().starts_with('}');
            text.push_str(field);
            text.push_str(if is_empty { "" } else { "," });
        }
    }
    text
}

/// A JSON text without the space between its parts.
fn compact(json: &str) -> String {
    let mut in_text = false;
    json.chars()
        .filter(|c| {
            in_text ^= *c == '"';
            in_text || !c.is_ascii_whitespace()
        })
        .collect()
}

#[test]
fn every_token_is_left_out_and_named_and_nothing_else() {
    for event in events() {
        let name = event.name;
        let with_tokens = with_everywhere(event.example(), r#""token": "s3cr3t""#);
        let tokens: BTreeSet<_> = ways(&parsed(&with_tokens))
            .iter()
            .map(Path::of_all_elements)
            .filter(|way| way.ends_with("token"))
            .collect();
        let payload = hold(event, &with_tokens).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let dropped: BTreeSet<_> = payload.dropped.iter().cloned().collect();
        assert_eq!(dropped, tokens, "{name}");
        assert_eq!(dropped.len(), payload.dropped.len(), "{name}: named twice");
        // To the letter: order and the spelling of numbers as well.
        assert_eq!(
            compact(payload.json.get()),
            compact(event.example()),
            "{name}"
        );
    }
}

#[test]
fn tokens_are_left_out_wherever_they_are() {
    let survey = event("survey.survey_answered");
    let payload = hold(
        survey,
        r#"{
            "token": "a", "id": 1, "status": "ANSWERED",
            "trigger_context": {"Token": "b", "deep": [[{"TOKEN": {"x": 1}, "kept": "token"}]]},
            "answers_detail": [
                {"id": "q1", "token": null},
                {"id": 2, "question": {"id": "q2", "token": ["c"]}, "answer": [{"token": "d"}, 1.50]}
            ]
        }"#,
    )
    .expect("a payload");
    assert_eq!(
        payload.dropped,
        [
            "token",
            "trigger_context.Token",
            "trigger_context.deep[][].TOKEN",
            "answers_detail[].token",
            "answers_detail[].question.token",
            "answers_detail[].answer[].token",
        ]
    );
    assert_eq!(
        compact(payload.json.get()),
        compact(
            r#"{
            "id": 1, "status": "ANSWERED",
            "trigger_context": {"deep": [[{"kept": "token"}]]},
            "answers_detail": [
                {"id": "q1"},
                {"id": 2, "question": {"id": "q2"}, "answer": [{}, 1.50]}
            ]
        }"#
        )
    );
}

#[test]
fn what_an_event_does_not_have_is_left_out_and_named() {
    let created = event("subscription.subscription_created");
    let text = r#"{"z":1,"valid_until":"2026-01-20T15:00:00Z","id":1,"plans":[{"id":1,"new":[1]},{"new":2,"id":2}],"user":{"id":2,"new":null}}"#;
    let payload = hold(created, text).expect("a payload");
    assert_eq!(payload.dropped, ["z", "plans[].new", "user.new"]);
    assert_eq!(
        payload.json.get(),
        r#"{"valid_until":"2026-01-20T15:00:00Z","id":1,"plans":[{"id":1},{"id":2}],"user":{"id":2}}"#
    );
    // However much it is, few are named, and each of them with few characters.
    let long = "n".repeat(1000);
    let many: Vec<_> = (0..1000)
        .map(|number| format!(r#""{number}{long}":0"#))
        .collect();
    let payload = hold(created, &format!(r#"{{"id":1,{}}}"#, many.join(","))).expect("a payload");
    assert_eq!(payload.json.get(), r#"{"id":1}"#);
    assert_eq!(payload.dropped.len(), 50);
    assert!(
        payload
            .dropped
            .iter()
            .all(|name| name.chars().count() == 129 && name.ends_with('…'))
    );
}
