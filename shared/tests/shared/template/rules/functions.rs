//! How functions are invoked, observed and connected.

use std::collections::BTreeSet;

use yaml_rust2::Yaml;

use super::{
    Complaints, FUNCTION, NO_VALUE,
    access::{TRACES, attached, has_network_interfaces},
    is_equality, texts_of,
};
use crate::template::{Template, entries, texts};

/// The most characters of a version's description (Lambda).
const DESCRIPTION: usize = 256;

/// Lambda stops a chain of more than about 16 invocations of a function through a queue. Functions that send to the
/// queue that invokes them say that they mean it, and no others.
pub(super) fn recursion(template: &Template, complaints: &mut Complaints) {
    for worker in template.workers() {
        let properties = template.properties(worker.function);
        let mut variables = entries(&properties["Environment"]["Variables"]);
        let invokes_itself = variables.any(|(_, value)| value.as_str() == Some(worker.queue));
        let said = properties["RecursiveLoop"].as_str();
        let as_it_is = said == invokes_itself.then_some("Allow");
        complaints.unless(
            as_it_is,
            worker.function,
            "RecursiveLoop is not what its queue needs",
        );
    }
}

/// Traces cost more than deliveries do at a low rate: only who asks for them has them, and the right to send them.
pub(super) fn tracing(template: &Template, complaints: &mut Complaints) {
    let parameter = &template["Parameters"]["Tracing"];
    let off = parameter["Default"].as_str() == Some("PassThrough");
    complaints.unless(off, "Tracing", "on by default");
    let condition = &template["Conditions"]["Traces"];
    let means = is_equality(condition, "Tracing", "Active");
    complaints.unless(means, "Traces", "not what Tracing says");
    let of_all = template["Globals"]["Function"]["Tracing"].as_str();
    complaints.unless(
        of_all == Some("Tracing"),
        "Globals",
        "no parameter says whether it traces",
    );
    for function in template.resources(FUNCTION) {
        let own = &template.properties(function)["Tracing"];
        complaints.unless(own.is_badvalue(), function, "tracing of its own");
        let traces = attached(template, function, "Traces", TRACES);
        complaints.unless(
            traces,
            &format!("{function}Role"),
            "it may not send traces, or always may",
        );
    }
}

/// Lambda's own lines are JSON, so that their level counts, and ours are dropped by nobody but ourselves.
pub(super) fn logging(template: &Template, complaints: &mut Complaints) {
    let config = &template["Globals"]["Function"]["LoggingConfig"];
    for (setting, wanted) in [
        ("LogFormat", "JSON"),
        ("SystemLogLevel", "SystemLogLevel"),
        ("ApplicationLogLevel", "TRACE"),
    ] {
        let as_wanted = config[setting].as_str() == Some(wanted);
        complaints.unless(as_wanted, "Globals", &format!("{setting} is not {wanted}"));
    }
    for function in template.resources(FUNCTION) {
        let own = entries(&template.properties(function)["LoggingConfig"]);
        let only_group = own
            .map(|(setting, _)| setting)
            .all(|setting| setting == "LogGroup");
        complaints.unless(only_group, function, "logging of its own");
    }
    let parameter = &template["Parameters"]["SystemLogLevel"];
    let quiet = parameter["Default"].as_str() == Some("WARN");
    complaints.unless(
        quiet,
        "SystemLogLevel",
        "lines for each invocation by default",
    );
}

/// Functions that call endpoints are in the VPC that parameters name, if they name one, and the others are not.
pub(super) fn vpc(template: &Template, complaints: &mut Complaints) {
    let condition = &template["Conditions"]["InVpc"][0];
    let named = is_equality(condition, "SubnetIds", "");
    complaints.unless(named, "InVpc", "not when SubnetIds is given");
    for function in template.resources(FUNCTION) {
        let properties = template.properties(function);
        let calls = !properties["Environment"]["Variables"]["ALLOW_TARGETS"].is_badvalue();
        let config = &properties["VpcConfig"];
        let as_wanted = if calls {
            let parts = config.as_vec().map(Vec::as_slice);
            parts.is_some_and(|parts| {
                matches!(parts, [condition, vpc, otherwise]
                    if condition.as_str() == Some("InVpc")
                        && texts_of(&vpc["SubnetIds"]) == Some(vec![",", "SubnetIds"])
                        && texts(&vpc["SecurityGroupIds"]) == ["SecurityGroupId"]
                        && otherwise.as_str() == Some(NO_VALUE))
            })
        } else {
            config.is_badvalue()
        };
        complaints.unless(
            as_wanted,
            function,
            "not in the VPC that parameters name, or needlessly",
        );
        let may = has_network_interfaces(template, function);
        complaints.unless(
            may == calls,
            &format!("{function}Role"),
            "it may not be in a VPC, or its code may as well",
        );
    }
}

/// What is deployed is a version behind an alias, which traffic is shifted to as a parameter says, and no further when
/// invocations of the new versions fail. The parameters that a version copies are in its description: without one of them a change of its value
/// would make no new version, and have no effect; with one too many it would ask Lambda for a version that there is.
pub(super) fn versions(template: &Template, complaints: &mut Complaints) {
    let of_all = &template["Globals"]["Function"];
    let published = of_all["AutoPublishAlias"].as_str() == Some("live")
        && of_all["AutoPublishAliasAllProperties"].as_bool() == Some(true);
    complaints.unless(published, "Globals", "no version for each change");
    let preference = &of_all["DeploymentPreference"];
    let shifted = ["Enabled", "Type"].map(|setting| preference[setting].as_str());
    let by_parameter = shifted == [Some("GradualDeployment"); 2];
    complaints.unless(
        by_parameter,
        "Globals",
        "no parameter says how traffic is shifted",
    );
    let off = template["Parameters"]["GradualDeployment"]["Default"].as_str() == Some("");
    complaints.unless(off, "GradualDeployment", "on by default");
    let watched = texts(&preference["Alarms"]) == ["NewVersionAlarm"];
    complaints.unless(
        watched,
        "Globals",
        "traffic is shifted whatever becomes of it",
    );
    let metrics = &template.properties("NewVersionAlarm")["Metrics"];
    let metrics = metrics.as_vec().into_iter().flatten();
    let dimensions =
        metrics.filter_map(|metric| metric["MetricStat"]["Metric"]["Dimensions"].as_vec());
    let versions: Vec<_> = dimensions
        .flatten()
        .filter(|dimension| dimension["Name"].as_str() == Some("ExecutedVersion"))
        .filter_map(|dimension| dimension["Value"].as_str())
        .collect();
    let functions = template.resources(FUNCTION).into_iter();
    let wanted: Vec<_> = functions
        .map(|function| format!("{function}.Version.Version"))
        .collect();
    complaints.unless(
        versions == wanted,
        "NewVersionAlarm",
        "not of each function's new version",
    );

    for function in template.resources(FUNCTION) {
        let properties = template.properties(function);
        for setting in [
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "DeploymentPreference",
        ] {
            let of_all = properties[setting].is_badvalue();
            complaints.unless(of_all, function, &format!("{setting} of its own"));
        }
        let description = properties["VersionDescription"]
            .as_str()
            .unwrap_or_default();
        let described = named(template, description);
        let copied = copied(template, of_all).chain(copied(template, properties));
        let copied: BTreeSet<_> = copied.collect();
        let which = format!("{function}, {described:?}");
        let exactly = copied == described;
        let complaint = format!("its version's description does not name exactly {copied:?}");
        complaints.unless(exactly, &which, &complaint);
        let longest: Option<usize> = described.iter().map(|name| longest(template, name)).sum();
        let spaces = described.len().saturating_sub(1);
        let fits = longest.is_some_and(|longest| longest + spaces <= DESCRIPTION);
        complaints.unless(fits, &which, "its version's description may be too long");
    }
}

/// The parameters that a text such as `${A} ${B}` names.
fn named<'a>(template: &Template, text: &'a str) -> BTreeSet<&'a str> {
    let names = text.split("${").filter_map(|part| part.split_once('}'));
    let names = names.map(|(name, _)| name);
    names
        .filter(|name| !template["Parameters"][*name].is_badvalue())
        .collect()
}

/// The parameters whose values a version copies: all that a function's settings refer to, but for what is no part of a
/// version, and for the architecture, which comes with other code.
fn copied<'a>(template: &'a Template, properties: &'a Yaml) -> impl Iterator<Item = &'a str> {
    const OF_NO_VERSION: [&str; 5] = [
        "Events",
        "ReservedConcurrentExecutions",
        "DeploymentPreference",
        "VersionDescription",
        "Architectures",
    ];
    let settings = entries(properties).filter(|(name, _)| !OF_NO_VERSION.contains(name));
    let texts = settings.flat_map(|(_, value)| leaves(value));
    texts.flat_map(|text| parameters(template, text))
}

/// The parameters that a text refers to: by their names, within it, or by a condition that it names.
fn parameters<'a>(template: &'a Template, text: &'a str) -> BTreeSet<&'a str> {
    let is_parameter = |name: &&str| !template["Parameters"][*name].is_badvalue();
    let mut parameters = named(template, text);
    parameters.extend([text].into_iter().filter(is_parameter));
    let condition = leaves(&template["Conditions"][text]).into_iter();
    parameters.extend(condition.filter(is_parameter));
    parameters
}

/// All texts in a value.
fn leaves(value: &Yaml) -> Vec<&str> {
    match value {
        Yaml::String(text) => vec![text],
        Yaml::Array(list) => list.iter().flat_map(leaves).collect(),
        Yaml::Hash(_) => entries(value)
            .flat_map(|(_, value)| leaves(value))
            .collect(),
        _ => Vec::new(),
    }
}

/// The most characters of a parameter's value, if there is a bound.
fn longest(template: &Template, parameter: &str) -> Option<usize> {
    let parameter = &template["Parameters"][parameter];
    if let Some(most) = parameter["MaxLength"].as_i64() {
        return usize::try_from(most).ok();
    }
    if let Some(most) = parameter["MaxValue"].as_i64() {
        return Some(most.to_string().len());
    }
    let values = texts(&parameter["AllowedValues"]);
    values.iter().map(|value| value.len()).max()
}
