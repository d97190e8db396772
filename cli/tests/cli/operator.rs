//! The operator's commands, against the tables of a running `serve`.

use crate::process::{Endpoint, Serve, run, text};

const HOOKS: &str = "/v1/notify/hook/subscribe";

fn token(serve: &Serve, username: &str) -> String {
    let issued = serve.run(&["token", "issue", username]);
    assert!(issued.status.success(), "{}", text(&issued.stderr));
    text(&issued.stdout).trim().to_owned()
}

fn refused(serve: &Serve, args: &[&str]) -> String {
    let refused = serve.run(args);
    assert!(
        !refused.status.success(),
        "{args:?}: {}",
        text(&refused.stdout)
    );
    text(&refused.stderr)
}

#[test]
fn an_academy_is_let_in_and_kept_out_again() {
    let serve = Serve::start(&["--in-memory"]);
    let of_stack = ["--stack", "academy-hooks"];
    let add = ["academy", "add", "miami-campus", "--name", "Miami"];
    let added = serve.done(&[&add[..], &of_stack].concat());
    // What comes next is for the same stack.
    assert!(added.ends_with("academy-hooks user add miami-campus --stack academy-hooks\n"));
    let added = serve.done(&[&["user", "add", "miami-campus"], &of_stack[..]].concat());
    assert!(added.ends_with("academy-hooks token issue miami-campus --stack academy-hooks\n"));
    let token = token(&serve, "miami-campus");
    serve.subscribe(&token, "form_entry.added", "https://a.com/x");

    let listed = serve.done(&["token", "list", "miami-campus"]);
    assert_eq!(listed.lines().count(), 1);
    assert!(!listed.contains(&token));
    let id = listed.split_whitespace().next().unwrap();
    serve.done(&["token", "revoke", id]);
    assert_eq!(serve.call("GET", HOOKS, &token, "").0, 401);
    assert!(refused(&serve, &["token", "revoke", id]).contains("there is no token"));
}

#[test]
fn what_is_taken_or_unknown_is_refused() {
    let serve = Serve::start(&["--in-memory"]);
    let again = refused(&serve, &["academy", "add", "downtown-campus"]);
    assert!(again.contains("there is an academy"), "{again}");
    let number = refused(&serve, &["academy", "add", "other", "--id", "4"]);
    assert!(number.contains("number 4"), "{number}");
    assert!(refused(&serve, &["token", "issue", "nobody"]).contains("there is no user"));
    assert!(refused(&serve, &["user", "add", "*"]).contains("is no name"));
    // Four numbers on, the counter meets the demonstration's and passes over it.
    for slug in ["a1", "a2", "a3", "a5"] {
        let added = serve.done(&["academy", "add", slug]);
        assert!(
            added.contains(&format!("has the number {}", &slug[1..])),
            "{added}"
        );
    }
    let nowhere = run(&["token", "list"]);
    assert!(!nowhere.status.success());
    assert!(text(&nowhere.stderr).contains("HOOKS_TABLE"));
}

#[test]
fn rights_change_with_the_role_and_the_hooks_follow() {
    let endpoint = Endpoint::start(200);
    let allowed = endpoint.addr.to_string();
    let serve = Serve::start(&["--in-memory", "--allow-target", &allowed]);
    let publisher = serve.token("platform");
    let event = "form_entry.added";
    serve.done(&["academy", "add", "miami-campus"]);
    serve.done(&["user", "add", "miami-campus"]);
    let miami = token(&serve, "miami-campus");
    serve.subscribe(&miami, event, &endpoint.url());
    assert_eq!(serve.publish(&publisher, event, "downtown-campus"), 0);

    let promoted = serve.done(&["user", "add", "miami-campus", "--superadmin"]);
    assert!(promoted.contains("1 hooks of miami-campus"), "{promoted}");
    assert_eq!(serve.publish(&publisher, event, "downtown-campus"), 1);
    endpoint.next();
    assert_eq!(serve.call("GET", HOOKS, &miami, "").1["count"], 1);

    serve.done(&["user", "add", "miami-campus"]);
    assert_eq!(serve.publish(&publisher, event, "downtown-campus"), 0);
    assert_eq!(serve.publish(&publisher, event, "miami-campus"), 1);
    endpoint.next();

    serve.done(&["user", "add", "miami-campus", "--inactive"]);
    let (status, body) = serve.call("GET", HOOKS, &miami, "");
    assert_eq!(
        (status, body["detail"].as_str()),
        (401, Some("Invalid or inactive user"))
    );
    // Its hooks go on.
    assert_eq!(serve.publish(&publisher, event, "miami-campus"), 1);
}
