//! What holds for every event of the catalogue, whichever they are, and for the rows themselves.

mod changes;
mod kept;
mod masked;
mod mistakes;
mod schemas;

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    payload::{Path, Step},
    *,
};

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

/// The ways to everything in a value, with the value itself as the first.
fn ways(value: &Value) -> Vec<Path> {
    fn from(way: &Path, value: &Value, ways: &mut Vec<Path>) {
        ways.push(way.clone());
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    from(&way.clone().join(name), value, ways);
                }
            }
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    from(&way.clone().element(index), value, ways);
                }
            }
            _ => {}
        }
    }
    let mut ways = Vec::new();
    from(&Path::default(), value, &mut ways);
    ways
}

fn at<'a>(value: &'a mut Value, way: &[Step]) -> &'a mut Value {
    way.iter().fold(value, |value, step| match step {
        Step::Field(name) => &mut value[name.as_str()],
        Step::Element(index) => &mut value[*index],
    })
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
