//! Who may do what, and who may see what.

use yaml_rust2::Yaml;

use super::{Complaints, FUNCTION};
use crate::template::{Template, entries, resource, texts};

/// Policies of AWS's that may be attached to a role although they have a `*` in them: X-Ray has no resources
/// that a statement of ours could name.
const POLICIES_OF_AWS: [&str; 1] =
    ["arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"];

/// What the name of a secret has in it.
const SECRET: [&str; 5] = ["SECRET", "TOKEN", "PASSWORD", "CREDENTIAL", "_KEY"];

/// The variables whose values stand in the template itself.
const PLAIN: [&str; 1] = ["AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH"];

/// No action and no resource with a `*` in it, whoever is allowed it.
pub(super) fn rights(template: &Template, complaints: &mut Complaints) {
    for (resource, described) in entries(&template["Resources"]) {
        for statement in statements(described) {
            let parts = ["Action", "Resource"].map(|part| &statement[part]);
            let mut named = parts.into_iter().flat_map(texts);
            let anything = named.any(|name| name.contains('*'));
            let all_but = entries(statement).any(|(part, _)| part.starts_with("Not"));
            complaints.unless(!anything && !all_but, resource, "a right to anything");
        }
        for policy in texts(&described["Properties"]["ManagedPolicyArns"]) {
            let known = POLICIES_OF_AWS.contains(&policy);
            complaints.unless(
                known,
                resource,
                &format!("rights that are not ours: {policy}"),
            );
        }
    }
}

/// Each function acts in a role of its own, and nobody else does: SAM makes one where there is none, and
/// writes policies of its own into it.
pub(super) fn roles(template: &Template, complaints: &mut Complaints) {
    let functions = template.resources(FUNCTION);
    let role = |function: &str| template.properties(function)["Role"].as_str().map(resource);
    for function in &functions {
        let wanted = format!("{function}Role");
        complaints.unless(
            role(function) == Some(&wanted),
            function,
            "no role of its own",
        );
        let written_out = template.properties(function)["Policies"].is_badvalue();
        complaints.unless(written_out, function, "policies beside its role's");
    }
    for role in template.resources("AWS::IAM::Role") {
        let trusted = statements(&template.properties(role)["AssumeRolePolicyDocument"]);
        let trusted = trusted.iter().flat_map(|statement| {
            let principals = entries(&statement["Principal"]);
            principals.map(|(kind, principal)| (kind, principal.as_str()))
        });
        let by_lambda = trusted.eq([("Service", Some("lambda.amazonaws.com"))]);
        complaints.unless(by_lambda, role, "others than Lambda can take it");
    }
}

/// A service acts for every account, so it is let in for the sake of one resource: here of the rule, which
/// puts events into their queues.
pub(super) fn strangers(template: &Template, complaints: &mut Complaints) {
    for policy in template.resources("AWS::SQS::QueuePolicy") {
        let properties = template.properties(policy);
        let queues = texts(&properties["Queues"]);
        for statement in statements(properties) {
            let action = statement["Action"].as_str();
            let place = statement["Resource"].as_str().map(resource);
            let on_these = place.is_some_and(|place| queues == [place]);
            let puts = action == Some("sqs:SendMessage") && on_these;
            complaints.unless(puts, policy, "more than to send to its queue");
            let service = statement["Principal"]["Service"].as_str();
            let from = statement["Condition"]["ArnEquals"]["aws:SourceArn"].as_str();
            let known = (service, from) == (Some("events.amazonaws.com"), Some("EventsRule.Arn"));
            complaints.unless(known, policy, "others than our rule may send");
        }
    }
}

/// A variable is shown to whoever may see the function. Its value is what a resource or a parameter says, and
/// that is no secret.
pub(super) fn secrets(template: &Template, complaints: &mut Complaints) {
    let parameters = &template["Parameters"];
    let of_functions = template.resources(FUNCTION).into_iter();
    let of_functions = of_functions.map(|function| (function, template.properties(function)));
    let of_all = ("Globals", &template["Globals"]["Function"]);
    for (place, described) in of_functions.chain([of_all]) {
        for (name, value) in entries(&described["Environment"]["Variables"]) {
            let value = value.as_str().unwrap_or_default();
            let hidden = parameters[value]["NoEcho"].as_bool() == Some(true);
            let secret = SECRET.iter().any(|part| name.contains(part));
            let shown = format!("{name}, {value}: a secret");
            complaints.unless(!secret && !hidden, place, &shown);
            let referred = value == "AWS::StackName"
                || [parameters, &template["Resources"]]
                    .iter()
                    .any(|there| !there[value].is_badvalue());
            let known = referred || PLAIN.contains(&name);
            complaints.unless(known, place, &format!("{name} has a value of its own"));
        }
    }
}

/// The statements of all policies in a resource.
fn statements(within: &Yaml) -> Vec<&Yaml> {
    if let Some(list) = within.as_vec() {
        return list.iter().flat_map(statements).collect();
    }
    let parts = entries(within).flat_map(|(name, part)| match (name, part.as_vec()) {
        ("Statement", Some(list)) => list.iter().collect(),
        ("Statement", None) => vec![part],
        _ => statements(part),
    });
    parts.collect()
}
