//! `template.yaml` makes the tables, queues and environments that the code relies on. Nothing but
//! this holds the two together: a deployment would find out at its first request.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use aws_sdk_dynamodb::types::{KeySchemaElement, TableDescription};
use emulator::{LocalAws, Storage};
use serde_json::value::RawValue;
use shared::{
    aws::OPERATION_TIMEOUT,
    catalog, config,
    model::{
        ATTEMPT_GUARD, DeadLetter, DeliveryJob, HookId, HookRef, PROBE_LEASE, QueueMessage, Scope,
    },
    store::{TableNames, create_tables},
};
use yaml_rust2::{Yaml, YamlLoader};

pub(crate) static TEMPLATE: LazyLock<Yaml> = LazyLock::new(|| {
    // The reader takes `!Ref X` for the text `X`.
    let documents = YamlLoader::load_from_str(&read("template.yaml")).unwrap();
    documents.into_iter().next().unwrap()
});

/// The calls by which a function asks for a variable, and the variable's name.
const ASKED: [(&str, &str); 12] = [
    ("HOOKS_TABLE", config::HOOKS_TABLE),
    ("HOOK_STATE_TABLE", config::HOOK_STATE_TABLE),
    ("HOOK_SAMPLES_TABLE", config::HOOK_SAMPLES_TABLE),
    ("HOOK_ERRORS_TABLE", config::HOOK_ERRORS_TABLE),
    ("IDENTITIES_TABLE", config::IDENTITIES_TABLE),
    ("CLAIMS_TABLE", config::CLAIMS_TABLE),
    ("deliveries_queue", "DELIVERIES_QUEUE_URL"),
    ("dead_letters_queue", "DEAD_LETTERS_QUEUE_URL"),
    ("dead_events_queue", "DEAD_EVENTS_QUEUE_URL"),
    ("metrics_namespace", "METRICS_NAMESPACE"),
    ("retry_schedule", "RETRY_SCHEDULE"),
    ("allow_targets", "ALLOW_TARGETS"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

pub(crate) fn text(value: &Yaml) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?}"))
}

pub(crate) fn number(value: &Yaml) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value:?}"))
}

pub(crate) fn properties(resource: &str) -> &'static Yaml {
    &TEMPLATE["Resources"][resource]["Properties"]
}

/// The names of the resources of a type.
pub(crate) fn resources(kind: &str) -> Vec<&'static str> {
    let all = TEMPLATE["Resources"].as_hash().unwrap();
    let names = all
        .iter()
        .filter(|(_, resource)| resource["Type"].as_str() == Some(kind))
        .map(|(name, _)| text(name));
    names.collect()
}

/// A key's attributes, with their roles and types.
type Keys = Vec<(String, String, String)>;

/// What a table is: its name, its keys, its indexes, what tells when its items end.
type Table = (String, Keys, BTreeMap<String, Keys>, Option<String>);

fn table_of_template(resource: &str) -> Table {
    let table = properties(resource);
    let types: BTreeMap<&str, &str> = table["AttributeDefinitions"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|attribute| {
            let (name, kind) = (&attribute["AttributeName"], &attribute["AttributeType"]);
            (text(name), text(kind))
        })
        .collect();
    let keys_of = |described: &Yaml| -> Keys {
        let schema = described["KeySchema"].as_vec().unwrap().iter();
        let keys = schema.map(|key| {
            let name = text(&key["AttributeName"]);
            let kind = types[name].to_owned();
            (name.to_owned(), text(&key["KeyType"]).to_owned(), kind)
        });
        keys.collect()
    };
    let indexes = table["GlobalSecondaryIndexes"]
        .as_vec()
        .into_iter()
        .flatten();
    let indexes = indexes.map(|index| {
        let projected = text(&index["Projection"]["ProjectionType"]);
        assert_eq!(projected, "KEYS_ONLY", "{resource}");
        (text(&index["IndexName"]).to_owned(), keys_of(index))
    });
    let (keys, indexes) = (keys_of(table), indexes.collect::<BTreeMap<_, _>>());
    // DynamoDB takes no definition of an attribute that is no key.
    let used: BTreeSet<&str> = [&keys]
        .into_iter()
        .chain(indexes.values())
        .flatten()
        .map(|(name, ..)| name.as_str())
        .collect();
    assert!(used.into_iter().eq(types.keys().copied()), "{resource}");
    let expiry = &table["TimeToLiveSpecification"];
    let expiry = expiry["Enabled"].as_bool().unwrap_or(false).then(|| {
        let attribute = text(&expiry["AttributeName"]);
        attribute.to_owned()
    });
    let name = text(&table["TableName"]).replace("${AWS::StackName}", "test");
    (name, keys, indexes, expiry)
}

async fn table_of_code(aws: &LocalAws, name: &str) -> Table {
    let client = aws.dynamodb();
    let described = client.describe_table().table_name(name).send().await;
    let table: TableDescription = described.unwrap().table.unwrap();
    let keys_of = |schema: &[KeySchemaElement]| -> Keys {
        let keys = schema.iter().map(|key| {
            let name = key.attribute_name();
            let mut definitions = table.attribute_definitions().iter();
            let definition = definitions.find(|definition| definition.attribute_name() == name);
            (
                name.to_owned(),
                key.key_type().as_str().to_owned(),
                definition.unwrap().attribute_type().as_str().to_owned(),
            )
        });
        keys.collect()
    };
    let indexes = table.global_secondary_indexes().iter();
    let indexes = indexes.map(|index| {
        let name = index.index_name().unwrap();
        (name.to_owned(), keys_of(index.key_schema()))
    });
    let (keys, indexes) = (keys_of(table.key_schema()), indexes.collect());
    let expiry = client.describe_time_to_live().table_name(name).send().await;
    let expiry = expiry.unwrap().time_to_live_description;
    let expiry = expiry.and_then(|expiry| expiry.attribute_name);
    (name.to_owned(), keys, indexes, expiry)
}

#[tokio::test]
async fn the_templates_tables_are_those_of_the_code() {
    let aws = LocalAws::start(&Storage::Memory).await.unwrap();
    let names = TableNames::of_stack("test");
    create_tables(&aws.dynamodb(), &names).await.unwrap();
    // A second time changes nothing.
    create_tables(&aws.dynamodb(), &names).await.unwrap();

    let TableNames {
        hooks,
        hook_state,
        hook_samples,
        hook_errors,
        identities,
        claims,
    } = names;
    let mut of_code = Vec::new();
    let of_them = [
        hooks,
        hook_state,
        hook_samples,
        hook_errors,
        identities,
        claims,
    ];
    for name in of_them {
        of_code.push(table_of_code(&aws, &name).await);
    }
    of_code.sort_unstable();
    let of_template = resources("AWS::DynamoDB::Table");
    let mut of_template: Vec<Table> = of_template.into_iter().map(table_of_template).collect();
    of_template.sort_unstable();
    assert_eq!(of_template, of_code);
}

#[test]
fn every_function_is_given_the_variables_that_it_asks_for_and_no_other() {
    let functions = resources("AWS::Serverless::Function");
    assert_eq!(functions.len(), 4);
    for function in functions {
        let code = text(&properties(function)["CodeUri"]);
        let main = read(&format!("{code}/src/main.rs"));
        let asked: BTreeSet<&str> = main
            .split("config::")
            .skip(1)
            .map(|rest| {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                &rest[..end.unwrap_or(rest.len())]
            })
            // Takes the names of tables, which stand beside it.
            .filter(|call| *call != "tables")
            .map(|call| {
                let known = ASKED.iter().find(|(known, _)| *known == call);
                known.unwrap_or_else(|| panic!("{function}: {call}")).1
            })
            .collect();
        let given = &properties(function)["Environment"]["Variables"];
        let given: BTreeSet<&str> = given.as_hash().unwrap().keys().map(text).collect();
        // lambda_http reads this one itself.
        let ours = given
            .into_iter()
            .filter(|name| *name != "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH");
        assert_eq!(ours.collect::<BTreeSet<_>>(), asked, "{function}");
    }
}

#[test]
fn what_ingest_serves_is_routed_to_it_and_everything_else_to_manage() {
    let routes = |function: &str| -> BTreeSet<Option<&str>> {
        let events = properties(function)["Events"].as_hash().unwrap();
        let routes = events
            .values()
            .filter(|event| text(&event["Type"]) == "HttpApi");
        routes
            .map(|event| event["Properties"]["Path"].as_str())
            .collect()
    };
    let code = read("functions/ingest/src/lib.rs");
    let served = code.split("path = \"").skip(1);
    let served: BTreeSet<_> = served.map(|rest| rest.split('"').next()).collect();
    assert!(!served.is_empty());
    assert_eq!(routes("Ingest"), served);
    // No path: every request that no other route takes.
    assert_eq!(routes("Manage"), BTreeSet::from([None]));
}

/// The functions that a queue feeds: each with the queue and the mapping between them.
fn workers() -> Vec<(&'static str, &'static str, &'static Yaml)> {
    let functions = resources("AWS::Serverless::Function").into_iter();
    let mappings = functions.flat_map(|function| {
        let events = properties(function)["Events"].as_hash().unwrap();
        let mappings = events
            .values()
            .filter(|event| text(&event["Type"]) == "SQS");
        mappings.map(move |event| (function, &event["Properties"]))
    });
    mappings
        .map(|(function, mapping)| {
            let queue = text(&mapping["Queue"]).strip_suffix(".Arn").unwrap();
            (function, queue, mapping)
        })
        .collect()
}

#[test]
fn no_message_is_handed_out_again_while_its_worker_may_still_be_at_it() {
    let workers = workers();
    let pairs: Vec<_> = workers.iter().map(|(f, q, _)| (*f, *q)).collect();
    let wanted = [
        ("Ingest", "EventsQueue"),
        ("Deliver", "DeliveriesQueue"),
        ("Errors", "DeadLettersQueue"),
    ];
    assert_eq!(pairs, wanted);
    for (function, queue, mapping) in workers {
        let timeout_s = number(&properties(function)["Timeout"]);
        let hidden_s = number(&properties(queue)["VisibilityTimeout"]);
        assert!(hidden_s >= 6 * timeout_s, "{function}");
        let answers = mapping["FunctionResponseTypes"].as_vec().unwrap();
        assert_eq!(text(&answers[0]), "ReportBatchItemFailures", "{function}");
    }
}

/// The queues from which SQS moves what comes again too often, each with the queue that it moves it to.
fn redriven() -> Vec<(&'static str, &'static str)> {
    let queues = resources("AWS::SQS::Queue").into_iter();
    let redriven = queues.filter_map(|queue| {
        let target = properties(queue)["RedrivePolicy"]["deadLetterTargetArn"].as_str()?;
        Some((queue, target.strip_suffix(".Arn").unwrap()))
    });
    redriven.collect()
}

#[test]
fn a_dead_queue_outlasts_its_source_and_takes_from_no_other() {
    let redriven = redriven();
    let wanted = [
        ("EventsQueue", "DeadEventsQueue"),
        ("DeliveriesQueue", "DeadLettersQueue"),
    ];
    assert_eq!(redriven, wanted);
    for (source, dead) in redriven {
        let [of_source, of_dead] = [source, dead].map(properties);
        // A message that is moved keeps its age.
        let retention = |queue: &Yaml| number(&queue["MessageRetentionPeriod"]);
        assert!(retention(of_source) < retention(of_dead), "{source}");
        let allowed = |queue: &'static Yaml| &queue["RedriveAllowPolicy"];
        let to_source = text(&allowed(of_source)["redrivePermission"]);
        let to_dead = text(&allowed(of_dead)["redrivePermission"]);
        assert_eq!((to_source, to_dead), ("denyAll", "byQueue"), "{source}");
        let sources = allowed(of_dead)["sourceQueueArns"].as_vec().unwrap();
        let [arn] = sources.as_slice() else {
            unreachable!("a dead queue has one source")
        };
        let name = format!(":{}", text(&of_source["QueueName"]));
        assert!(text(arn).ends_with(&name), "{source}");
    }
}

#[test]
fn an_event_of_the_bus_outlasts_an_outage_of_an_hour() {
    let queue = properties("EventsQueue");
    let between_s = number(&queue["VisibilityTimeout"]);
    let times = number(&queue["RedrivePolicy"]["maxReceiveCount"]);
    // The last time comes after all the others have been waited for.
    assert!((times - 1) * between_s >= 3600);
}

#[test]
fn the_bus_hands_on_what_comes_from_an_app_of_the_catalogue() {
    let pattern = properties("EventsRule")["EventPattern"].as_hash().unwrap();
    let pattern: Vec<_> = pattern.iter().collect();
    let [(field, sources)] = pattern.as_slice() else {
        unreachable!("the sources decide")
    };
    assert_eq!(text(field), "source");
    let sources = sources.as_vec().unwrap().iter().map(text);
    let apps: BTreeSet<String> = catalog::events()
        .map(|event| format!("breathecode.{}", event.app()))
        .collect();
    // In the catalogue's order, each once.
    assert!(sources.eq(apps.iter().map(String::as_str)));
}

#[test]
fn only_the_rule_may_put_events_into_their_queues() {
    let target = &properties("EventsRule")["Targets"];
    assert_eq!(target.as_vec().unwrap().len(), 1);
    let target = &target[0];
    assert_eq!(text(&target["Arn"]), "EventsQueue.Arn");
    let dead = text(&target["DeadLetterConfig"]["Arn"]);
    assert_eq!(dead, "DeadEventsQueue.Arn");
    let policies = resources("AWS::SQS::QueuePolicy");
    let queues = policies.iter().map(|policy| {
        let queues = properties(policy)["Queues"].as_vec().unwrap();
        queues.iter().map(text).collect::<Vec<_>>()
    });
    assert!(queues.eq([["EventsQueue"], ["DeadEventsQueue"]]));
    for policy in policies {
        let properties = properties(policy);
        let queue = text(&properties["Queues"][0]);
        let statements = &properties["PolicyDocument"]["Statement"];
        assert_eq!(statements.as_vec().unwrap().len(), 1, "{policy}");
        let statement = &statements[0];
        let said = ["Effect", "Action", "Resource"].map(|key| text(&statement[key]));
        let arn = format!("{queue}.Arn");
        assert_eq!(said, ["Allow", "sqs:SendMessage", &arn], "{policy}");
        let principal = statement["Principal"].as_hash().unwrap();
        let principal: Vec<_> = principal.iter().map(|(k, v)| (text(k), text(v))).collect();
        let events = [("Service", "events.amazonaws.com")];
        assert_eq!(principal, events, "{policy}");
        let from = &statement["Condition"]["ArnEquals"]["aws:SourceArn"];
        assert_eq!(text(from), "EventsRule.Arn", "{policy}");
    }
}

fn timeout(function: &str) -> Duration {
    let seconds = number(&properties(function)["Timeout"]);
    Duration::from_secs(seconds.try_into().unwrap())
}

#[test]
fn a_worker_outlives_its_slowest_batch() {
    // The hooks are read, which is cut off, and a probe is begun.
    let reading = read("functions/deliver/src/batch.rs");
    assert!(reading.contains("const READING: Duration = Duration::from_secs(10);"));
    let before = Duration::from_secs(10) + OPERATION_TIMEOUT;
    // In the end a sample is kept, which is cut off, and the state is written, once more if it is late,
    // then the circuit or, if the hook is gone, the removal of the sample. The messages that follow go
    // out meanwhile.
    let sampling = read("functions/deliver/src/round.rs");
    assert!(sampling.contains("const SAMPLING: Duration = Duration::from_secs(3);"));
    let after = Duration::from_secs(3) + 3 * OPERATION_TIMEOUT;
    assert!(timeout("Deliver") >= before + ATTEMPT_GUARD + after);
}

#[test]
fn no_second_probe_is_made_while_the_first_may_be_under_way() {
    assert!(PROBE_LEASE >= timeout("Deliver"));
}

/// A whole number, or a product of some, that a file of the code names.
fn of_code(path: &str, name: &str) -> i64 {
    let code = read(path);
    let (_, rest) = code.split_once(&format!("const {name}: ")).unwrap();
    let (value, _) = rest.split_once(';').unwrap();
    let (_, value) = value.split_once(" = ").unwrap();
    let factors = value.split(" * ").map(str::parse::<i64>);
    factors.map(Result::unwrap).product()
}

fn of_bundle(name: &str) -> i64 {
    of_code("cli/src/bundle.rs", name)
}

const KIBIBYTE: usize = 1024;
const MEBIBYTE: usize = 1024 * KIBIBYTE;

#[test]
fn the_largest_payload_fits_a_message_on_its_way_and_at_its_end() {
    let path = "functions/ingest/src/incoming.rs";
    let bytes = usize::try_from(of_code(path, "MAX_PAYLOAD_BYTES")).unwrap();
    assert_eq!(bytes, 256 * KIBIBYTE);
    let payload = format!("\"{}\"", "x".repeat(bytes - 2));
    // Whatever a text in the envelope is limited to, it is not longer than this.
    let long = || "x".repeat(4 * KIBIBYTE);
    let now = "2025-01-20T15:30:00.123456789Z".parse().unwrap();
    let job = DeliveryJob {
        delivery_id: uuid::Uuid::max(),
        event_id: long(),
        event: long(),
        academy: Some(long()),
        hook: HookRef {
            id: HookId::new(1).unwrap(),
            scope: Scope::Academy(long()),
            owner: long(),
        },
        attempt: u32::MAX,
        not_before: now,
        accepted_at: now,
        payload: RawValue::from_string(payload).unwrap().into(),
    };
    let letter = DeadLetter {
        job: job.clone(),
        message: long(),
        status: Some(u16::MAX),
        failed_at: now,
    };
    for message in [
        QueueMessage::Delivery(job),
        QueueMessage::DeadLetter(letter),
    ] {
        assert!(message.encode().unwrap().len() <= MEBIBYTE);
    }
}

#[test]
fn what_ingest_takes_fits_through_the_gateway_and_into_an_invocation() {
    let path = "functions/ingest/src/lib.rs";
    let body = usize::try_from(of_code(path, "BODY_LIMIT")).unwrap();
    // API Gateway takes 10 MB, and hands it on within an event of at most 6 MB with the headers,
    // which it takes 10 KiB of; at worst the body is in there in base64.
    let event = body.div_ceil(3) * 4 + 64 * KIBIBYTE;
    assert!(body <= 10_000_000);
    assert!(event <= 6_000_000);
}

#[test]
fn the_bundle_on_one_machine_has_the_templates_figures() {
    for (queue, figure) in [
        ("EventsQueue", "EVENTS_VISIBILITY_TIMEOUT_S"),
        ("DeliveriesQueue", "VISIBILITY_TIMEOUT_S"),
        ("DeadLettersQueue", "DEAD_LETTERS_VISIBILITY_TIMEOUT_S"),
    ] {
        let hidden_s = number(&properties(queue)["VisibilityTimeout"]);
        assert_eq!(hidden_s, of_bundle(figure), "{queue}");
    }
    for (queue, figure) in [
        ("EventsQueue", "EVENTS_MAX_RECEIVES"),
        ("DeliveriesQueue", "MAX_RECEIVES"),
    ] {
        let times = number(&properties(queue)["RedrivePolicy"]["maxReceiveCount"]);
        assert_eq!(times, of_bundle(figure), "{queue}");
    }
    for (function, figure) in [
        ("Deliver", "DELIVER_TIMEOUT_S"),
        ("Errors", "ERRORS_TIMEOUT_S"),
    ] {
        let timeout_s = number(&properties(function)["Timeout"]);
        assert_eq!(timeout_s, of_bundle(figure), "{function}");
    }
    for (function, _, mapping) in workers() {
        let batch_size = number(&mapping["BatchSize"]);
        assert_eq!(batch_size, of_bundle("BATCH_SIZE"), "{function}");
    }
}
