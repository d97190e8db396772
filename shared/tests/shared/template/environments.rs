//! What a deployment is given: the parameters against the code that reads them, and samconfig.toml against
//! the parameters.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, string::string_regex};
use regex::Regex;
use shared::{deliver::schedule::RetrySchedule, store::Retention};
use toml::{Table, Value};
use tracing_subscriber::filter::Targets;
use yaml_rust2::Yaml;

use super::{TEMPLATE, Template, entries, number, read, text};

/// The deployments of samconfig.toml.
const ENVIRONMENTS: [&str; 4] = ["default", "dev", "staging", "prod"];

/// Its environment for `sam local`, which is none.
const LOCAL: &str = "local";

/// The assertions that would refuse a deployment which is given these values, and for the other parameters
/// nothing.
pub(super) fn refused_by<'a>(template: &'a Template, given: &[(&str, &str)]) -> Vec<&'a str> {
    let defaults = entries(&template["Parameters"]);
    let defaults = defaults.map(|(name, parameter)| (name, plain(&parameter["Default"])));
    let mut values: BTreeMap<&str, String> = defaults.collect();
    values.extend(
        given
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let broken = entries(&template["Rules"]).filter(|(_, rule)| {
        let mut asserted = rule["Assertions"].as_vec().into_iter().flatten();
        holds(&rule["RuleCondition"], &values)
            && !asserted.all(|assertion| holds(&assertion["Assert"], &values))
    });
    broken.map(|(name, _)| name).collect()
}

/// Whether a condition holds: `!Equals [!Ref parameter, value]`, or `!Not` of one, or none at all.
fn holds(condition: &Yaml, values: &BTreeMap<&str, String>) -> bool {
    match condition.as_vec().map(Vec::as_slice) {
        None => true,
        Some([condition]) => !holds(condition, values),
        Some([parameter, value]) => values[text(parameter)] == text(value),
        Some(_) => panic!("{condition:?}"),
    }
}

/// A number or a text, as a text.
fn plain(value: &Yaml) -> String {
    let number = value.as_i64().map(|number| number.to_string());
    number.unwrap_or_else(|| text(value).to_owned())
}

/// Whether a parameter takes a value.
fn takes(parameter: &Yaml, value: &str) -> bool {
    let listed = parameter["AllowedValues"].as_vec();
    let listed = listed.is_none_or(|allowed| allowed.iter().any(|one| plain(one) == value));
    let pattern = parameter["AllowedPattern"].as_str();
    let matches = pattern.is_none_or(|pattern| {
        let pattern = Regex::new(&format!("^(?:{pattern})$")).unwrap();
        pattern.is_match(value)
    });
    let in_range = text(&parameter["Type"]) != "Number"
        || value.parse::<i64>().is_ok_and(|value| {
            let within = |bound: &str, or: i64| parameter[bound].as_i64().unwrap_or(or);
            (within("MinValue", i64::MIN)..=within("MaxValue", i64::MAX)).contains(&value)
        });
    let short = parameter["MaxLength"].as_i64();
    let short =
        short.is_none_or(|most| i64::try_from(value.len()).is_ok_and(|length| length <= most));
    listed && matches && in_range && short
}

fn parameter(name: &str) -> &'static Yaml {
    &TEMPLATE["Parameters"][name]
}

#[test]
fn every_default_is_a_value_that_its_parameter_takes() {
    for (name, parameter) in entries(&TEMPLATE["Parameters"]) {
        assert!(takes(parameter, &plain(&parameter["Default"])), "{name}");
    }
}

/// Else it would be asked for and change nothing.
#[test]
fn every_parameter_is_used() {
    let template = read("template.yaml");
    for (name, _) in entries(&TEMPLATE["Parameters"]) {
        let places = [format!("!Ref {name}"), format!("${{{name}}}")];
        assert!(
            places.iter().any(|place| template.contains(place)),
            "{name}"
        );
    }
}

#[test]
fn the_defaults_are_those_of_the_code() {
    let schedule = plain(&parameter("RetrySchedule")["Default"]);
    assert_eq!(schedule, RetrySchedule::DEFAULT);
    let days = plain(&parameter("FailedDeliveryDays")["Default"]);
    assert_eq!(days, Retention::DEFAULT.to_string());
}

fn allowed(name: &str) -> impl Strategy<Value = String> + use<> {
    let pattern = text(&parameter(name)["AllowedPattern"]);
    string_regex(pattern).unwrap()
}

proptest! {
    #[test]
    fn every_schedule_that_is_allowed_is_one(text in allowed("RetrySchedule")) {
        prop_assert!(text.parse::<RetrySchedule>().is_ok());
    }

    #[test]
    fn every_level_that_is_allowed_is_one(text in allowed("LogLevel")) {
        prop_assert!(text.parse::<Targets>().is_ok());
    }
}

#[test]
fn every_retention_that_is_allowed_is_one() {
    let [least, most] =
        ["MinValue", "MaxValue"].map(|bound| number(&parameter("FailedDeliveryDays")[bound]));
    for days in [least, most] {
        assert!(days.to_string().parse::<Retention>().is_ok(), "{days}");
    }
    for days in [least - 1, most + 1] {
        assert!(days.to_string().parse::<Retention>().is_err(), "{days}");
    }
}

/// A deployment of samconfig.toml.
struct Environment {
    name: &'static str,
    /// Its commands, each with its settings.
    commands: BTreeMap<String, Table>,
}

impl Environment {
    fn text(&self, command: &str, setting: &str) -> &str {
        self.commands[command][setting].as_str().unwrap()
    }

    /// The parameters that it gives values to.
    fn given(&self) -> Vec<(&str, &str)> {
        given(&self.commands["global"])
    }
}

/// The parameters that a command's settings give values to. SAM wants quotes around a value that is nothing.
fn given(settings: &Table) -> Vec<(&str, &str)> {
    let overrides = settings["parameter_overrides"].as_array();
    let overrides = overrides.unwrap().iter();
    overrides
        .map(|given| given.as_str().unwrap().split_once('=').unwrap())
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

fn environments() -> [Environment; 4] {
    let mut config: Table = read("samconfig.toml").parse().unwrap();
    config.remove("version").unwrap();
    config.remove(LOCAL).unwrap();
    let names: BTreeSet<&str> = config.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(ENVIRONMENTS));
    ENVIRONMENTS.map(|name| Environment {
        name,
        commands: commands(&config, name),
    })
}

/// The commands of an environment, each with its settings.
fn commands(config: &Table, environment: &str) -> BTreeMap<String, Table> {
    let commands: BTreeMap<String, BTreeMap<String, Table>> =
        config[environment].clone().try_into().unwrap();
    let commands = commands.into_iter().map(|(command, mut sections)| {
        let parameters = sections.remove("parameters").unwrap();
        assert!(sections.is_empty(), "{environment}: {command}");
        (command, parameters)
    });
    commands.collect()
}

#[test]
fn the_local_environment_runs_functions_and_deploys_nothing() {
    let config: Table = read("samconfig.toml").parse().unwrap();
    let commands = commands(&config, LOCAL);
    // `sam build` and `sam deploy` find no section of theirs, nor a global one.
    let there_are: Vec<&str> = commands.keys().map(String::as_str).collect();
    let wanted = ["local_invoke", "local_start_api", "local_start_lambda"];
    assert_eq!(there_are, wanted);
    for (command, settings) in &commands {
        // What `make local-template` writes, for the processors that it builds for.
        assert_eq!(
            settings["template_file"].as_str(),
            Some(".aws-sam/local.json")
        );
        assert_eq!(given(settings), [("Architecture", "x86_64")], "{command}");
        assert_eq!(
            settings["skip_pull_image"].as_bool(),
            Some(true),
            "{command}"
        );
    }
}

#[test]
fn every_environment_gives_values_that_the_template_takes() {
    for environment in environments() {
        let given = environment.given();
        for (name, value) in &given {
            assert!(!parameter(name).is_badvalue(), "{name}");
            assert!(takes(parameter(name), value), "{name}: {value}");
        }
        let names: BTreeSet<&str> = given.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), given.len(), "{}", environment.name);
        // What is built has to be what is deployed.
        assert!(names.contains("Architecture"), "{}", environment.name);
    }
}

#[test]
fn no_environment_is_another() {
    let environments = environments();
    let stacks = environments
        .iter()
        .map(|environment| environment.text("global", "stack_name"));
    assert_eq!(stacks.collect::<BTreeSet<_>>().len(), ENVIRONMENTS.len());
    for environment in &environments {
        let stack = environment.text("global", "stack_name");
        assert_eq!(environment.text("deploy", "s3_prefix"), stack);
        let known = environment.given();
        let known = known.iter().find(|(name, _)| *name == "Environment");
        let wanted = (environment.name != "default").then_some(("Environment", environment.name));
        assert_eq!(known, wanted.as_ref(), "{}", environment.name);
    }
}

#[test]
fn all_environments_are_built_and_deployed_alike() {
    let [alike, others @ ..] = environments().map(|mut environment| {
        environment.commands.remove("global").unwrap();
        let deploy = environment.commands.get_mut("deploy").unwrap();
        deploy.remove("s3_prefix").unwrap();
        // A deployment that somebody lives on shows what it would change, and asks.
        let asks = deploy.remove("confirm_changeset");
        let wanted = Value::Boolean(environment.name != "dev");
        assert_eq!(asks, Some(wanted), "{}", environment.name);
        environment
    });
    for environment in others {
        assert_eq!(environment.commands, alike.commands, "{}", environment.name);
    }
}

#[test]
fn prod_is_refused_until_somebody_is_told_of_alarms_and_nothing_else_is() {
    for environment in environments() {
        let mut given = environment.given();
        let refused = refused_by(&TEMPLATE, &given);
        if environment.name == "prod" {
            assert_eq!(refused, ["AlarmsOfProdAreMailed"]);
            given.push(("AlarmEmail", "ops@example.com"));
            assert!(refused_by(&TEMPLATE, &given).is_empty());
        } else {
            assert!(refused.is_empty(), "{}: {refused:?}", environment.name);
        }
    }
}

/// A canary takes its time, which is well spent where others live on the deployment. Protection would keep a first
/// deployment that fails from being taken back.
#[test]
fn prod_shifts_traffic_gradually_dev_at_once_and_none_protects_its_tables_at_first() {
    for environment in environments() {
        let given: BTreeMap<_, _> = environment.given().into_iter().collect();
        let gradual = given.contains_key("GradualDeployment");
        assert_eq!(gradual, environment.name == "prod", "{}", environment.name);
        assert!(
            !given.contains_key("DeletionProtection"),
            "{}",
            environment.name
        );
    }
}

#[test]
fn the_readme_has_every_parameter_with_its_default() {
    let readme = read("README.md");
    let (_, table) = readme
        .split_once("\n| parameter | unless given | |\n")
        .unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let described = rows.map(|row| {
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, name, default, what, _] = cells[..] else {
            panic!("{row}");
        };
        assert!(!what.is_empty(), "{row}");
        (name.to_owned(), default.to_owned())
    });
    let there_are = entries(&TEMPLATE["Parameters"]);
    let there_are =
        there_are.map(|(name, parameter)| (name.to_owned(), plain(&parameter["Default"])));
    assert_eq!(described.collect::<Vec<_>>(), there_are.collect::<Vec<_>>());
}
