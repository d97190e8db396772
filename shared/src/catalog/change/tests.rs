use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The names of the events that a change is, or what is wrong with it in words.
fn derive(
    model: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<Vec<&'static str>, String> {
    let (before, after) = (before.map(raw), after.map(raw));
    let change = Change {
        model,
        before: before.as_deref(),
        after: after.as_deref(),
    };
    match change.events() {
        Ok(derived) => Ok(derived.iter().map(|derived| derived.event.name).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_model_that_has_no_events_is_a_mistake() {
    for model in [
        "",
        "Task",
        "assignments.task",
        "assignments.Task ",
        "auth.User",
    ] {
        let change = Change {
            model,
            before: None,
            after: None,
        };
        let error = change.events().expect_err(model);
        assert_eq!(error, ChangeError::UnknownModel(model.to_owned()));
    }
}

#[test]
fn a_record_is_an_object() {
    let record = r#"{"id": 1, "academy": 4}"#;
    for wrong in ["[]", "1", r#""s3cr3t""#, "true", "null"] {
        for (before, after, side) in [
            (Some(wrong), Some(record), "before"),
            (Some(wrong), None, "before"),
            (Some(record), Some(wrong), "after"),
            (None, Some(wrong), "after"),
        ] {
            assert_eq!(
                derive("authenticate.ProfileAcademy", before, after),
                Err(format!(
                    "{side}: Expected a record, which is an object, or null."
                ))
            );
        }
    }
}

#[test]
fn a_name_that_is_given_twice_is_a_mistake() {
    let record = r#"{"id": 1, "academy": 4}"#;
    let twice = r#"{"id": 1, "academy": 4, "id": 2}"#;
    for (before, after, side) in [
        (Some(twice), Some(record), "before"),
        (Some(record), Some(twice), "after"),
    ] {
        assert_eq!(
            derive("feedback.SurveyResponse", before, after),
            Err(format!("{side}: id: This field is given twice."))
        );
    }
}

#[test]
fn half_surrogate_pairs_are_named_where_a_change_is_decided() {
    let said =
        "This text has half of a surrogate pair, such as \\ud83d alone, which is no character.";
    let record = r#"{"id": 1, "academy": 4, "status": "DRAFT"}"#;
    for (half, place) in [
        (r#"{"id": 1, "academy": 4, "status": "\ud83d"}"#, "status: "),
        (
            r#"{"id": 1, "academy": 4, "status": {"a": "\ude00"}}"#,
            "status: ",
        ),
        (r#"{"id": 1, "academy": 4, "status\ud83d": "DRAFT"}"#, ""),
    ] {
        for (before, after, side) in [(half, record, "before"), (record, half, "after")] {
            assert_eq!(
                derive("registry.Asset", Some(before), Some(after)),
                Err(format!("{side}: {place}{said}"))
            );
        }
    }
    let academy = r#"{"id": 1, "academy": {"slug": "\ud83d"}}"#;
    assert_eq!(
        derive("authenticate.ProfileAcademy", None, Some(academy)),
        Err(format!("after: academy: {said}"))
    );
}

#[test]
fn unreadable_values_are_named_where_a_change_is_decided() {
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let record = r#"{"id": 1, "academy": 4, "status": "DRAFT"}"#;
    for (value, said) in [
        (deep.as_str(), "This is nested too deeply."),
        ("1e999", "This number is too large."),
    ] {
        let after = format!(r#"{{"id": 1, "academy": 4, "status": {value}}}"#);
        assert_eq!(
            derive("registry.Asset", Some(record), Some(&after)),
            Err(format!("after: status: {said}"))
        );
    }
}

#[test]
fn what_was_deleted_is_nothing() {
    for model in models() {
        assert_eq!(derive(model, Some("{}"), None), Ok(Vec::new()), "{model}");
        assert_eq!(derive(model, None, None), Ok(Vec::new()), "{model}");
    }
}

#[test]
fn a_field_that_only_one_side_has_is_a_mistake() {
    for (model, field, value) in [
        // Changed, CreatedOrChanged, SetOrChanged, and Became with a value that counts and one
        // that does not.
        ("registry.Asset", "status", r#""DRAFT""#),
        ("admissions.Cohort", "stage", r#""STARTED""#),
        ("marketing.FormEntry", "ac_deal_id", r#""7788""#),
        ("payments.Subscription", "status", r#""EXPIRED""#),
        ("payments.Subscription", "status", r#""ACTIVE""#),
        ("registry.Asset", "status", "null"),
    ] {
        let with = format!(r#"{{"id": 1, "academy": 4, "{field}": {value}}}"#);
        let without = r#"{"id": 1, "academy": 4}"#;
        for (before, after, side) in [(&*with, without, "after"), (without, &*with, "before")] {
            assert_eq!(
                derive(model, Some(before), Some(after)),
                Err(format!(
                    "{side}: {field}: This field is required: the other side of the change has it."
                )),
                "{model}"
            );
        }
    }
    // On neither side it has not changed, and a new record's may be left out.
    let record = r#"{"id": 1, "academy": 4}"#;
    let asset = "registry.Asset";
    assert_eq!(derive(asset, Some(record), Some(record)), Ok(Vec::new()));
    let lead = "marketing.FormEntry";
    assert_eq!(
        derive(lead, None, Some(record)),
        Ok(vec!["form_entry.added"])
    );
}

#[test]
fn an_academy_is_named_by_its_slug_or_its_id() {
    let slug = || AcademyRef::Slug("downtown-campus".to_owned());
    for (academy, expected) in [
        ("4", AcademyRef::Id(4)),
        (r#"{"id": 4}"#, AcademyRef::Id(4)),
        (r#"{"id": 4, "slug": null}"#, AcademyRef::Id(4)),
        (r#""downtown-campus""#, slug()),
        (r#"{"slug": "downtown-campus"}"#, slug()),
        (r#"{"id": 4, "slug": "downtown-campus"}"#, slug()),
    ] {
        let record = raw(&format!(r#"{{"id": 1, "academy": {academy}}}"#));
        let change = Change {
            model: "authenticate.ProfileAcademy",
            before: None,
            after: Some(&record),
        };
        let derived = change.events().expect(academy);
        assert_eq!(derived[0].academy.as_ref(), Some(&expected), "{academy}");
        // The payload names it as the record does.
        assert_eq!(derived[0].payload.get(), record.get());
    }
}

#[test]
fn an_academy_that_is_missing_or_none_is_a_mistake() {
    let member = "authenticate.ProfileAcademy";
    let student = "admissions.CohortUser";
    let task = "assignments.Task";
    let neither = "Expected an academy with its slug or id, or one of these alone.";
    let no_way = "Expected an object that leads to the record's academy.";
    let missing = "This field is required: the record's academy is found by it.";
    let null = "This field may not be null.";
    for (model, fields, path, message) in [
        (member, r#""a": 1"#, "academy", missing),
        (member, r#""academy": null"#, "academy", null),
        (member, r#""academy": true"#, "academy", neither),
        (member, r#""academy": -4"#, "academy", neither),
        (member, r#""academy": 4.5"#, "academy", neither),
        (member, r#""academy": [4]"#, "academy", neither),
        (member, r#""academy": {"id": "4"}"#, "academy", neither),
        (member, r#""academy": {}"#, "academy", neither),
        (student, r#""educational_status": null"#, "cohort", missing),
        (student, r#""cohort": null"#, "cohort", null),
        (student, r#""cohort": 12"#, "cohort", no_way),
        (
            student,
            r#""cohort": {"id": 12}"#,
            "cohort.academy",
            missing,
        ),
        (
            student,
            r#""cohort": {"academy": null}"#,
            "cohort.academy",
            null,
        ),
        // One that may be null may still not be left out.
        (task, r#""a": 1"#, "cohort", missing),
        (task, r#""cohort": {"id": 12}"#, "cohort.academy", missing),
        (task, r#""cohort": "full-stack-45""#, "cohort", no_way),
    ] {
        let record = format!(r#"{{"id": 1, {fields}}}"#);
        assert_eq!(
            derive(model, None, Some(&record)),
            Err(format!("after: {path}: {message}")),
            "{model}: {fields}"
        );
    }
}

#[test]
fn a_record_that_does_not_make_a_payload_is_a_mistake() {
    assert_eq!(
        derive(
            "registry.Asset",
            Some(r#"{"status": "DRAFT"}"#),
            Some(r#"{"status": "PUBLISHED", "academy": null}"#)
        ),
        Err("after: id: This field is required.".to_owned())
    );
    assert_eq!(
        derive(
            "marketing.FormEntry",
            None,
            Some(r#"{"id": "s3cr3t", "academy": 4}"#)
        ),
        Err("after: id: Expected a record's number, got a string.".to_owned())
    );
    // Nobody asks for the payload of what is no event.
    let record = r#"{"id": "s3cr3t", "status": "DRAFT"}"#;
    assert_eq!(
        derive("registry.Asset", Some(record), Some(record)),
        Ok(Vec::new())
    );
}

#[test]
fn moments_are_the_same_however_they_are_written() {
    for (a, b, are_same) in [
        (
            r#""2025-01-25T18:00:00Z""#,
            r#""2025-01-25T13:00:00-05:00""#,
            true,
        ),
        (
            r#""2025-01-25T18:00:00Z""#,
            r#""2025-01-25T18:00:00.000Z""#,
            true,
        ),
        (
            r#""2025-01-25T18:00:00Z""#,
            r#""2025-01-25T18:00:01Z""#,
            false,
        ),
        (r#""2025-01-25T18:00:00Z""#, "null", false),
        (r#""A""#, r#""a""#, false),
        (r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#, true),
        ("null", "null", true),
        ("1", r#""1""#, false),
    ] {
        let parsed = |json| serde_json::from_str::<Value>(json).expect("JSON");
        assert_eq!(same(&parsed(a), &parsed(b)), are_same, "{a} and {b}");
    }
}

#[test]
fn rules_are_said_in_words() {
    for (fires, words) in [
        (Fires::Created, "created"),
        (Fires::SavedAgain, "saved again, changed or not"),
        (
            Fires::Changed("status"),
            "`status` changed, not on creation",
        ),
        (
            Fires::CreatedOrChanged("stage"),
            "created, or `stage` changed",
        ),
        (
            Fires::SetOrChanged("ac_deal_id"),
            "`ac_deal_id` set or changed, not to null",
        ),
        (
            Fires::Set("attendee"),
            "`attendee` set, where it was null; also on creation",
        ),
        (Fires::Became("status", &["DONE"]), "`status` became DONE"),
        (
            Fires::Became("status", &["A", "B"]),
            "`status` became one of A, B",
        ),
    ] {
        assert_eq!(fires.to_string(), words);
    }
}
