//! `demo` and the help.

use crate::process::{run, text};

#[test]
fn the_demonstration_tells_the_whole_story() {
    let done = run(&["demo"]);
    let story = text(&done.stdout);
    assert!(done.status.success(), "{story}\n{}", text(&done.stderr));
    for part in [
        r#""total_calls": 0"#,
        "POST /webhooks/assignment-created",
        "content-type: application/json",
        "user-agent: BreatheCode-Webhooks/1.0",
        "webhook-id: 0",
        "webhook-timestamp: 1",
        "webhook-signature: v1,",
        "webhook-event: assignment.assignment_created",
        r#""title": "Build a Todo App""#,
        "The signature is valid.",
        r#""last_response_code": 200"#,
        "attempt 3 after",
        r#""total_calls": 3"#,
        r#""last_response_code": 500"#,
        r#""message": "The endpoint answered 500.""#,
        "All of it happened.",
    ] {
        assert!(story.contains(part), "{part} is missing:\n{story}");
    }
    assert!(!story.contains("whsec_"), "it shows a secret:\n{story}");
}

#[test]
fn the_help_names_every_command_and_option() {
    let help = text(&run(&["--help"]).stdout);
    for command in [
        "serve", "demo", "publish", "change", "academy", "user", "token", "errors", "dlq",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
    let help = text(&run(&["serve", "--help"]).stdout);
    for option in [
        "addr",
        "data",
        "in-memory",
        "fixtures",
        "allow-target",
        "retry-schedule",
    ] {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
}
