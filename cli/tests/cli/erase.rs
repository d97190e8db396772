//! Erasing an academy: what it leaves behind, and what it must not touch.

use serde_json::Value;

use crate::process::{Endpoint, Serve, eventually, text};

const EVENT: &str = "cohort_user.added";
const ERASE: [&str; 3] = ["academy", "erase", "downtown-campus"];

/// What there is of the academy, as the command counts it.
fn counts(shown: &str) -> Vec<&str> {
    let lines = shown.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(_, count)| count).take(7).collect()
}

/// Waits until the owner of a token has an error of so many deliveries.
fn error_of(serve: &Serve, token: &str, count: u64) -> Value {
    eventually("the error", || {
        let (_, list) = serve.call("GET", "/v1/notify/hook/error", token, "");
        let error = list["results"][0].clone();
        (error["count"] == count).then_some(error)
    })
}

#[test]
fn an_academy_goes_with_all_that_happened_at_it_and_the_others_stay() {
    let ill = Endpoint::start(410);
    let allowed = ill.addr.to_string();
    let serve = Serve::start(&["--in-memory", "--allow-target", &allowed]);
    for args in [&["academy", "add", "miami"], &["user", "add", "miami"]] {
        serve.done(args);
    }
    let [academy, admin, publisher] =
        ["downtown-campus", "admin", "platform"].map(|name| serve.token(name));
    let miami = serve.done(&["token", "issue", "miami"]);
    let tokens = [academy.as_str(), &admin, miami.trim()];
    for token in tokens {
        serve.subscribe(token, EVENT, &ill.url());
    }
    // Each is dead-lettered at once: one to the academy, one to the superadmin, and so for the other academy.
    for place in ["downtown-campus", "miami"] {
        assert_eq!(serve.publish(&publisher, EVENT, place), 2);
    }
    error_of(&serve, &academy, 1);
    error_of(&serve, miami.trim(), 1);
    let of_admin = error_of(&serve, &admin, 2);
    let sample = "/v1/notify/hook/2/sample";
    assert_eq!(serve.call("GET", sample, &admin, "").1["id"], 1);

    let shown = serve.done(&ERASE);
    assert_eq!(counts(&shown), ["there", "there", "1", "1", "1", "2", "1"]);
    let command =
        "Nothing is erased yet: `academy-hooks academy erase downtown-campus --yes` does it.";
    assert!(shown.contains(command), "{shown}");
    let of_stack = serve.done(&[&ERASE[..], &["--stack", "academy-hooks"]].concat());
    let command = "`academy-hooks academy erase downtown-campus --yes --stack academy-hooks`";
    assert!(of_stack.contains(command), "{of_stack}");
    assert_eq!(
        serve
            .call("GET", "/v1/notify/hook/subscribe", &academy, "")
            .1["count"],
        1
    );

    let erased = serve.done(&[&ERASE[..], &["--yes"]].concat());
    assert_eq!(counts(&erased), counts(&shown));
    assert!(erased.contains("It is erased."), "{erased}");
    assert_eq!(
        serve
            .call("GET", "/v1/notify/hook/subscribe", &academy, "")
            .0,
        401
    );
    let left = serve.done(&ERASE);
    assert_eq!(
        counts(&left),
        ["not there", "not there", "0", "0", "0", "0", "1"]
    );

    // The other academy, and what the superadmin has of that.
    assert_eq!(
        serve
            .call("GET", "/v1/notify/hook/subscribe", miami.trim(), "")
            .1["count"],
        1
    );
    error_of(&serve, miami.trim(), 1);
    let id = of_admin["id"].to_string();
    let sent = serve.done(&["errors", "redeliver", &id]);
    assert!(sent.contains("1 deliveries"), "{sent}");
    // The event's example stands in for the sample that is gone.
    assert_ne!(serve.call("GET", sample, &admin, "").1["id"], 1);
}

#[test]
fn a_superadmin_of_the_name_and_an_unknown_one_lose_nothing() {
    let serve = Serve::start(&["--in-memory"]);
    let refused = serve.run(&["academy", "erase", "admin", "--yes"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("admin is a superadmin"));
    let shown = serve.done(&["academy", "erase", "nobody", "--yes"]);
    assert_eq!(
        counts(&shown),
        ["not there", "not there", "0", "0", "0", "0", "0"]
    );
    assert_eq!(
        serve
            .call(
                "GET",
                "/v1/notify/hook/subscribe",
                &serve.token("admin"),
                ""
            )
            .0,
        200
    );
}
