//! Changes, and the events that they are.

use super::*;
use crate::model::AcademyRef;

/// Every change of every app's.
fn change_cases() -> impl Iterator<Item = &'static ChangeCase> {
    apps::CHANGES.iter().copied().flatten()
}

/// What a change derives.
pub(super) fn derived(model: &str, before: &str, after: &str) -> Result<Vec<Derived>, ChangeError> {
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
        ("a user registers for an event", Some(AcademyRef::Id(4))),
        ("a user registers for an event of no academy", None),
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
