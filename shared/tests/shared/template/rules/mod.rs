//! What a deployment has to be like, whatever its code does.
//!
//! Every rule of ours about the template is one of these and stands nowhere else; `scripts/check_template.py` runs
//! the tools that know what is right for everybody. They are here because here they are tests like any other,
//! which need cargo alone, and because the template as it is written says all of it: what SAM would add by itself
//! (roles with rights of its own, an API without limits) they do not let it add.
//!
//! That each of them finds what it is for is held by `mutations.rs`.

mod access;
mod functions;
mod queues;
mod tables;

use std::collections::BTreeSet;

use yaml_rust2::Yaml;

use self::{
    access::{queue_policies, rights, roles, secrets},
    functions::{logging, recursion, tracing, versions, vpc},
    queues::{
        batches, encryption, message_size, outages, partial_batches, redrive, retention,
        visibility, workers,
    },
    tables::tables,
};
use super::{TEMPLATE, Template, entries, environments::refused_by, of_type, resource, texts};

/// A rule's name, and the rule.
type Rule = (&'static str, fn(&Template, &mut Complaints));

pub(super) const RULES: [Rule; 25] = [
    ("partial batches", partial_batches),
    ("visibility", visibility),
    ("batches", batches),
    ("workers", workers),
    ("redrive", redrive),
    ("outages", outages),
    ("retention", retention),
    ("message size", message_size),
    ("encryption", encryption),
    ("tables", tables),
    ("rights", rights),
    ("roles", roles),
    ("queue policies", queue_policies),
    ("secrets", secrets),
    ("recursion", recursion),
    ("tracing", tracing),
    ("versions", versions),
    ("vpc", vpc),
    ("logging", logging),
    ("log groups", log_groups),
    ("dashboard", dashboard),
    ("types", types),
    ("throttling", throttling),
    ("architecture", architecture),
    ("assertions", assertions),
];

const FUNCTION: &str = "AWS::Serverless::Function";

/// What the rules find wrong: the resource, and what is wrong with it.
#[derive(Default)]
pub(super) struct Complaints(pub(super) Vec<String>);

impl Complaints {
    fn unless(&mut self, holds: bool, resource: &str, complaint: &str) {
        if !holds {
            self.0.push(format!("{resource}: {complaint}"));
        }
    }
}

#[test]
fn the_template_keeps_every_rule() {
    for (name, rule) in RULES {
        let mut complaints = Complaints::default();
        rule(&TEMPLATE, &mut complaints);
        assert!(complaints.0.is_empty(), "{name}: {:?}", complaints.0);
    }
}

/// Everything that logs does so in a group of the template's, and no group keeps its lines for ever.
fn log_groups(template: &Template, complaints: &mut Complaints) {
    let groups = template.resources("AWS::Logs::LogGroup");
    for group in &groups {
        let days = &template.properties(group)["RetentionInDays"];
        complaints.unless(
            is_number(template, days),
            group,
            "it keeps its lines for ever",
        );
    }
    let of_functions = template.resources(FUNCTION).into_iter();
    let of_functions = of_functions.map(|name| {
        (
            name,
            &template.properties(name)["LoggingConfig"]["LogGroup"],
        )
    });
    let of_apis = apis(template).into_iter();
    let of_apis = of_apis.map(|name| {
        (
            name,
            &template.properties(name)["AccessLogSettings"]["DestinationArn"],
        )
    });
    for (name, group) in of_functions.chain(of_apis.clone()) {
        let group = group.as_str().map(resource);
        let known = group.is_some_and(|group| groups.contains(&group));
        complaints.unless(
            known,
            name,
            "it logs into a group that keeps its lines for ever",
        );
    }
    // Access logs into another group take room in a policy of 5,120 characters that all APIs of an account share.
    for group in of_apis.filter_map(|(_, group)| group.as_str()) {
        let group = resource(group);
        let name = template.properties(group)["LogGroupName"].as_str();
        let vended = name.is_some_and(|name| name.starts_with("/aws/vendedlogs/"));
        complaints.unless(vended, group, "access logs outside of /aws/vendedlogs/");
    }
}

/// The types of what is deployed. Another one may give rights (a policy of a queue, a bus, a table, a function) or let
/// requests in where no rule looks: whoever adds one teaches the rules about it.
const TYPES: [&str; 14] = [
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::Function",
    "AWS::Serverless::HttpApi",
];

fn types(template: &Template, complaints: &mut Complaints) {
    for (name, described) in entries(&template["Resources"]) {
        let kind = described["Type"].as_str().unwrap_or("none");
        complaints.unless(
            TYPES.contains(&kind),
            name,
            &format!("of a type that no rule knows: {kind}"),
        );
    }
    complaints.unless(apis(template) == ["Api"], "Api", "not the only API");
}

/// Dashboards are global: those of two regions need two names.
fn dashboard(template: &Template, complaints: &mut Complaints) {
    for dashboard in template.resources("AWS::CloudWatch::Dashboard") {
        let name = template.properties(dashboard)["DashboardName"].as_str();
        let regional = name == Some("${AWS::StackName}-${AWS::Region}");
        complaints.unless(regional, dashboard, "another region's has its name");
    }
}

/// All routes are of an API that limits them. SAM makes one without limits for a route that names none. Those that
/// publish have limits of their own: whoever has no token can use up the others.
fn throttling(template: &Template, complaints: &mut Complaints) {
    let apis = apis(template);
    let routes: Vec<_> = template
        .resources(FUNCTION)
        .into_iter()
        .flat_map(|function| {
            let events = &template.properties(function)["Events"];
            let routes = of_type(events, "HttpApi").into_iter();
            routes.map(move |route| (function, &events[route]["Properties"]))
        })
        .collect();
    let published = routes.iter().filter_map(|(_, route)| {
        let (method, path) = (route["Method"].as_str()?, route["Path"].as_str()?);
        Some(format!("{method} {path}"))
    });
    let published: BTreeSet<_> = published.collect();
    for api in &apis {
        let properties = template.properties(api);
        let defaults = &properties["DefaultRouteSettings"];
        let of_routes = &properties["RouteSettings"];
        let own: BTreeSet<_> = entries(of_routes).map(|(key, _)| key.to_owned()).collect();
        complaints.unless(
            own == published,
            api,
            "limits of routes that are not those that publish",
        );
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            let limited = is_number(template, &defaults[limit]);
            complaints.unless(limited, api, &format!("no {limit}"));
            for (key, settings) in entries(of_routes) {
                let own =
                    is_number(template, &settings[limit]) && settings[limit] != defaults[limit];
                complaints.unless(own, api, &format!("{key} has no {limit} of its own"));
            }
        }
    }
    for (function, route) in routes {
        let api = route["ApiId"].as_str();
        let limited = api.is_some_and(|api| apis.contains(&api));
        let alike = route["RouteSettings"].is_badvalue();
        complaints.unless(limited && alike, function, "a route without limits");
    }
}

fn architecture(template: &Template, complaints: &mut Complaints) {
    let of_all = texts(&template["Globals"]["Function"]["Architectures"]);
    complaints.unless(
        of_all == ["Architecture"],
        "Globals",
        "the architecture is no parameter",
    );
    let allowed = texts(&template["Parameters"]["Architecture"]["AllowedValues"]);
    let both = allowed == ["arm64", "x86_64"];
    complaints.unless(both, "Architecture", "not each of the two architectures");
    for function in template.resources(FUNCTION) {
        let own = &template.properties(function)["Architectures"];
        complaints.unless(own.is_badvalue(), function, "an architecture of its own");
    }
}

/// What belongs together is asked for together, before anything is made.
fn assertions(template: &Template, complaints: &mut Complaints) {
    let domain = ("DomainName", "hooks.example.com");
    let certificate = (
        "CertificateArn",
        "arn:aws:acm:eu-central-1:123456789012:certificate/1",
    );
    let prod = ("Environment", "prod");
    let subnets = ("SubnetIds", "subnet-0123456789abcdef0");
    let security_group = ("SecurityGroupId", "sg-0123456789abcdef0");
    let cases: [(&[_], Option<&str>); 9] = [
        (&[], None),
        (&[prod], Some("AlarmsOfProdAreMailed")),
        (&[prod, ("AlarmEmail", "ops@example.com")], None),
        (&[domain], Some("DomainHasCertificate")),
        (&[certificate], Some("CertificateHasDomain")),
        (&[domain, certificate], None),
        (&[subnets], Some("SubnetsHaveSecurityGroup")),
        (&[security_group], Some("SecurityGroupHasSubnets")),
        (&[subnets, security_group], None),
    ];
    for (name, rule) in entries(&template["Rules"]) {
        let said = &rule["Assertions"][0]["AssertDescription"];
        complaints.unless(
            said.as_str().is_some(),
            name,
            "it does not say what is missing",
        );
    }
    for (given, wanted) in cases {
        let refused = refused_by(template, given);
        let as_wanted = refused == Vec::from_iter(wanted);
        let which = wanted.unwrap_or("Rules");
        complaints.unless(
            as_wanted,
            which,
            &format!("{given:?} is refused by {refused:?}"),
        );
    }
}

fn apis(template: &Template) -> Vec<&str> {
    template.resources("AWS::Serverless::HttpApi")
}

/// Whether a value is `!If [condition, …]`, with these two to choose from.
fn is_choice(value: &Yaml, condition: &str, chosen: &Yaml, otherwise: &Yaml) -> bool {
    let parts = value.as_vec().map(Vec::as_slice);
    parts.is_some_and(|parts| {
        matches!(parts, [known, first, second]
            if known.as_str() == Some(condition) && first == chosen && second == otherwise)
    })
}

/// Whether a condition is `!Equals [!Ref parameter, value]`.
fn is_equality(condition: &Yaml, parameter: &str, value: &str) -> bool {
    texts_of(condition).is_some_and(|parts| parts == [parameter, value])
}

/// The texts of a list that has nothing else.
fn texts_of(list: &Yaml) -> Option<Vec<&str>> {
    list.as_vec()?.iter().map(Yaml::as_str).collect()
}

/// What `!Ref` refers to where a property is to be as if it was not there.
const NO_VALUE: &str = "AWS::NoValue";

/// A number above 0, or a parameter that can only be one.
fn is_number(template: &Template, value: &Yaml) -> bool {
    if let Some(number) = value.as_i64() {
        return number > 0;
    }
    let parameter = &template["Parameters"][value.as_str().unwrap_or_default()];
    let least = [&parameter["MinValue"], &parameter["AllowedValues"][0]];
    let least = least.iter().find_map(|least| least.as_i64());
    parameter["Type"].as_str() == Some("Number") && least.is_some_and(|least| least > 0)
}
