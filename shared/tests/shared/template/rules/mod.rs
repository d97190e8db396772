//! What a deployment has to be like, whatever its code does.
//!
//! Every rule of ours about the template is one of these and stands nowhere else; `scripts/check_template.py` runs
//! the tools that know what is right for everybody. They are here because here they are tests like any other,
//! which need cargo alone, and because the template as it is written says all of it: what SAM would add by itself
//! (roles with rights of its own, an API without limits) they do not let it add.
//!
//! That each of them finds what it is for is held by `mutations.rs`.

mod access;
mod queues;

use yaml_rust2::Yaml;

use self::{
    access::{rights, roles, secrets, strangers},
    queues::{batches, encryption, partial_batches, redrive, retention, visibility, workers},
};
use super::{TEMPLATE, Template, entries, environments::refused_by, of_type, resource, texts};

/// A rule's name, and the rule.
type Rule = (&'static str, fn(&Template, &mut Complaints));

pub(super) const RULES: [Rule; 16] = [
    ("partial batches", partial_batches),
    ("visibility", visibility),
    ("batches", batches),
    ("workers", workers),
    ("redrive", redrive),
    ("retention", retention),
    ("encryption", encryption),
    ("tables", tables),
    ("rights", rights),
    ("roles", roles),
    ("strangers", strangers),
    ("secrets", secrets),
    ("logs", logs),
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

fn tables(template: &Template, complaints: &mut Complaints) {
    for table in template.resources("AWS::DynamoDB::Table") {
        let resource = &template["Resources"][table];
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            let retained = resource[policy].as_str() == Some("Retain");
            complaints.unless(retained, table, &format!("no {policy} that retains it"));
        }
        let properties = &resource["Properties"];
        let recovery = &properties["PointInTimeRecoverySpecification"];
        for (switch, complaint) in [
            (
                &properties["DeletionProtectionEnabled"],
                "anybody may delete it",
            ),
            (
                &properties["SSESpecification"]["SSEEnabled"],
                "not encrypted with a key of the account",
            ),
            (&recovery["PointInTimeRecoveryEnabled"], "no way back"),
        ] {
            complaints.unless(switch.as_bool() == Some(true), table, complaint);
        }
    }
}

/// Everything that logs does so in a group of the template's, and no group keeps its lines for ever.
fn logs(template: &Template, complaints: &mut Complaints) {
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
    for (name, group) in of_functions.chain(of_apis) {
        let group = group.as_str().map(resource);
        let known = group.is_some_and(|group| groups.contains(&group));
        complaints.unless(
            known,
            name,
            "it logs into a group that keeps its lines for ever",
        );
    }
}

/// All routes are of an API that limits them. SAM makes one without limits for a route that names none.
fn throttling(template: &Template, complaints: &mut Complaints) {
    let apis = apis(template);
    for api in &apis {
        let limits = &template.properties(api)["DefaultRouteSettings"];
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            let limited = is_number(template, &limits[limit]);
            complaints.unless(limited, api, &format!("no {limit}"));
        }
    }
    for function in template.resources(FUNCTION) {
        let events = &template.properties(function)["Events"];
        for route in of_type(events, "HttpApi") {
            let route = &events[route]["Properties"];
            let api = route["ApiId"].as_str();
            let limited = api.is_some_and(|api| apis.contains(&api));
            let alike = route["RouteSettings"].is_badvalue();
            complaints.unless(limited && alike, function, "a route without limits");
        }
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
    let cases: [(&[_], Option<&str>); 6] = [
        (&[], None),
        (&[prod], Some("AlarmsOfProdAreMailed")),
        (&[prod, ("AlarmEmail", "ops@example.com")], None),
        (&[domain], Some("DomainHasCertificate")),
        (&[certificate], Some("CertificateHasDomain")),
        (&[domain, certificate], None),
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
