//! Payloads that do not fit their event.

use rstest::rstest;

use super::*;

#[rstest]
#[case(
    "assignment.assignment_created",
    r#"{"id": 1, "user": {"id": "789"}}"#,
    "user.id: Expected a record's number, got a string."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": -1}"#,
    "id: Expected a record's number, got an integer."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": 1.0}"#,
    "id: Expected a record's number, got a decimal number."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": null}"#,
    "id: This field may not be null."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": 1, "title": 5}"#,
    "title: Expected a string, got an integer."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": 1, "task_status": true}"#,
    "task_status: Expected a string, got a boolean."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": 1, "created_at": "yesterday"}"#,
    "created_at: Expected a time such as 2025-01-20T15:30:00Z, got a string."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": 1, "user": true}"#,
    "user: Expected a record, or what it is found by, got a boolean."
)]
#[case(
    "assignment.assignment_created",
    r#"{"id": 1, "user": "Jane"}"#,
    "user: Expected a record's number, got a string."
)]
#[case(
    "assignment.assignment_status_updated",
    r#"{"id": 1}"#,
    "task_status: This field is required."
)]
#[case(
    "planfinancing.planfinancing_created",
    r#"{"id": 1, "monthly_price": "free"}"#,
    "monthly_price: Expected a decimal number, got a string."
)]
#[case(
    "planfinancing.planfinancing_created",
    r#"{"id": 1, "monthly_price": [299.00]}"#,
    "monthly_price: Expected a decimal number, got a list."
)]
#[case(
    "planfinancing.planfinancing_created",
    r#"{"id": 1, "seats_count": "2"}"#,
    "seats_count: Expected an integer, got a string."
)]
#[case(
    "planfinancing.planfinancing_created",
    r#"{"id": 1, "has_billing_team": 0}"#,
    "has_billing_team: Expected a boolean, got an integer."
)]
#[case(
    "planfinancing.planfinancing_created",
    r#"{"id": 1, "plans": {"id": 67}}"#,
    "plans: Expected a list, got an object."
)]
#[case(
    "planfinancing.planfinancing_created",
    r#"{"id": 1, "plans": [{"id": 67}, {"id": []}]}"#,
    "plans[1].id: Expected a record's number, got a list."
)]
#[case(
    "planfinancing.planfinancing_created",
    r#"{"id": 1, "invoices": [5]}"#,
    "invoices[0]: Expected an object, got an integer."
)]
#[case(
    "UserAssessment.userassessment_status_updated",
    r#"{"id": 1, "status": "SENT", "summary": "good"}"#,
    "summary: Expected an object, got a string."
)]
#[case(
    "event.event_rescheduled",
    r#"{"id": 234, "starting_at": "2025-01-28T18:00:00Z"}"#,
    "event: This field is required."
)]
#[case(
    "event.event_rescheduled",
    r#"{"event": {"id": 234, "starting_at": 5}}"#,
    "event.starting_at: Expected a time such as 2025-01-20T15:30:00Z, got an integer."
)]
#[case(
    "event.event_status_updated",
    r#"{"id": 1, "status": "ACTIVE", "venue": 1.5}"#,
    "venue: Expected a record, or what it is found by, got a decimal number."
)]
#[case(
    "form_entry.new_deal",
    r#"{"id": 1, "ac_deal_id": null}"#,
    "ac_deal_id: This field may not be null."
)]
#[case(
    "form_entry.won_or_lost",
    r#"{"id": 1, "deal_status": {}}"#,
    "deal_status: Expected a string, got an object."
)]
fn what_is_of_the_wrong_type_is_a_mistake_that_says_where_and_what(
    #[case] name: &str,
    #[case] json: &str,
    #[case] mistake: &str,
) {
    let wrong = hold(event(name), json).expect_err(json);
    assert_eq!(wrong.to_string(), mistake);
}

#[test]
fn a_payload_and_what_is_in_it_are_objects_where_they_are_records() {
    let lists = ["[]", "[1]", r#"[1, "a", "b", "c", "2025-01-20T15:30:00Z"]"#];
    for event in events() {
        for list in lists {
            let wrong = hold(event, list).expect_err(event.name);
            assert_eq!(
                wrong.to_string(),
                "Expected an object, got a list.",
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
fn paths_that_would_fill_the_memory_are_a_mistake() {
    // Each path to a token has the long name in it: 128 KiB of JSON, more than a gigabyte of paths.
    let tokens = |name: usize, count: usize| {
        let tokens = vec![r#"{"token":0}"#; count].join(",");
        let name = "n".repeat(name);
        format!(r#"{{"id": 1, "history_log": {{"{name}": [{tokens}]}}}}"#)
    };
    let added = event("cohort_user.added");
    let wrong = hold(added, &tokens(120_000, 10_000)).expect_err("too much");
    let path = format!("history_log.{}…", "n".repeat(116));
    assert_eq!(
        wrong.to_string(),
        format!("{path}: From here on, more is to be left out than one payload may have.")
    );
    hold(added, &tokens(1, 20_000)).expect("a whole payload of tokens is not too much");
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
                *at(&mut wrong, way.steps()) = secret.clone();
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
fn what_no_number_can_hold_is_a_mistake_where_numbers_are_read() {
    let assessment = event("UserAssessment.userassessment_status_updated");
    let wrong = hold(
        assessment,
        r#"{"id": 1, "status": "SENT", "conversion_info": {"a": [1e999]}}"#,
    )
    .expect_err("too large");
    assert_eq!(
        wrong.to_string(),
        "conversion_info.a[0]: This number is too large."
    );
    let many = "12345678901234567890123456789012345678901234567890.10";
    let json = format!(r#"{{"id":1,"status":"SENT","conversion_info":{many}}}"#);
    let payload = hold(assessment, &json).expect("a payload");
    assert_eq!(payload.json.get(), json);
}

#[test]
fn half_of_a_surrogate_pair_is_a_mistake_where_texts_are_read() {
    let assessment = event("UserAssessment.userassessment_status_updated");
    for (half, json) in [
        ("title", r#"{"id":1,"status":"SENT","title":"\ud83d"}"#),
        (
            "conversion_info.a[0]",
            r#"{"id":1,"status":"SENT","conversion_info":{"a":["\ude00"]}}"#,
        ),
    ] {
        let wrong = hold(assessment, json).expect_err("no text");
        let said =
            "This text has half of a surrogate pair, such as \\ud83d alone, which is no character.";
        assert_eq!(wrong.to_string(), format!("{half}: {said}"));
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
        let wrong = changes::derived(
            "assessment.UserAssessment",
            "null",
            &format!(r#"{{"id":1,"status":"SENT","academy":null,"conversion_info":{deep}}}"#),
        );
        assert!(wrong.is_err());
    }
}
