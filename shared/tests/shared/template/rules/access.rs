//! Who may do what, and who may see what.

use yaml_rust2::Yaml;

use super::{Complaints, FUNCTION, NO_VALUE, texts_of};
use crate::template::{Template, entries, resource, texts};

/// The policy of AWS's that may be attached to a role although it has a `*` in it, when functions trace: X-Ray has no
/// resources that a statement of ours could name.
pub(super) const TRACES: &str = "arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess";

/// What Lambda does with a function's role when the function is in a VPC, or was: on network interfaces that it makes
/// itself, so that a statement of ours cannot name them.
const NETWORK_INTERFACES: [&str; 6] = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
];

/// What the name of a secret has in it.
const SECRET: [&str; 5] = ["SECRET", "TOKEN", "PASSWORD", "CREDENTIAL", "_KEY"];

/// The variables whose values stand in the template itself.
const PLAIN: [&str; 1] = ["AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH"];

/// No action and no resource with a `*` in it, whoever is allowed it.
pub(super) fn rights(template: &Template, complaints: &mut Complaints) {
    for (resource, described) in entries(&template["Resources"]) {
        for statement in statements(described).into_iter().filter(|one| !denies(one)) {
            let actions = texts(&statement["Action"]);
            let of_lambda = actions
                .iter()
                .all(|action| NETWORK_INTERFACES.contains(action));
            let resources = texts(&statement["Resource"]).into_iter();
            let mut named = actions
                .iter()
                .copied()
                .chain(resources.filter(|_| !of_lambda));
            let anything = named.any(|name| name.contains(['*', '?']));
            let all_but = entries(statement).any(|(part, _)| part.starts_with("Not"));
            complaints.unless(!anything && !all_but, resource, "a right to anything");
        }
        let policies = &described["Properties"]["ManagedPolicyArns"];
        for policy in policies.as_vec().into_iter().flatten() {
            let known = is_attached_if(policy, "Traces", TRACES);
            complaints.unless(
                known,
                resource,
                &format!("rights that are not ours: {policy:?}"),
            );
        }
    }
}

/// Whether a function's role lets Lambda have network interfaces for it, and keeps the function's code from doing so.
pub(super) fn has_network_interfaces(template: &Template, function: &str) -> bool {
    let policies = &template.properties(&format!("{function}Role"))["Policies"];
    let statements = statements(policies);
    let (denied, allowed): (Vec<_>, Vec<_>) = statements.into_iter().partition(|one| denies(one));
    let allowed: Vec<&str> = allowed
        .iter()
        .flat_map(|statement| texts(&statement["Action"]))
        .filter(|action| action.starts_with("ec2:"))
        .collect();
    let denied = denied.iter().any(|statement| {
        let parts = ["Action", "Resource"].map(|part| statement[part].as_str());
        let source = &statement["Condition"]["ArnLike"]["lambda:SourceFunctionArn"];
        parts == [Some("ec2:*"), Some("*")] && source.as_str() == Some(FUNCTIONS_OF_THE_ACCOUNT)
    });
    allowed == NETWORK_INTERFACES && denied
}

/// Whoever calls with a role of ours from within a function.
const FUNCTIONS_OF_THE_ACCOUNT: &str =
    "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*";

/// Whether a function's role has a policy of AWS's under a condition.
pub(super) fn attached(template: &Template, function: &str, condition: &str, policy: &str) -> bool {
    let policies = template.properties(&format!("{function}Role"))["ManagedPolicyArns"].as_vec();
    let mut policies = policies.into_iter().flatten();
    policies.any(|attached| is_attached_if(attached, condition, policy))
}

fn is_attached_if(policy: &Yaml, condition: &str, arn: &str) -> bool {
    texts_of(policy).is_some_and(|parts| parts == [condition, arn, NO_VALUE])
}

fn denies(statement: &Yaml) -> bool {
    statement["Effect"].as_str() == Some("Deny")
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

/// Every queue refuses requests without TLS. EventBridge, which acts for every account, is let in for the rules of this
/// one, to where our rule sends; and that rule is made after it is let in.
pub(super) fn queue_policies(template: &Template, complaints: &mut Complaints) {
    let policies = template.resources("AWS::SQS::QueuePolicy");
    for queue in template.resources("AWS::SQS::Queue") {
        let of_queue: Vec<&str> = policies
            .iter()
            .filter(|policy| texts(&template.properties(policy)["Queues"]).contains(&queue))
            .copied()
            .collect();
        // Of several policies of a queue SQS keeps one.
        let tls_only = matches!(of_queue[..], [policy]
            if statements(template.properties(policy)).into_iter().any(refuses_plain_http));
        let which = format!("{queue}, {of_queue:?}");
        complaints.unless(
            tls_only,
            &which,
            "requests without TLS are not refused by its one policy",
        );
    }
    for policy in &policies {
        let properties = template.properties(policy);
        let queues = texts(&properties["Queues"]);
        for statement in statements(properties) {
            let place = statement["Resource"].as_str().map(resource);
            let on_its_queue = place.is_some_and(|place| queues == [place]);
            complaints.unless(on_its_queue, policy, "about more than its queue");
            if refuses_plain_http(statement) {
                continue;
            }
            let sends = statement["Action"].as_str() == Some("sqs:SendMessage");
            complaints.unless(sends, policy, "allows more than sqs:SendMessage");
            let service = statement["Principal"]["Service"].as_str();
            let condition = &statement["Condition"];
            let of_account = condition["StringEquals"]["aws:SourceAccount"].as_str();
            let source = condition["ArnLike"]["aws:SourceArn"].as_str();
            let known = (service, of_account, source)
                == (
                    Some("events.amazonaws.com"),
                    Some("AWS::AccountId"),
                    Some(RULES_OF_THE_ACCOUNT),
                );
            complaints.unless(known, policy, "others than this account's rules may send");
        }
    }
    for rule in template.resources("AWS::Events::Rule") {
        let resource = &template["Resources"][rule];
        let targets = resource["Properties"]["Targets"]
            .as_vec()
            .into_iter()
            .flatten();
        let queues =
            targets.flat_map(|target| [&target["Arn"], &target["DeadLetterConfig"]["Arn"]]);
        let queues: Vec<&str> = queues
            .filter_map(Yaml::as_str)
            .map(self::resource)
            .collect();
        let needed = policies.iter().filter(|policy| {
            let of_policy = texts(&template.properties(policy)["Queues"]);
            of_policy.iter().any(|queue| queues.contains(queue))
        });
        let waited_for = texts(&resource["DependsOn"]);
        let parts: Vec<_> = entries(&resource["Properties"])
            .map(|(part, _)| part)
            .collect();
        let all = parts == ["Description", "EventBusName", "EventPattern", "Targets"];
        complaints.unless(all, rule, "it may be off");
        for target in resource["Properties"]["Targets"]
            .as_vec()
            .into_iter()
            .flatten()
        {
            let parts: Vec<_> = entries(target).map(|(part, _)| part).collect();
            let all = parts == ["Id", "Arn", "DeadLetterConfig"];
            complaints.unless(all, rule, "events are not handed on whole, or not retried");
        }
        let after_them = needed.into_iter().all(|policy| waited_for.contains(policy));
        complaints.unless(after_them, rule, "does not depend on the queue policies");
    }
}

/// A rule that is replaced has another name: all of this account's may send.
const RULES_OF_THE_ACCOUNT: &str =
    "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*";

fn refuses_plain_http(statement: &Yaml) -> bool {
    let parts = ["Principal", "Action"].map(|part| statement[part].as_str());
    let secure = statement["Condition"]["Bool"]["aws:SecureTransport"].as_str();
    denies(statement) && parts == [Some("*"), Some("sqs:*")] && secure == Some("false")
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
