//! The bus of a `serve`: from `PutEvents` to the endpoint, and the commands for what was wrong.

use serde_json::{Value, json};

use crate::process::{Endpoint, Serve, eventually};

const EVENT: &str = "cohort_user.added";

/// Puts an event on the bus as the AWS CLI does.
fn put(serve: &Serve, source: &str, detail_type: &str, detail: &Value) {
    let entry = json!({
        "EventBusName": serve.exports()["EVENT_BUS_NAME"], "Source": source,
        "DetailType": detail_type, "Detail": detail.to_string(),
    });
    let request = json!({"Entries": [entry]});
    let endpoint = "AWS_ENDPOINT_URL_EVENTBRIDGE";
    let answer = serve.aws(endpoint, "AWSEvents.PutEvents", &request);
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
}

#[test]
fn what_is_put_on_the_bus_arrives() {
    let endpoint = Endpoint::start(200);
    let allowed = endpoint.addr.to_string();
    let serve = Serve::start(&["--in-memory", "--allow-target", &allowed]);
    serve.subscribe(&serve.token("downtown-campus"), EVENT, &endpoint.url());

    let event = json!({"academy": "downtown-campus", "payload": {"id": 1, "secret": "s"}});
    put(&serve, "breathecode.admissions", EVENT, &event);
    assert_eq!(endpoint.next(), r#"{"id":1}"#);
    let change = json!({
        "model": "admissions.CohortUser", "before": null,
        "after": {"id": 2, "cohort": {"id": 12, "academy": {"id": 4}}, "educational_status": null},
    });
    put(&serve, "breathecode.admissions", "change", &change);
    let arrived: Value = serde_json::from_str(&endpoint.next()).unwrap();
    assert_eq!(arrived["id"], 2);
    // Of other sources nobody hears.
    put(&serve, "somebody.else", EVENT, &event);
    put(
        &serve,
        "breathecode.admissions",
        EVENT,
        &json!({"academy": 4, "payload": {"id": 3}}),
    );
    assert_eq!(endpoint.next(), r#"{"id":3}"#);
}

#[test]
fn dead_event_is_shown_with_its_reason_and_resent() {
    let endpoint = Endpoint::start(200);
    let allowed = endpoint.addr.to_string();
    let serve = Serve::start(&["--in-memory", "--allow-target", &allowed]);
    serve.subscribe(&serve.token("admin"), EVENT, &endpoint.url());

    let event = json!({"academy": "lisbon", "payload": {"id": 1}});
    put(&serve, "breathecode.admissions", EVENT, &event);
    put(
        &serve,
        "breathecode.admissions",
        "no.such\u{9b}event",
        &event,
    );
    let shown = eventually("both dead events", || {
        let shown = serve.done(&["bus", "peek"]);
        (shown.matches("\nmessage ").count() == 2).then_some(shown)
    });
    for part in [
        "Messages: 2 visible,",
        "Unexpected academy lisbon",
        r#"event "cohort_user.added" from "breathecode.admissions" with the id ""#,
        r"Unexpected event no.such\u{9b}event",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("payload"), "{shown}");
    let whole = serve.done(&["bus", "peek", "--payload"]);
    assert!(
        whole.contains(r#""detail":{"academy":"lisbon","payload":{"id":1}}"#),
        "{whole}"
    );
    assert!(!whole.contains('\u{9b}'), "{whole}");

    serve.done(&["academy", "add", "lisbon"]);
    let sent = serve.done(&["bus", "resend"]);
    assert_eq!(sent, "2 events are back in the queue.\n");
    assert_eq!(endpoint.next(), r#"{"id":1}"#);
    eventually("the one that is still wrong", || {
        let shown = serve.done(&["bus", "peek"]);
        shown.contains("Messages: 1 visible,").then_some(())
    });
    assert!(!endpoint.has_more());
}
