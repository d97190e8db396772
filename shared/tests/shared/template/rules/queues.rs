//! Queues and who works what is in them.

use yaml_rust2::Yaml;

use super::{Complaints, is_number};
use crate::template::{Template, entries, resource, texts};

const QUEUE: &str = "AWS::SQS::Queue";

/// The parameter that says for how long deliveries are gathered.
const BATCH_WINDOW: &str = "DeliverBatchWindow";

/// The settings of a mapping.
const SETTINGS: [&str; 5] = [
    "Queue",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "FunctionResponseTypes",
    "ScalingConfig",
];

pub(super) fn partial_batches(template: &Template, complaints: &mut Complaints) {
    for worker in template.workers() {
        let answers = texts(&worker.mapping["FunctionResponseTypes"]);
        let one_by_one = answers == ["ReportBatchItemFailures"];
        let complaint = "one bad message brings its whole batch back";
        complaints.unless(one_by_one, worker.function, complaint);
    }
}

/// AWS asks for six times: Lambda may have taken a message, be short of workers, and try again. Before that it may
/// have gathered others for as long as a parameter says.
pub(super) fn visibility(template: &Template, complaints: &mut Complaints) {
    for worker in template.workers() {
        let timeout = template.properties(worker.function)["Timeout"].as_i64();
        let hidden = template.properties(worker.queue)["VisibilityTimeout"].as_i64();
        let longest = longest_window(template, worker.mapping);
        let needed = timeout
            .zip(longest)
            .map(|(timeout, window)| 6 * timeout + window);
        let long_enough = hidden
            .zip(needed)
            .is_some_and(|(hidden, needed)| hidden >= needed);
        let window = worker.mapping["MaximumBatchingWindowInSeconds"].as_str();
        let window = window.unwrap_or("no window");
        let which = format!("{}, {}, {window}", worker.function, worker.queue);
        let complaint = "a message is handed out while its worker may still be at it";
        complaints.unless(long_enough, &which, complaint);
    }
}

/// The seconds for which a worker's messages may be gathered.
fn longest_window(template: &Template, mapping: &Yaml) -> Option<i64> {
    match &mapping["MaximumBatchingWindowInSeconds"] {
        Yaml::BadValue => Some(0),
        Yaml::Integer(seconds) => Some(*seconds),
        parameter => template["Parameters"][parameter.as_str()?]["MaxValue"].as_i64(),
    }
}

/// Lambda refuses a mapping that wants more than ten messages and no window: what is more has to depend on one.
pub(super) fn batches(template: &Template, complaints: &mut Complaints) {
    let condition = &template["Conditions"]["GathersDeliveries"][0];
    let gathers = condition.as_vec().map(Vec::as_slice);
    let depends = gathers.is_some_and(|compared| {
        matches!(compared, [Yaml::String(parameter), Yaml::Integer(0)] if parameter == BATCH_WINDOW)
    });
    for worker in template.workers() {
        let size = &worker.mapping["BatchSize"];
        let window = worker.mapping["MaximumBatchingWindowInSeconds"].as_str();
        let allowed = match size.as_vec().map(Vec::as_slice) {
            Some(
                [
                    Yaml::String(condition),
                    Yaml::Integer(_),
                    Yaml::Integer(usual),
                ],
            ) => {
                let gathered = condition == "GathersDeliveries" && window == Some(BATCH_WINDOW);
                depends && gathered && *usual <= 10
            }
            _ => size.as_i64().is_some_and(|size| size <= 10),
        };
        let which = format!("{}, Conditions", worker.function);
        let complaint = "more than ten messages need a window in which they are gathered";
        complaints.unless(allowed, &which, complaint);
    }
}

/// Which queue feeds which function, and that none of them can take the account's whole concurrency.
pub(super) fn workers(template: &Template, complaints: &mut Complaints) {
    let workers = template.workers();
    let pairs = workers.iter().map(|worker| (worker.function, worker.queue));
    let wanted = [
        ("Ingest", "EventsQueue"),
        ("Deliver", "DeliveriesQueue"),
        ("Errors", "DeadLettersQueue"),
    ];
    for (function, queue) in wanted {
        let fed = pairs.clone().any(|pair| pair == (function, queue));
        complaints.unless(fed, function, &format!("{queue} does not feed it"));
    }
    for worker in workers {
        // Others choose among messages and delete the rest, or take none.
        let mut settings = entries(worker.mapping).map(|(setting, _)| setting);
        let known = settings.all(|setting| SETTINGS.contains(&setting));
        complaints.unless(known, worker.function, "messages that it may never get");
        let limit = &worker.mapping["ScalingConfig"]["MaximumConcurrency"];
        let limited = is_number(template, limit);
        complaints.unless(
            limited,
            worker.function,
            "as many workers as there are messages",
        );
    }
}

/// A dead queue takes from its source and from no other; what is no dead queue takes from none.
pub(super) fn redrive(template: &Template, complaints: &mut Complaints) {
    let name = |queue: &str| template.properties(queue)["QueueName"].as_str();
    let target = |queue: &str| {
        let policy = &template.properties(queue)["RedrivePolicy"];
        let times = policy["maxReceiveCount"].as_i64()?;
        let arn = policy["deadLetterTargetArn"].as_str()?;
        (times > 0).then_some(resource(arn))
    };
    let queues = template.resources(QUEUE);
    for queue in &queues {
        let sources = queues.iter().filter(|source| target(source) == Some(queue));
        let sources: Vec<String> = sources
            .filter_map(|source| name(source))
            .map(|name| {
                format!("arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:{name}")
            })
            .collect();
        let policy = &template.properties(queue)["RedriveAllowPolicy"];
        let allowed = texts(&policy["sourceQueueArns"]);
        let as_it_is = match policy["redrivePermission"].as_str() {
            Some("denyAll") => sources.is_empty(),
            Some("byQueue") => !sources.is_empty() && sources == allowed,
            _ => false,
        };
        complaints.unless(
            as_it_is,
            queue,
            "it does not say which queues it takes from",
        );
    }
    for worker in template.workers() {
        let queue = worker.queue;
        let is_dead = queues.iter().any(|source| target(source) == Some(queue));
        let ends = is_dead || target(queue).is_some();
        complaints.unless(
            ends,
            queue,
            "a message that nobody can work comes until it expires",
        );
    }
}

/// A message that Lambda takes and finds no concurrency for counts as received, and so does one whose worker finds no
/// table or queue: an hour of that must not make a dead message of it.
pub(super) fn outages(template: &Template, complaints: &mut Complaints) {
    for queue in template.resources(QUEUE) {
        let properties = template.properties(queue);
        let policy = &properties["RedrivePolicy"];
        let Some(times) = policy["maxReceiveCount"].as_i64() else {
            continue;
        };
        // The last time comes after all the others have been waited for.
        let hidden = properties["VisibilityTimeout"].as_i64();
        let outlasts = hidden.is_none_or(|hidden| (times - 1) * hidden >= 3600);
        complaints.unless(
            outlasts,
            queue,
            "an hour without workers makes dead messages",
        );
    }
}

/// All keep what they have for as long as SQS does: no outage and no operator's holiday may end a message. One that is
/// moved to a dead-letter queue keeps its age.
pub(super) fn retention(template: &Template, complaints: &mut Complaints) {
    const LONGEST_S: i64 = 14 * 24 * 60 * 60;
    for queue in template.resources(QUEUE) {
        let kept = template.properties(queue)["MessageRetentionPeriod"].as_i64();
        complaints.unless(kept == Some(LONGEST_S), queue, "not kept for 14 days");
    }
}

/// A payload of 256 KiB needs more than that in a message.
pub(super) fn message_size(template: &Template, complaints: &mut Complaints) {
    const LARGEST: i64 = 1024 * 1024;
    for queue in template.resources(QUEUE) {
        let bytes = template.properties(queue)["MaximumMessageSize"].as_i64();
        complaints.unless(
            bytes == Some(LARGEST),
            queue,
            "smaller messages than SQS takes",
        );
    }
}

/// Messages carry payloads.
pub(super) fn encryption(template: &Template, complaints: &mut Complaints) {
    for queue in template.resources(QUEUE) {
        let encrypted = template.properties(queue)["SqsManagedSseEnabled"].as_bool();
        complaints.unless(encrypted == Some(true), queue, "not encrypted");
    }
}
