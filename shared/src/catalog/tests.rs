use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};

use super::*;

fn event(name: &str) -> &'static CatalogEvent {
    find(name).unwrap_or_else(|| panic!("{name} is in the catalogue"))
}

/// A change of a record, and what it is: each app has some, so that every event has a change that is it
/// and one that is not.
pub(super) struct ChangeCase {
    /// In words.
    pub(super) what: &'static str,
    pub(super) model: &'static str,
    /// The record before, as JSON; `null` if there was none.
    pub(super) before: &'static str,
    /// The record after.
    pub(super) after: &'static str,
    /// The events that it is, in the order of the catalogue.
    pub(super) events: &'static [&'static str],
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Holds a text to the type of an event's payload.
fn hold(event: &CatalogEvent, json: &str) -> Result<Payload, Mistake> {
    event.payload(raw(json).into())
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(fields) => {
            fields.contains_key(key) || fields.values().any(|value| has_key(value, key))
        }
        Value::Array(items) => items.iter().any(|item| has_key(item, key)),
        _ => false,
    }
}

#[test]
fn every_event_of_the_registry_is_there() {
    for name in [
        "cohort.cohort_stage_updated",
        "cohort_user.added",
        "cohort_user.changed",
        "cohort_user.edu_status_updated",
        "UserAssessment.userassessment_status_updated",
        "assignment.assignment_created",
        "assignment.assignment_revision_status_updated",
        "assignment.assignment_status_updated",
        "profile_academy.added",
        "profile_academy.changed",
        "user_invite.invite_status_updated",
        "event.event_rescheduled",
        "event.event_status_updated",
        "event.new_event_attendee",
        "event.new_event_order",
        "survey.survey_answered",
        "form_entry.added",
        "form_entry.changed",
        "form_entry.new_deal",
        "form_entry.won_or_lost",
        "session.mentorship_session_status",
        "planfinancing.planfinancing_created",
        "planfinancing.planfinancing_revoked",
        "subscription.subscription_created",
        "subscription.subscription_revoked",
        "asset.asset_status_updated",
    ] {
        assert!(find(name).is_some(), "{name}");
    }
}

#[test]
fn events_stand_once_each_by_app_then_name_in_byte_order() {
    let order: Vec<_> = events()
        .map(|event| (event.app(), event.name.as_bytes()))
        .collect();
    assert!(order.is_sorted_by(|a, b| a < b));
    let names: HashSet<_> = events().map(|event| event.name).collect();
    assert_eq!(names.len(), order.len());
}

#[test]
fn models_stand_once_each() {
    let models: Vec<_> = models().collect();
    assert!(models.is_sorted_by(|a, b| a < b));
    assert!(events().all(|event| models.contains(&event.model)));
}

#[test]
fn every_event_is_found_by_its_exact_name_only() {
    for event in events() {
        assert_eq!(find(event.name), Some(event));
    }
    for name in [
        "",
        "cohort_user",
        "COHORT_USER.ADDED",
        " cohort_user.added",
        "unknown.event",
    ] {
        assert_eq!(find(name), None, "{name:?}");
    }
}

#[test]
fn events_are_equal_and_hash_by_name() {
    let set: HashSet<&CatalogEvent> = events().chain(events()).collect();
    assert_eq!(set.len(), events().count());
    assert_ne!(event("cohort_user.added"), event("cohort_user.changed"));
    assert_eq!(
        format!("{:?}", event("form_entry.added")),
        r#"CatalogEvent("form_entry.added")"#
    );
}

#[test]
fn the_documented_entries_are_answered_to_the_letter() {
    let documented = [
        json!({
            "event": "assignment.assignment_created",
            "label": "Assignment Created",
            "description": "Triggered when a new assignment is created for a student",
            "app": "assignments",
            "model": "assignments.Task"
        }),
        json!({
            "event": "assignment.assignment_revision_status_updated",
            "label": "Assignment Revision Status Updated",
            "description":
                "Triggered when an assignment's revision status changes (PENDING, APPROVED, REJECTED)",
            "app": "assignments",
            "model": "assignments.Task"
        }),
        json!({
            "event": "assignment.assignment_status_updated",
            "label": "Assignment Status Updated",
            "description": "Triggered when an assignment's task status changes (PENDING to DONE)",
            "app": "assignments",
            "model": "assignments.Task"
        }),
        json!({
            "event": "cohort.cohort_stage_updated",
            "label": "Cohort Stage Updated",
            "description":
                "Triggered when a cohort's stage changes (INACTIVE, PREWORK, STARTED, FINAL_PROJECT, ENDED)",
            "app": "admissions",
            "model": "admissions.Cohort"
        }),
    ];
    for expected in documented {
        let name = expected["event"].as_str().expect("a name");
        // As text: the order of the fields counts as well.
        let answered = serde_json::to_string(&event(name).entry()).expect("an entry serialises");
        assert_eq!(answered, expected.to_string());
    }
}

#[test]
fn labels_follow_the_action_and_the_name_where_the_signal_is_everyones() {
    for (name, label) in [
        ("cohort_user.added", "Cohort User Added"),
        ("cohort_user.changed", "Cohort User Changed"),
        ("cohort_user.edu_status_updated", "Edu Status Updated"),
        (
            "UserAssessment.userassessment_status_updated",
            "Userassessment Status Updated",
        ),
        ("profile_academy.added", "Profile Academy Added"),
        ("event.new_event_order", "New Event Order"),
        ("form_entry.new_deal", "New Deal"),
        ("form_entry.won_or_lost", "Won Or Lost"),
        (
            "session.mentorship_session_status",
            "Mentorship Session Status",
        ),
    ] {
        assert_eq!(event(name).label(), label, "{name}");
    }
}

#[test]
fn signal_paths_follow_the_signal_not_the_action() {
    for (name, path) in [
        (
            "assignment.assignment_created",
            "breathecode.assignments.signals.assignment_created",
        ),
        (
            "assignment.assignment_revision_status_updated",
            "breathecode.assignments.signals.revision_status_updated",
        ),
        (
            "cohort_user.edu_status_updated",
            "breathecode.admissions.signals.student_edu_status_updated",
        ),
        (
            "form_entry.new_deal",
            "breathecode.marketing.signals.new_form_entry_deal",
        ),
        ("form_entry.added", "breathecode.marketing.signals.created+"),
    ] {
        assert_eq!(event(name).signal_path(), path, "{name}");
    }
}

#[test]
fn every_description_says_when_the_event_fires_and_says_it_once() {
    let mut seen = HashSet::new();
    for event in events() {
        let name = event.name;
        assert!(event.description.starts_with("Triggered when "), "{name}");
        assert!(!event.description.ends_with('.'), "{name}");
        assert!(event.description.is_ascii(), "{name}");
        assert!(seen.insert(event.description), "{name}");
    }
}

#[test]
fn every_example_is_of_a_record_and_has_nothing_to_act_with() {
    for event in events() {
        let name = event.name;
        let example = parsed(event.example());
        let fields = example
            .as_object()
            .unwrap_or_else(|| panic!("{name}: no object"));
        // Only an event's new time comes with something beside the record.
        let record = fields.get("event").filter(|_| !fields.contains_key("id"));
        assert!(record.unwrap_or(&example)["id"].is_u64(), "{name}");
        assert!(
            !fields.contains_key("hook") && !fields.contains_key("data"),
            "{name}: a wrapper"
        );
        assert!(!has_key(&example, "token"), "{name}");
    }
}

#[test]
fn every_example_is_of_its_own_event() {
    let examples: HashSet<_> = events().map(CatalogEvent::example).collect();
    assert_eq!(examples.len(), events().count());
    // Each of these pairs shows the same record before and after: the wrong file would go unseen.
    for (name, field, value) in [
        ("assignment.assignment_created", "task_status", "PENDING"),
        (
            "assignment.assignment_status_updated",
            "task_status",
            "DONE",
        ),
        (
            "assignment.assignment_revision_status_updated",
            "revision_status",
            "APPROVED",
        ),
        (
            "cohort_user.edu_status_updated",
            "educational_status",
            "GRADUATED",
        ),
        ("planfinancing.planfinancing_created", "status", "ACTIVE"),
        ("planfinancing.planfinancing_revoked", "status", "CANCELLED"),
        ("subscription.subscription_created", "status", "ACTIVE"),
        (
            "subscription.subscription_revoked",
            "status",
            "PAYMENT_ISSUE",
        ),
    ] {
        let example: Value = serde_json::from_str(event(name).example()).expect("JSON");
        assert_eq!(example[field], value, "{name}");
    }
}

#[test]
fn examples_keep_their_text() {
    let financing = event("planfinancing.planfinancing_created").example();
    assert!(financing.starts_with("{\n  \"id\": 334,\n  \"status\": \"ACTIVE\",\n"));
    assert!(financing.contains("\n  \"monthly_price\": 299.00,\n"));
    assert!(financing.ends_with("\n}"));
}

/// Every change of every app's.
fn change_cases() -> impl Iterator<Item = &'static ChangeCase> {
    apps::CHANGES.iter().copied().flatten()
}

/// What a change derives.
fn derived(model: &str, before: &str, after: &str) -> Result<Vec<Derived>, ChangeError> {
    let side = |text: &str| (text != "null").then(|| raw(text));
    let (before, after) = (side(before), side(after));
    let (before, after) = (before.as_deref(), after.as_deref());
    Change {
        model,
        before,
        after,
    }
    .events()
}

#[test]
fn every_change_is_exactly_its_events() {
    for case in change_cases() {
        let derived = derived(case.model, case.before, case.after)
            .unwrap_or_else(|error| panic!("{}: {error}", case.what));
        let names: Vec<_> = derived.iter().map(|derived| derived.event.name).collect();
        assert_eq!(names, case.events, "{}", case.what);
    }
}

#[test]
fn every_event_has_a_change_that_is_it_and_one_that_is_not() {
    for event in events() {
        let (it, not): (Vec<_>, Vec<_>) = change_cases()
            .filter(|case| case.model == event.model && case.after != "null")
            .partition(|case| case.events.contains(&event.name));
        assert!(!it.is_empty(), "{}: no change is it", event.name);
        assert!(!not.is_empty(), "{}: no change is not", event.name);
    }
    let words: HashSet<_> = change_cases().map(|case| case.what).collect();
    assert_eq!(words.len(), change_cases().count(), "said twice");
}

#[test]
fn events_happen_at_the_record_s_academy() {
    let slug = || Some(AcademyRef::Slug("downtown-campus".to_owned()));
    for (what, academy) in [
        ("a cohort is made", Some(AcademyRef::Id(4))),
        ("a cohort starts", Some(AcademyRef::Id(4))),
        ("a student is added to a cohort", slug()),
        ("an assessment is given to a user", slug()),
        ("an assessment is given to a user of no academy", None),
        (
            "an assignment is created, with both of its statuses",
            slug(),
        ),
        ("an assignment is created in no cohort", None),
        ("an assignment is created in a cohort of no academy", None),
        ("an assignment of no cohort is delivered", None),
        ("a member joins an academy", slug()),
        ("a user is invited to no academy", None),
        ("an event of no academy is published", None),
        ("a person registers for an event", Some(AcademyRef::Id(4))),
        ("a person registers for an event of no academy", None),
        ("a survey is answered", slug()),
        ("a form is filled in at no academy", None),
        ("a session begins", slug()),
        ("a session is made with a mentor of no academy", None),
        ("a subscription is made", slug()),
        ("an asset of no academy is published", None),
    ] {
        let case = change_cases()
            .find(|case| case.what == what)
            .unwrap_or_else(|| panic!("{what}: no such change"));
        let derived = derived(case.model, case.before, case.after).expect("a change");
        assert!(!derived.is_empty(), "{what}");
        for derived in derived {
            assert_eq!(derived.academy, academy, "{what}");
        }
    }
}

#[test]
fn a_change_s_payload_is_what_the_event_has_of_the_record() {
    let payload = |model: &str, before: &str, after: &str, name: &str| {
        let derived = derived(model, before, after).expect("a change");
        let derived = derived.iter().find(|derived| derived.event.name == name);
        derived.expect("the event").payload.get().to_owned()
    };
    // A record that is the payload already is delivered as it was written.
    let added = r#"{ "id": 1,  "academy": 4, "ac_deal_amount": 3588.00 }"#;
    let name = "form_entry.added";
    assert_eq!(payload("marketing.FormEntry", "null", added, name), added);
    // What the event does not have is left out.
    assert_eq!(
        payload(
            "assignments.Task",
            "null",
            r#"{"id": 1, "cohort": {"id": 12, "academy": 4, "secret": 1}, "token": "x"}"#,
            "assignment.assignment_created"
        ),
        r#"{"id":1,"cohort":{"id":12,"academy":4}}"#
    );
    // What it has besides is filled in.
    let event = |time: &str, more: &str| {
        format!(r#"{{"id": 234, "starting_at": "{time}", "status": "ACTIVE", {more}"academy": 4}}"#)
    };
    let (before, after) = ("2025-01-25T18:00:00Z", "2025-01-28T18:00:00Z");
    let to = r#""recipients": ["jane.doe@example.com"], "#;
    let record = event(after, "");
    for (more, recipients) in [("", "[]"), (to, r#"["jane.doe@example.com"]"#)] {
        let payload = parsed(&payload(
            "events.Event",
            &event(before, more),
            &event(after, more),
            "event.event_rescheduled",
        ));
        let expected = json!({"event": parsed(&record), "recipients": parsed(recipients)});
        assert_eq!(payload, expected);
    }
    let answered = |user: &str| {
        parsed(&payload(
            "feedback.SurveyResponse",
            "null",
            &format!(
                r#"{{"id": 1501, "status": "ANSWERED", {user}"survey_config": {{"academy": 4}}}}"#
            ),
            "survey.survey_answered",
        ))
    };
    assert_eq!(
        answered(r#""user": {"id": 789, "email": "jane.doe@example.com"}, "#),
        json!({
            "id": 1501,
            "status": "ANSWERED",
            "survey_response_id": 1501,
            "user_id": 789,
            "user_email": "jane.doe@example.com",
        })
    );
    assert_eq!(
        answered(r#""user": null, "#),
        json!({"id": 1501, "status": "ANSWERED", "survey_response_id": 1501})
    );
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

/// A step to a value within another.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Element(usize),
}

/// The ways to everything in a value, with the value itself as the first.
fn ways(value: &Value) -> Vec<Vec<Step>> {
    let below: Vec<(Step, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (Step::Field(name.clone()), value))
            .collect(),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, value)| (Step::Element(index), value))
            .collect(),
        _ => Vec::new(),
    };
    let below = below.into_iter().flat_map(|(step, value)| {
        ways(value)
            .into_iter()
            .map(move |way| [vec![step.clone()], way].concat())
    });
    std::iter::once(Vec::new()).chain(below).collect()
}

fn at<'a>(value: &'a mut Value, way: &[Step]) -> &'a mut Value {
    way.iter().fold(value, |value, step| match step {
        Step::Field(name) => &mut value[name.as_str()],
        Step::Element(index) => &mut value[*index],
    })
}

/// A way as mistakes write it.
fn written(way: &[Step]) -> String {
    let mut text = String::new();
    for step in way {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text.push_str(&format!(".{name}")),
            Step::Element(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

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
            let Some((Step::Field(name), object)) = way.split_last() else {
                continue;
            };
            let mut without = example.clone();
            let fields = at(&mut without, object).as_object_mut();
            fields.expect("an object").shift_remove(name);
            let held = hold(event, &without.to_string());
            let place = format!("{}: {}", event.name, written(&way));
            if is_required(&schema, &way) {
                required += 1;
                let wrong = held
                    .err()
                    .unwrap_or_else(|| panic!("{place} is not missed"));
                assert_eq!(wrong.path.to_string(), written(&way), "{place}");
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
            .map(|way| written(way))
            .filter(|way| way.ends_with("token"))
            .map(|way| way.replace(|c: char| c.is_ascii_digit(), ""))
            .collect();
        let payload = hold(event, &with_tokens).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let dropped: BTreeSet<_> = payload
            .dropped
            .iter()
            .map(|way| way.replace(|c: char| c.is_ascii_digit(), ""))
            .collect();
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
    assert_eq!(payload.dropped.len(), 100);
    assert!(payload.dropped.iter().all(|name| name.len() == 128));
}

#[test]
fn what_is_of_the_wrong_type_is_a_mistake_that_says_where_and_what() {
    for (name, json, mistake) in [
        (
            "assignment.assignment_created",
            r#"{"id": 1, "user": {"id": "789"}}"#,
            "user.id: Expected a record's number, got a string.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": -1}"#,
            "id: Expected a record's number, got an integer.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": 1.0}"#,
            "id: Expected a record's number, got a decimal number.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": null}"#,
            "id: Expected a record's number, got null.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": 1, "title": 5}"#,
            "title: Expected a string, got an integer.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": 1, "task_status": true}"#,
            "task_status: Expected a string, got a boolean.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": 1, "created_at": "yesterday"}"#,
            "created_at: Expected a time such as 2025-01-20T15:30:00Z, got a string.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": 1, "user": true}"#,
            "user: Expected a record, or what it is found by, got a boolean.",
        ),
        (
            "assignment.assignment_created",
            r#"{"id": 1, "user": "Jane"}"#,
            "user: Expected a record's number, got a string.",
        ),
        (
            "assignment.assignment_status_updated",
            r#"{"id": 1, "task_status": null}"#,
            "task_status: Expected a string, got null.",
        ),
        (
            "planfinancing.planfinancing_created",
            r#"{"id": 1, "monthly_price": "free"}"#,
            "monthly_price: Expected a decimal number, got a string.",
        ),
        (
            "planfinancing.planfinancing_created",
            r#"{"id": 1, "monthly_price": [299.00]}"#,
            "monthly_price: Expected a decimal number, got a list.",
        ),
        (
            "planfinancing.planfinancing_created",
            r#"{"id": 1, "seats_count": "2"}"#,
            "seats_count: Expected an integer, got a string.",
        ),
        (
            "planfinancing.planfinancing_created",
            r#"{"id": 1, "has_billing_team": 0}"#,
            "has_billing_team: Expected a boolean, got an integer.",
        ),
        (
            "planfinancing.planfinancing_created",
            r#"{"id": 1, "plans": {"id": 67}}"#,
            "plans: Expected a list, got an object.",
        ),
        (
            "planfinancing.planfinancing_created",
            r#"{"id": 1, "plans": [{"id": 67}, {"id": []}]}"#,
            "plans[1].id: Expected a record's number, got a list.",
        ),
        (
            "planfinancing.planfinancing_created",
            r#"{"id": 1, "invoices": [5]}"#,
            "invoices[0]: Expected an object, got an integer.",
        ),
        (
            "UserAssessment.userassessment_status_updated",
            r#"{"id": 1, "status": "SENT", "summary": "good"}"#,
            "summary: Expected an object, got a string.",
        ),
        (
            "event.event_rescheduled",
            r#"{"id": 234, "starting_at": "2025-01-28T18:00:00Z"}"#,
            "event: This field is required.",
        ),
        (
            "event.event_rescheduled",
            r#"{"event": {"id": 234, "starting_at": null}}"#,
            "event.starting_at: Expected a time such as 2025-01-20T15:30:00Z, got null.",
        ),
        (
            "event.event_status_updated",
            r#"{"id": 1, "status": "ACTIVE", "venue": 1.5}"#,
            "venue: Expected a record, or what it is found by, got a decimal number.",
        ),
        (
            "form_entry.new_deal",
            r#"{"id": 1, "ac_deal_id": null}"#,
            "ac_deal_id: Expected a number or text that a record is found by, got null.",
        ),
        (
            "form_entry.won_or_lost",
            r#"{"id": 1, "deal_status": {}}"#,
            "deal_status: Expected a string, got an object.",
        ),
    ] {
        let wrong = hold(event(name), json).expect_err(json);
        assert_eq!(wrong.to_string(), mistake, "{json}");
    }
}

#[test]
fn a_payload_and_what_is_in_it_are_objects_where_they_are_records() {
    let lists = ["[]", "[1]", r#"[1, "a", "b", "c", "2025-01-20T15:30:00Z"]"#];
    for event in events() {
        for list in lists {
            let wrong = hold(event, list).expect_err(event.name);
            assert_eq!(
                wrong.message, "Expected an object, got a list.",
                "{}",
                event.name
            );
        }
    }
    // A list with everything that an object has, in its order, is still none.
    let assessment = event("UserAssessment.userassessment_status_updated");
    for list in ["[]", "[null]", "[null, 8]"] {
        let json = format!(r#"{{"id": 1, "status": "SENT", "summary": {list}}}"#);
        let wrong = hold(assessment, &json).expect_err(list);
        assert_eq!(
            wrong.to_string(),
            "summary: Expected an object, got a list."
        );
    }
}

#[test]
fn no_mistake_repeats_what_is_in_the_payload() {
    let secrets = [
        json!("s3cr3t"),
        json!("s3cr3t, expected s3cr3t at line 1"),
        json!(-7_654_321),
        json!(7_654_321.5),
        json!(7_654_321),
        json!(["s3cr3t"]),
        json!({"a": "s3cr3t"}),
    ];
    let mut mistakes = 0;
    for event in events() {
        let example = parsed(event.example());
        for way in ways(&example) {
            for secret in &secrets {
                let mut wrong = example.clone();
                *at(&mut wrong, &way) = secret.clone();
                if let Err(wrong) = hold(event, &wrong.to_string()) {
                    mistakes += 1;
                    let text = format!("{wrong} {wrong:?}");
                    assert!(!text.contains("s3cr3t"), "{}: {text}", event.name);
                    assert!(!text.contains("7654321"), "{}: {text}", event.name);
                    assert!(
                        text.contains("Expected ") || text.contains("required"),
                        "{text}"
                    );
                }
            }
        }
    }
    assert!(mistakes > 1000, "{mistakes}");
}

#[test]
fn words_that_are_not_known_are_no_mistake() {
    let mut words = 0;
    for event in events() {
        let example = parsed(event.example());
        for way in ways(&example) {
            let is_word = matches!(way.last(), Some(Step::Field(name)) if
                ["status", "stage", "role", "type"].iter().any(|end| name.ends_with(end)));
            let mut other = example.clone();
            let value = at(&mut other, &way);
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
fn a_field_that_is_given_twice_is_a_mistake() {
    for event in events() {
        let example = parsed(event.example());
        for (name, value) in example.as_object().expect("an object") {
            let twice = event
                .example()
                .replacen('{', &format!("{{{}: {value},", json!(name)), 1);
            let wrong = hold(event, &twice).expect_err(event.name);
            assert_eq!(
                wrong.to_string(),
                format!("{name}: This field is given twice.")
            );
        }
    }
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

#[test]
fn what_is_nested_a_thousand_times_is_a_mistake() {
    let lists = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
    let assessment = event("UserAssessment.userassessment_status_updated");
    for deep in [&lists, &objects] {
        let json = |field: &str| format!(r#"{{"id":1,"status":"SENT","{field}":{deep}}}"#);
        let wrong = hold(assessment, &json("conversion_info")).expect_err("too deep");
        assert_eq!(wrong.message, "This is nested too deeply.");
        for field in ["id", "title", "lang", "started_at", "status_text"] {
            assert!(hold(assessment, &json(field)).is_err(), "{field}");
        }
        // What is left out is not looked into.
        let payload = hold(assessment, &json("unknown")).expect("a payload");
        assert_eq!(payload.dropped, ["unknown"]);
        let wrong = derived(
            "assessment.UserAssessment",
            "null",
            &format!(r#"{{"id":1,"status":"SENT","academy":null,"conversion_info":{deep}}}"#),
        );
        assert!(wrong.is_err());
    }
}
