//! What watches a deployment: the template's alarms and dashboard name metrics that there are, and the
//! operator's guide says what to do about each alarm and what each metric is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use shared::metrics::{Count, Measure};
use yaml_rust2::Yaml;

use crate::template::{TEMPLATE, number, read, root, text};

const GUIDE: &str = "docs/OPERATIONS.md";

/// What metrics of our own are in: the stack's name.
const OURS: &str = "AWS::StackName";

/// The metrics of AWS that are used, by namespace.
const OF_AWS: [(&str, &[&str]); 3] = [
    ("AWS/ApiGateway", &["5xx", "Count"]),
    (
        "AWS/SQS",
        &[
            "ApproximateAgeOfOldestMessage",
            "ApproximateAgeOfOldestMessageInQuietGroups",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "ApproximateNumberOfMessagesVisibleInQuietGroups",
        ],
    ),
    (
        "AWS/Lambda",
        &["ConcurrentExecutions", "Errors", "Invocations", "Throttles"],
    ),
];

/// The text of a function's own code.
fn sources(function: &str) -> String {
    text_below(&root().join(format!("functions/{function}/src")))
}

fn text_below(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    let entries = fs::read_dir(path).unwrap();
    entries
        .map(|entry| text_below(&entry.unwrap().path()))
        .collect()
}

/// A metric's unit, and the functions that report it.
type Reported = (&'static str, BTreeSet<&'static str>);

/// The metrics that the code emits.
fn emitted() -> BTreeMap<&'static str, Reported> {
    let of_count = |what: &Count| match what {
        Count::RequestsAnswered | Count::RequestsRefused | Count::RequestsFailed => {
            BTreeSet::from(["ingest", "manage"])
        }
        Count::EventsAccepted | Count::EventsPutAside | Count::JobsQueued => {
            BTreeSet::from(["ingest"])
        }
        Count::AttemptsDelivered
        | Count::AttemptsRejected
        | Count::AttemptsTimedOut
        | Count::AttemptsBroken
        | Count::AttemptsUnreachable
        | Count::AttemptsForbidden
        | Count::AttemptsLost
        | Count::CircuitsOpened
        | Count::DeliveriesGivenUp => BTreeSet::from(["deliver"]),
        Count::DeadLettersRecorded | Count::DeadLettersFailed => BTreeSet::from(["errors"]),
    };
    let of_measure = |what: &Measure| match what {
        Measure::DeliveryLatency | Measure::OldestJobAge => BTreeSet::from(["deliver"]),
    };
    let counts = Count::ALL
        .iter()
        .map(|what| (what.name(), ("Count", of_count(what))));
    let measures = Measure::ALL
        .iter()
        .map(|what| (what.name(), ("Milliseconds", of_measure(what))));
    counts.chain(measures).collect()
}

/// The names that the functions give themselves in their metrics.
fn functions() -> BTreeSet<String> {
    let functions = TEMPLATE.resources("AWS::Serverless::Function").into_iter();
    let named = functions.map(|function| {
        let code = text(&TEMPLATE.properties(function)["CodeUri"]);
        let main = read(&format!("{code}/src/main.rs"));
        let (_, rest) = main.split_once("Reporter::new(").unwrap();
        let (_, rest) = rest.split_once('"').unwrap();
        let (name, _) = rest.split_once('"').unwrap();
        assert_eq!(name, function.to_lowercase());
        name.to_owned()
    });
    named.collect()
}

/// Holds that there is such a metric, with this dimension.
fn assert_known(namespace: &str, name: &str, dimension: (&str, &str)) {
    let (key, value) = dimension;
    if namespace == OURS {
        assert_eq!(key, "Function", "{name}");
        let (_, reporters) = &emitted()[name];
        assert!(reporters.contains(value), "{name}: {value}");
        return;
    }
    let known = OF_AWS.iter().find(|(known, _)| *known == namespace);
    let (_, names) = known.unwrap_or_else(|| panic!("{namespace}"));
    assert!(names.contains(&name), "{namespace}: {name}");
    let (wanted_key, resource) = match namespace {
        "AWS/SQS" => ("QueueName", value.strip_suffix(".QueueName").unwrap()),
        "AWS/ApiGateway" => ("ApiId", value),
        _ => ("FunctionName", value),
    };
    assert_eq!(key, wanted_key, "{name}");
    assert!(!TEMPLATE.properties(resource).is_badvalue(), "{resource}");
}

/// The words of a text in which a word may have digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.split(is_between).filter(|word| !word.is_empty())
}

/// The ids in an alarm's expression: unlike its functions they begin with a small letter.
fn ids(expression: &str) -> BTreeSet<&str> {
    let is_id = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    words(expression).filter(is_id).collect()
}

fn alarms() -> Vec<(&'static str, &'static Yaml)> {
    let alarms = TEMPLATE.resources("AWS::CloudWatch::Alarm").into_iter();
    let alarms = alarms.map(|alarm| {
        let properties = TEMPLATE.properties(alarm);
        let name = text(&properties["AlarmName"]);
        (name.strip_prefix("${AWS::StackName}-").unwrap(), properties)
    });
    alarms.collect()
}

#[test]
fn each_alarm_points_to_its_entry_in_the_guide_and_each_entry_is_of_an_alarm() {
    let guide = read(GUIDE);
    let entries: BTreeMap<&str, &str> = guide
        .split("\n### Alarm ")
        .skip(1)
        .map(|entry| entry.split_once('\n').unwrap())
        .collect();
    let names: BTreeSet<&str> = alarms().iter().map(|(name, _)| *name).collect();
    assert!(names.iter().eq(entries.keys()), "{names:?}");
    for (name, alarm) in alarms() {
        let description = text(&alarm["AlarmDescription"]);
        let place = format!(" {GUIDE}#alarm-{name}");
        assert!(description.ends_with(&place), "{name}");
        // Nothing of the entries that come after it, or of the next section.
        let entry = entries[name].split("\n## ").next().unwrap();
        for part in ["**It means**", "**Look at**", "```sh\n"] {
            assert!(entry.contains(part), "{name}: {part}");
        }
    }
}

#[test]
fn each_alarm_watches_metrics_that_there_are() {
    for (name, alarm) in alarms() {
        let metrics = alarm["Metrics"].as_vec().unwrap();
        let watched: Vec<_> = metrics
            .iter()
            .map(|metric| &metric["MetricStat"]["Metric"])
            .filter(|metric| !metric.is_badvalue())
            .collect();
        // What CloudWatch allows in an alarm.
        assert!((1..=10).contains(&watched.len()), "{name}");
        for metric in watched {
            let dimensions: Vec<_> = metric["Dimensions"]
                .as_vec()
                .unwrap()
                .iter()
                .map(|dimension| (text(&dimension["Name"]), text(&dimension["Value"])))
                .collect();
            let dimension = dimensions[0];
            if dimensions.len() > 1 {
                // What Lambda counts for a version behind an alias.
                let function = dimension.1;
                let (alias, version) = (
                    format!("${{{function}}}:live"),
                    format!("{function}.Version.Version"),
                );
                let wanted = [
                    dimension,
                    ("Resource", &alias),
                    ("ExecutedVersion", &version),
                ];
                assert_eq!(dimensions, wanted, "{name}");
            }
            let [namespace, metric] = ["Namespace", "MetricName"].map(|key| text(&metric[key]));
            assert_known(namespace, metric, dimension);
        }
        // Each of them by its id, and all with the same period.
        let given = metrics[1..].iter().map(|metric| text(&metric["Id"]));
        let used = ids(text(&metrics[0]["Expression"]));
        assert_eq!(used, given.collect(), "{name}");
        let mut periods = BTreeSet::new();
        for metric in &metrics[1..] {
            assert_eq!(metric["ReturnData"].as_bool(), Some(false), "{name}");
            periods.insert(number(&metric["MetricStat"]["Period"]));
        }
        assert_eq!(periods.len(), 1, "{name}");
    }
}

#[test]
fn ids_are_whole_words() {
    let expression = "IF(FILL(i10, 0) > 0, 100 * e_1 / (visible + FILL(i10, 0)), 0)";
    assert_eq!(ids(expression), ["e_1", "i10", "visible"].into());
}

#[test]
#[should_panic(expected = "DeadLettersFailed: deliver")]
fn a_metric_of_one_function_is_none_of_another() {
    assert_known(OURS, "DeadLettersFailed", ("Function", "deliver"));
}

#[test]
fn what_a_function_counts_by_name_is_its_own() {
    for function in functions() {
        let sources = sources(&function);
        let named: BTreeSet<&str> = words(&sources).collect();
        for (name, (_, reporters)) in emitted() {
            let is_its_own = reporters.contains(function.as_str());
            assert!(is_its_own || !named.contains(name), "{name}: {function}");
        }
    }
}

#[test]
fn an_alarm_tells_whoever_wants_to_be_told_and_silence_is_no_alarm() {
    assert_eq!(text(&TEMPLATE["Parameters"]["AlarmEmail"]["Default"]), "");
    for (name, alarm) in alarms() {
        assert_eq!(text(&alarm["TreatMissingData"]), "notBreaching", "{name}");
        assert_eq!(text(&alarm["ComparisonOperator"]), "GreaterThanThreshold");
        assert!(alarm["ActionsEnabled"].is_badvalue(), "{name}");
        for actions in ["AlarmActions", "OKActions"] {
            let [condition, topic, nobody] = alarm[actions].as_vec().unwrap().as_slice() else {
                panic!("{name}: {actions} are conditional");
            };
            assert_eq!(text(condition), "TellsOfAlarms", "{name}");
            assert_eq!(text(&topic[0]), "AlarmTopic", "{name}");
            assert_eq!(text(nobody), "AWS::NoValue", "{name}");
        }
    }
}

#[test]
fn the_dashboard_shows_every_metric_of_ours_and_none_that_there_is_not() {
    let body = text(&TEMPLATE.properties("Dashboard")["DashboardBody"]);
    let body: Value = serde_json::from_str(body).unwrap();
    let widgets = body["widgets"].as_array().unwrap().iter();
    let lines = widgets.flat_map(|widget| widget["properties"]["metrics"].as_array().unwrap());
    let plain = |value: &Value| -> String {
        let value = value.as_str().unwrap();
        let reference = value.strip_prefix("${").and_then(|v| v.strip_suffix('}'));
        reference.unwrap_or(value).to_owned()
    };
    let mut shown = BTreeSet::new();
    for line in lines {
        let [namespace, name, key, value] = [0, 1, 2, 3].map(|index| plain(&line[index]));
        assert_known(&namespace, &name, (&key, &value));
        if namespace == OURS {
            shown.insert(name);
        }
    }
    assert!(shown.iter().eq(emitted().keys()), "{shown:?}");
}

#[test]
fn the_guide_says_of_each_metric_what_it_is() {
    let guide = read(GUIDE);
    let (_, table) = guide
        .split_once("\n| metric | unit | of | what it is |\n")
        .unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let described: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let [_, name, unit, of, what, _] = cells[..] else {
                panic!("{row}");
            };
            assert!(!what.is_empty(), "{row}");
            let of = of.split(", ").map(|function| function.trim_matches('`'));
            (name.trim_matches('`'), (unit, of.collect()))
        })
        .collect();
    assert_eq!(BTreeMap::from_iter(described), emitted());
}

/// One hook whose endpoint hangs makes its own messages old, and SQS hands out the others first.
#[test]
fn the_age_of_messages_is_watched_where_nobody_is_busy() {
    let (_, alarm) = alarms()
        .into_iter()
        .find(|(name, _)| *name == "oldest-job")
        .unwrap();
    let metrics = alarm["Metrics"].as_vec().unwrap().iter();
    let names = metrics.filter_map(|metric| metric["MetricStat"]["Metric"]["MetricName"].as_str());
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), 2);
    assert!(
        names.iter().all(|name| name.ends_with("InQuietGroups")),
        "{names:?}"
    );
}
