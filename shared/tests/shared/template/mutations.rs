//! Tests of the rules: whoever takes a line out of the template that one of them is about, or writes one in
//! that it forbids, is told by that rule, with the place's name, and by no other.

use std::collections::BTreeSet;

use yaml_rust2::Yaml;

use super::{
    TEMPLATE, Template, entries, of_type,
    rules::{Complaints, RULES},
    yaml,
};

const FUNCTIONS: &str = "Resources/{AWS::Serverless::Function}/Properties";
const WORKERS: &str = "Resources/{AWS::Serverless::Function}/Properties/Events/{SQS}/Properties";
const DELIVERIES: &str = "Resources/Deliver/Properties/Events/Deliveries/Properties";
const ROUTES: &str = "Resources/{AWS::Serverless::Function}/Properties/Events/{HttpApi}/Properties";
const APIS: &str = "Resources/{AWS::Serverless::HttpApi}/Properties";
const QUEUES: &str = "Resources/{AWS::SQS::Queue}/Properties";
const QUEUE_STATEMENTS: &str =
    "Resources/{AWS::SQS::QueuePolicy}/Properties/PolicyDocument/Statement/#";
const TABLES: &str = "Resources/{AWS::DynamoDB::Table}";
const LOG_GROUPS: &str = "Resources/{AWS::Logs::LogGroup}/Properties";
const ROLES: &str = "Resources/{AWS::IAM::Role}/Properties";
// Of a role that has no rights beside its function's.
const RIGHTS: &str = "Resources/IngestRole/Properties/Policies/#/PolicyDocument/Statement/#";

const GLOBALS: &str = "Globals/Function";

const OTHER_QUEUE: &str =
    "['arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:another-stack-events']";

/// What is taken out, and the rule that finds it missing. In a place, `{Type}` stands for all entries of that
/// type, `#` for all of a list, and `*` for all there are.
const TAKEN_OUT: &[(&str, &str, &str)] = &[
    ("partial batches", WORKERS, "FunctionResponseTypes"),
    ("visibility", QUEUES, "VisibilityTimeout"),
    ("visibility", "Resources/Ingest/Properties", "Timeout"),
    ("visibility", "Resources/Deliver/Properties", "Timeout"),
    ("visibility", "Resources/Errors/Properties", "Timeout"),
    ("visibility", "Parameters/DeliverBatchWindow", "MaxValue"),
    ("batches", DELIVERIES, "MaximumBatchingWindowInSeconds"),
    ("batches", "Conditions", "GathersDeliveries"),
    ("workers", FUNCTIONS, "Events/{SQS}"),
    ("workers", WORKERS, "ScalingConfig"),
    ("workers", WORKERS, "ScalingConfig/MaximumConcurrency"),
    ("redrive", QUEUES, "RedriveAllowPolicy"),
    ("redrive", QUEUES, "RedriveAllowPolicy/redrivePermission"),
    ("redrive", QUEUES, "RedriveAllowPolicy/sourceQueueArns"),
    ("redrive", QUEUES, "RedrivePolicy"),
    ("redrive", QUEUES, "RedrivePolicy/maxReceiveCount"),
    ("redrive", QUEUES, "RedrivePolicy/deadLetterTargetArn"),
    ("retention", QUEUES, "MessageRetentionPeriod"),
    ("message size", QUEUES, "MaximumMessageSize"),
    ("encryption", QUEUES, "SqsManagedSseEnabled"),
    ("tables", "Conditions", "ManagesTableKey"),
    ("tables", TABLES, "DeletionPolicy"),
    ("tables", TABLES, "UpdateReplacePolicy"),
    ("tables", TABLES, "Properties/DeletionProtectionEnabled"),
    ("tables", TABLES, "Properties/SSESpecification"),
    ("tables", TABLES, "Properties/SSESpecification/SSEEnabled"),
    (
        "tables",
        TABLES,
        "Properties/PointInTimeRecoverySpecification",
    ),
    (
        "tables",
        TABLES,
        "Properties/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled",
    ),
    ("roles", FUNCTIONS, "Role"),
    ("roles", ROLES, "AssumeRolePolicyDocument"),
    (
        "roles",
        ROLES,
        "AssumeRolePolicyDocument/Statement/#/Principal",
    ),
    ("queue policies", QUEUE_STATEMENTS, "Action"),
    ("queue policies", QUEUE_STATEMENTS, "Resource"),
    ("queue policies", QUEUE_STATEMENTS, "Principal"),
    ("queue policies", QUEUE_STATEMENTS, "Condition"),
    ("queue policies", QUEUE_STATEMENTS, "Condition/ArnLike"),
    ("queue policies", QUEUE_STATEMENTS, "Condition/StringEquals"),
    ("queue policies", QUEUE_STATEMENTS, "Condition/Bool"),
    (
        "queue policies",
        "Resources/{AWS::SQS::QueuePolicy}/Properties",
        "Queues",
    ),
    ("queue policies", "Resources/EventsRule", "DependsOn"),
    ("recursion", "Resources/Deliver/Properties", "RecursiveLoop"),
    ("tracing", "Conditions", "Traces"),
    ("tracing", GLOBALS, "Tracing"),
    (
        "tracing",
        "Resources/IngestRole/Properties",
        "ManagedPolicyArns",
    ),
    (
        "tracing",
        "Resources/ErrorsRole/Properties",
        "ManagedPolicyArns",
    ),
    ("versions", GLOBALS, "AutoPublishAlias"),
    ("versions", GLOBALS, "AutoPublishAliasAllProperties"),
    ("versions", GLOBALS, "DeploymentPreference"),
    ("versions", GLOBALS, "DeploymentPreference/*"),
    ("versions", FUNCTIONS, "VersionDescription"),
    ("versions", "Parameters/RetrySchedule", "MaxLength"),
    ("versions", "Parameters/AllowTargets", "MaxLength"),
    ("versions", "Parameters/LogLevel", "MaxLength"),
    ("versions", "Parameters/SubnetIds", "MaxLength"),
    ("versions", "Parameters/SecurityGroupId", "MaxLength"),
    ("versions", "Parameters/FailedDeliveryDays", "MaxValue"),
    ("vpc", "Conditions", "InVpc"),
    ("vpc", "Resources/Manage/Properties", "VpcConfig"),
    ("vpc", "Resources/Deliver/Properties", "VpcConfig"),
    (
        "vpc",
        "Resources/ManageRole/Properties/Policies/#/PolicyDocument/Statement/#",
        "Condition",
    ),
    ("logging", GLOBALS, "LoggingConfig"),
    ("logging", GLOBALS, "LoggingConfig/*"),
    ("log groups", "Resources/ApiLogs/Properties", "LogGroupName"),
    (
        "dashboard",
        "Resources/Dashboard/Properties",
        "DashboardName",
    ),
    ("log groups", LOG_GROUPS, "RetentionInDays"),
    ("log groups", FUNCTIONS, "LoggingConfig"),
    ("log groups", APIS, "AccessLogSettings"),
    ("log groups", APIS, "AccessLogSettings/DestinationArn"),
    ("throttling", APIS, "DefaultRouteSettings"),
    (
        "throttling",
        APIS,
        "DefaultRouteSettings/ThrottlingRateLimit",
    ),
    (
        "throttling",
        APIS,
        "DefaultRouteSettings/ThrottlingBurstLimit",
    ),
    ("throttling", APIS, "RouteSettings"),
    ("throttling", APIS, "RouteSettings/*"),
    ("throttling", APIS, "RouteSettings/*/*"),
    ("throttling", ROUTES, "ApiId"),
    ("architecture", "Globals/Function", "Architectures"),
    ("architecture", "Parameters/Architecture", "AllowedValues"),
    ("assertions", "Rules", "*"),
    ("assertions", "Rules/*", "Assertions"),
    ("assertions", "Rules/*", "RuleCondition"),
];

/// What is written in, and the rule that forbids it.
const WRITTEN_IN: &[(&str, &str, &str, &str)] = &[
    (
        "types",
        "Resources/Bus",
        "Type",
        "AWS::Events::EventBusPolicy",
    ),
    ("types", "Resources", "Access", "{Type: 'AWS::IAM::Policy'}"),
    (
        "types",
        "Resources",
        "Access",
        "{Type: 'AWS::Lambda::Permission'}",
    ),
    ("tables", TABLES, "Properties/ResourcePolicy", "{}"),
    ("rights", RIGHTS, "Action", "'dynamodb:???????'"),
    (
        "queue policies",
        "Resources",
        "EventsQueuePolicy2",
        "{Type: 'AWS::SQS::QueuePolicy', Properties: {Queues: [EventsQueue]}}",
    ),
    (
        "queue policies",
        "Resources/EventsRule/Properties",
        "State",
        "DISABLED",
    ),
    (
        "queue policies",
        "Resources/EventsRule/Properties/Targets/#",
        "InputPath",
        "$.detail",
    ),
    ("workers", WORKERS, "FilterCriteria", "{Filters: []}"),
    ("workers", WORKERS, "Enabled", "false"),
    ("logging", GLOBALS, "LoggingConfig/LogFormat", "Text"),
    (
        "logging",
        FUNCTIONS,
        "LoggingConfig/ApplicationLogLevel",
        "FATAL",
    ),
    (
        "versions",
        FUNCTIONS,
        "AutoPublishAliasAllProperties",
        "false",
    ),
    (
        "versions",
        FUNCTIONS,
        "DeploymentPreference",
        "{Enabled: false}",
    ),
    (
        "versions",
        "Resources/Deliver/Properties",
        "EphemeralStorage",
        "{Size: [GathersDeliveries, 1024, 512]}",
    ),
    ("versions", FUNCTIONS, "Layers", "['layer-${Environment}']"),
    ("partial batches", WORKERS, "FunctionResponseTypes", "[]"),
    (
        "visibility",
        "Resources/EventsQueue/Properties",
        "VisibilityTimeout",
        "173",
    ),
    (
        "visibility",
        "Resources/Deliver/Properties",
        "Timeout",
        "91",
    ),
    (
        "visibility",
        "Resources/Errors/Properties/Events/*/Properties",
        "MaximumBatchingWindowInSeconds",
        "300",
    ),
    ("batches", WORKERS, "BatchSize", "50"),
    (
        "visibility",
        "Parameters/DeliverBatchWindow",
        "MaxValue",
        "11",
    ),
    (
        "workers",
        WORKERS,
        "ScalingConfig/MaximumConcurrency",
        "AlarmEmail",
    ),
    (
        "redrive",
        QUEUES,
        "RedriveAllowPolicy/redrivePermission",
        "allowAll",
    ),
    (
        "redrive",
        "Resources/DeadEventsQueue/Properties",
        "RedriveAllowPolicy/sourceQueueArns",
        OTHER_QUEUE,
    ),
    (
        "redrive",
        "Resources/EventsQueue/Properties",
        "RedrivePolicy/deadLetterTargetArn",
        "DeadLettersQueue.Arn",
    ),
    ("retention", QUEUES, "MessageRetentionPeriod", "345600"),
    (
        "outages",
        "Resources/EventsQueue/Properties",
        "RedrivePolicy/maxReceiveCount",
        "21",
    ),
    (
        "outages",
        "Resources/DeliveriesQueue/Properties",
        "RedrivePolicy/maxReceiveCount",
        "7",
    ),
    ("message size", QUEUES, "MaximumMessageSize", "262144"),
    ("encryption", QUEUES, "SqsManagedSseEnabled", "false"),
    ("tables", TABLES, "DeletionPolicy", "Delete"),
    ("tables", TABLES, "DeletionPolicy", "Retain"),
    ("tables", TABLES, "UpdateReplacePolicy", "Delete"),
    (
        "tables",
        TABLES,
        "Properties/DeletionProtectionEnabled",
        "true",
    ),
    (
        "tables",
        "Parameters/DeletionProtection",
        "Default",
        "'true'",
    ),
    (
        "tables",
        TABLES,
        "Properties/SSESpecification/SSEEnabled",
        "true",
    ),
    ("tables", "Parameters/TableKey", "Default", "managed"),
    (
        "tables",
        "Resources/ClaimsTable",
        "Properties/PointInTimeRecoverySpecification",
        "{PointInTimeRecoveryEnabled: true}",
    ),
    ("rights", RIGHTS, "Action", "'dynamodb:*'"),
    ("rights", RIGHTS, "Action", "['sqs:SendMessage', '*']"),
    ("rights", RIGHTS, "Resource", "'*'"),
    (
        "rights",
        RIGHTS,
        "Resource",
        "['${HooksTable.Arn}/index/*']",
    ),
    ("rights", RIGHTS, "NotAction", "iam:PassRole"),
    ("rights", RIGHTS, "NotResource", "HooksTable.Arn"),
    (
        "rights",
        "Resources/IngestRole/Properties",
        "ManagedPolicyArns",
        "[[Traces, 'arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess', 'AWS::NoValue'], \
        'arn:aws:iam::aws:policy/AmazonSQSFullAccess']",
    ),
    ("roles", FUNCTIONS, "Role", "AnyRole.Arn"),
    (
        "roles",
        FUNCTIONS,
        "Policies",
        "[AWSLambdaBasicExecutionRole]",
    ),
    (
        "roles",
        ROLES,
        "AssumeRolePolicyDocument/Statement/#/Principal",
        "{AWS: '*'}",
    ),
    (
        "queue policies",
        QUEUE_STATEMENTS,
        "Action",
        "sqs:ReceiveMessage",
    ),
    (
        "queue policies",
        QUEUE_STATEMENTS,
        "Resource",
        "HooksTable.Arn",
    ),
    (
        "queue policies",
        QUEUE_STATEMENTS,
        "Principal",
        "{Service: sns.amazonaws.com}",
    ),
    (
        "queue policies",
        QUEUE_STATEMENTS,
        "Condition/ArnLike/aws:SourceArn",
        "EventsRule.Arn",
    ),
    (
        "queue policies",
        QUEUE_STATEMENTS,
        "Condition/Bool/aws:SecureTransport",
        "'true'",
    ),
    (
        "queue policies",
        "Resources/EventsRule",
        "DependsOn",
        "EventsQueuePolicy",
    ),
    (
        "recursion",
        "Resources/Ingest/Properties",
        "RecursiveLoop",
        "Allow",
    ),
    (
        "recursion",
        "Resources/Errors/Properties",
        "RecursiveLoop",
        "Allow",
    ),
    (
        "recursion",
        "Resources/Deliver/Properties",
        "RecursiveLoop",
        "Terminate",
    ),
    ("tracing", "Parameters/Tracing", "Default", "Active"),
    ("tracing", GLOBALS, "Tracing", "Active"),
    ("tracing", FUNCTIONS, "Tracing", "Active"),
    (
        "versions",
        GLOBALS,
        "AutoPublishAliasAllProperties",
        "false",
    ),
    ("versions", GLOBALS, "DeploymentPreference/Enabled", "true"),
    (
        "versions",
        GLOBALS,
        "DeploymentPreference/Alarms",
        "[ErrorRateAlarm]",
    ),
    (
        "versions",
        "Resources/NewVersionAlarm/Properties/Metrics/#/MetricStat/Metric",
        "Dimensions",
        "[]",
    ),
    ("versions", FUNCTIONS, "VersionDescription", "'${LogLevel}'"),
    ("versions", FUNCTIONS, "MemorySize", "ThrottlingRateLimit"),
    (
        "versions",
        "Resources/Ingest/Properties",
        "VersionDescription",
        "'${LogLevel} ${SystemLogLevel} ${Tracing} ${RetrySchedule}'",
    ),
    (
        "versions",
        "Parameters/GradualDeployment",
        "Default",
        "Canary10Percent5Minutes",
    ),
    ("versions", "Parameters/RetrySchedule", "MaxLength", "100"),
    (
        "vpc",
        "Resources/Errors/Properties",
        "VpcConfig",
        "{SubnetIds: [subnet-1], SecurityGroupIds: [sg-1]}",
    ),
    (
        "vpc",
        "Resources/DeliverRole/Properties/Policies/#/PolicyDocument/Statement/#",
        "Condition/ArnLike/lambda:SourceFunctionArn",
        "'arn:aws:lambda:eu-central-1:123456789012:function:another'",
    ),
    (
        "logging",
        GLOBALS,
        "LoggingConfig/ApplicationLogLevel",
        "INFO",
    ),
    ("logging", "Parameters/SystemLogLevel", "Default", "INFO"),
    (
        "log groups",
        "Resources/ApiLogs/Properties",
        "LogGroupName",
        "'/aws/apigateway/${AWS::StackName}'",
    ),
    (
        "dashboard",
        "Resources/Dashboard/Properties",
        "DashboardName",
        "'${AWS::StackName}'",
    ),
    (
        "throttling",
        APIS,
        "RouteSettings/*/ThrottlingRateLimit",
        "ThrottlingRateLimit",
    ),
    (
        "secrets",
        FUNCTIONS,
        "Environment/Variables/SIGNING_SECRET",
        "HooksTable",
    ),
    (
        "secrets",
        FUNCTIONS,
        "Environment/Variables/SALT",
        "c2FsdA==",
    ),
    (
        "secrets",
        "Globals/Function",
        "Environment/Variables/API_KEY",
        "LogLevel",
    ),
    ("secrets", "Parameters/LogLevel", "NoEcho", "true"),
    ("log groups", LOG_GROUPS, "RetentionInDays", "0"),
    (
        "log groups",
        FUNCTIONS,
        "LoggingConfig/LogGroup",
        "/aws/lambda/manage",
    ),
    (
        "throttling",
        ROUTES,
        "RouteSettings",
        "{ThrottlingRateLimit: 100000}",
    ),
    (
        "architecture",
        "Globals/Function",
        "Architectures",
        "[arm64]",
    ),
    ("architecture", FUNCTIONS, "Architectures", "[arm64]"),
];

#[test]
fn what_is_taken_out_is_missed_by_its_rule() {
    for (rule, place, line) in TAKEN_OUT {
        let mut taken_out = 0;
        for path in expanded(&format!("{place}/{line}")) {
            let mut template = TEMPLATE.clone();
            if take_out(&mut template, &path) {
                taken_out += 1;
                assert_found_out(&template, rule, &path);
            }
        }
        assert!(taken_out > 0, "there is no {place}/{line}");
    }
}

#[test]
fn what_is_written_in_is_found_by_its_rule() {
    for (rule, place, line, value) in WRITTEN_IN {
        let paths = expanded(&format!("{place}/{line}"));
        assert!(!paths.is_empty(), "there is no {place}");
        for path in paths {
            let mut template = TEMPLATE.clone();
            write_in(&mut template, &path, yaml(value));
            assert_found_out(&template, rule, &path);
        }
    }
}

#[test]
fn every_rule_has_been_broken() {
    let taken_out = TAKEN_OUT.iter().map(|(rule, ..)| *rule);
    let written_in = WRITTEN_IN.iter().map(|(rule, ..)| *rule);
    let broken: BTreeSet<&str> = taken_out.chain(written_in).collect();
    assert_eq!(broken, RULES.map(|(name, _)| name).into());
}

/// Holds that this rule complains of the place, and no other rule of anything.
fn assert_found_out(template: &Template, wanted: &str, path: &[String]) {
    for (name, rule) in RULES {
        let mut complaints = Complaints::default();
        rule(template, &mut complaints);
        let complaints = complaints.0;
        if name == wanted {
            let mut places = path[..2].iter();
            let named = places.any(|place| complaints.iter().any(|said| said.contains(place)));
            assert!(named, "{path:?}: {name}: {complaints:?}");
        } else if name != "versions" {
            // A parameter that a place does not refer to any more is one too many in a version's description.
            assert!(complaints.is_empty(), "{path:?}: {name}: {complaints:?}");
        }
    }
}

/// Every path that a pattern stands for; the last step need not be there.
fn expanded(pattern: &str) -> Vec<Vec<String>> {
    pattern.split('/').fold(vec![Vec::new()], |paths, step| {
        let longer = paths.into_iter().flat_map(|path| {
            let steps = steps(
                path.iter()
                    .fold(&TEMPLATE.0, |node, step| inner(node, step)),
                step,
            );
            steps
                .into_iter()
                .map(move |step| [&path[..], &[step]].concat())
        });
        longer.collect()
    })
}

fn steps(node: &Yaml, step: &str) -> Vec<String> {
    let kind = step
        .strip_prefix('{')
        .and_then(|step| step.strip_suffix('}'));
    match (step, kind) {
        (_, Some(kind)) => of_type(node, kind).into_iter().map(str::to_owned).collect(),
        ("*", _) => entries(node).map(|(name, _)| name.to_owned()).collect(),
        ("#", _) => {
            let list = node.as_vec().map_or(0, Vec::len);
            (0..list).map(|index| index.to_string()).collect()
        }
        _ if node.is_badvalue() => Vec::new(),
        _ => vec![step.to_owned()],
    }
}

fn inner<'a>(node: &'a Yaml, step: &str) -> &'a Yaml {
    match node.as_vec() {
        Some(list) => &list[step.parse::<usize>().unwrap()],
        None => &node[step],
    }
}

/// The mapping that a path's last step is in, and that step.
fn place<'a>(
    template: &'a mut Template,
    path: &[String],
) -> (&'a mut yaml_rust2::yaml::Hash, Yaml) {
    let (last, path) = path.split_last().unwrap();
    let node = path.iter().fold(&mut template.0, |node, step| match node {
        Yaml::Array(list) => &mut list[step.parse::<usize>().unwrap()],
        node => node
            .as_mut_hash()
            .unwrap()
            .get_mut(&Yaml::String(step.clone()))
            .unwrap(),
    });
    (node.as_mut_hash().unwrap(), Yaml::String(last.clone()))
}

/// Takes a line out, with what is below it; whether there was one.
fn take_out(template: &mut Template, path: &[String]) -> bool {
    let (mapping, line) = place(template, path);
    mapping.remove(&line).is_some()
}

fn write_in(template: &mut Template, path: &[String], value: Yaml) {
    let (mapping, line) = place(template, path);
    mapping.insert(line, value);
}
