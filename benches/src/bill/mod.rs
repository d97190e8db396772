//! What AWS would charge for a million deliveries, and for a month.

mod counts;
mod month;
mod prices;
mod template;
mod tracing;

use std::{collections::HashMap, fmt::Write};

use anyhow::Result;

use counts::{BATCH, Batches, GATHERED, Publishing, Work, deliver, ingest};
use prices::Price;
use template::Template;

use crate::{
    Scale,
    figures::{Table, number, shown},
    lambda::Charged,
};

/// The deliveries that are paid for.
const MILLION: f64 = 1e6;

const SINGLE: Publishing = Publishing {
    per_request: 1,
    ids: false,
};

const LIST: Publishing = Publishing {
    per_request: 100,
    ids: false,
};

const LIST_WITH_IDS: Publishing = Publishing {
    per_request: 100,
    ids: true,
};

const FAN_OUTS: [usize; 3] = [1, 5, 100];

/// How many attempts in a hundred fail.
const FAILING: [usize; 3] = [0, 1, 10];

/// What a million of some work costs, by what it is paid for.
struct Dollars([(&'static str, f64); 6]);

impl Dollars {
    fn of(work: &Work) -> Self {
        let cost = |price: &Price, count: f64| MILLION * price.dollars * count;
        let charged = &work.charged;
        let lambda =
            cost(&prices::LAMBDA_REQUEST, work.invocations) + cost(&prices::LAMBDA_GB_S, work.gb_s);
        Self([
            (
                "API Gateway",
                cost(&prices::GATEWAY_REQUEST, work.gateway_requests),
            ),
            ("Lambda", lambda),
            ("SQS", cost(&prices::QUEUE_REQUEST, charged.queue_units)),
            (
                "DynamoDB reads",
                cost(&prices::READ_UNIT, charged.read_units),
            ),
            (
                "DynamoDB writes",
                cost(&prices::WRITE_UNIT, charged.write_units),
            ),
            ("logs", cost(&prices::LOG_BYTE, work.log_bytes)),
        ])
    }

    fn sum(&self) -> f64 {
        self.0.iter().map(|(_, dollars)| dollars).sum()
    }
}

/// A delivery with its part of its event, and with the attempts that it takes if so many in a hundred fail.
fn delivery(event: &Work, fan_out: usize, attempt: &Work, failing: usize) -> Work {
    let mut work = event.times(1.0 / number(fan_out));
    work.add(attempt, 1.0 / (1.0 - number(failing) / 100.0));
    work
}

fn name(publishing: Publishing) -> &'static str {
    match (publishing.per_request, publishing.ids) {
        (1, _) => "single",
        (_, false) => "lists of 100",
        (_, true) => "lists of 100, with ids",
    }
}

/// How events are published, for how many hooks each, and what one comes to.
type Published = (Publishing, usize, Work);

/// What an attempt comes to in batches of each kind that was asked for, each counted once.
struct Attempts {
    /// How many are counted in batches of ten or more; of smaller ones as many batches as of ten.
    count: usize,
    known: HashMap<Batches, Work>,
}

impl Attempts {
    async fn of(&mut self, batches: Batches) -> Result<Work> {
        if let Some(known) = self.known.get(&batches) {
            return Ok(known.clone());
        }
        // Of smaller batches not more than of full ones: each waits for its endpoint.
        let count = self.count.div_ceil(batches.messages.max(BATCH));
        let work = deliver(batches, count).await?;
        self.known.insert(batches, work.clone());
        Ok(work)
    }

    /// The sums for all events, in full batches of so many messages.
    async fn sums(&mut self, published: &[Published], messages: usize) -> Result<Table> {
        let mut table = Table::new([
            "published",
            "hooks per event",
            "many academies, none fails",
            "1 % fail",
            "10 % fail",
            "one academy, none fails",
            "1 % fail",
            "10 % fail",
        ]);
        for (publishing, fan_out, event) in published {
            let mut cells = vec![name(*publishing).to_owned(), fan_out.to_string()];
            for hooks in [messages, messages.min(*fan_out)] {
                for failing in FAILING {
                    let attempt = self.of(Batches {
                        messages,
                        hooks,
                        failing,
                    });
                    let dollars = delivery(event, *fan_out, &attempt.await?, failing);
                    cells.push(shown(Dollars::of(&dollars).sum()));
                }
            }
            table.row(cells);
        }
        Ok(table)
    }

    /// What the sums consist of when none fails, in batches of so many messages and hooks.
    async fn parts(
        &mut self,
        published: &[Published],
        batches: impl Fn(usize) -> Batches,
    ) -> Result<Table> {
        let names = Dollars::of(&Work::default()).0.map(|(name, _)| name);
        let columns = ["published", "hooks per event"].into_iter();
        let mut table = Table::new(columns.chain(names).chain(["sum"]));
        for (publishing, fan_out, event) in published {
            let attempt = self.of(batches(*fan_out)).await?;
            let dollars = Dollars::of(&delivery(event, *fan_out, &attempt, 0));
            let cells = [name(*publishing).to_owned(), fan_out.to_string()].into_iter();
            let parts = dollars.0.map(|(_, dollars)| shown(dollars));
            table.row(cells.chain(parts).chain([shown(dollars.sum())]));
        }
        Ok(table)
    }
}

/// Counts, and writes what comes of it.
pub(crate) async fn bill(scale: &Scale) -> Result<String> {
    let mut published = Vec::new();
    // Those that come one by one stand first.
    for publishing in [SINGLE, LIST, LIST_WITH_IDS] {
        for fan_out in FAN_OUTS {
            let requests = scale.of(if publishing.per_request == 1 { 200 } else { 10 });
            let event = ingest(fan_out, publishing, requests).await?;
            published.push((publishing, fan_out, event));
        }
    }
    let mut attempts = Attempts {
        count: scale.of(500),
        known: HashMap::new(),
    };
    let none_fails = |messages: usize, hooks: usize| Batches {
        messages,
        hooks,
        failing: 0,
    };
    let mut text = String::new();
    writeln!(
        text,
        "Events of many academies at once, each list of one of them, so that no two messages of a batch are for \
         the same hook; and of one academy alone, whose hooks all messages of a batch are for:\n\n{}",
        attempts.sums(&published, BATCH).await?
    )?;
    writeln!(
        text,
        "The same when messages are gathered for a second or more (the template's `DeliverBatchWindow`), in batches \
         of {GATHERED}:\n\n{}",
        attempts.sums(&published, GATHERED).await?
    )?;
    writeln!(
        text,
        "Many academies, batches of {BATCH}, none fails:\n\n{}",
        attempts
            .parts(&published, |_| none_fails(BATCH, BATCH))
            .await?
    )?;
    let of_one = |fan_out: usize| none_fails(GATHERED, fan_out.min(GATHERED));
    writeln!(
        text,
        "One academy, gathered in batches of {GATHERED}, none fails:\n\n{}",
        attempts.parts(&published, of_one).await?
    )?;
    let single = &published[..FAN_OUTS.len()];
    let brought = |fan_out: usize| none_fails(fan_out.min(BATCH), fan_out.min(BATCH));
    writeln!(
        text,
        "At a low rate, when a batch is what one event brings and no more:\n\n{}",
        attempts.parts(single, brought).await?
    )?;
    let template = Template::read()?;
    writeln!(text, "{}", assumptions(&template)?)?;
    writeln!(
        text,
        "The fixed cost of a month of {} hours. Lambda keeps five long polls of 20 seconds open on each queue that it \
         reads:\n\n{}",
        month::HOURS,
        month::fixed_table(&template)
    )?;
    let (_, _, event) = &single[0];
    let alone = delivery(event, 1, &attempts.of(brought(1)).await?, 0);
    writeln!(
        text,
        "A month of a small deployment, with default parameters: single events for one hook, evenly spread over the \
         month. Even a million are then one every {:.1} seconds, so every batch is one message. No delivery fails, and \
         each metric has data in every hour:\n\n{}",
        month::SECONDS / MILLION,
        month::deployments_table(&template, &alone)
    )?;
    writeln!(
        text,
        "What optional parameters add:\n\n{}",
        month::parameters_table(&template)
    )?;
    writeln!(
        text,
        "What `Tracing=Active` adds, for single events for one hook, evenly spread. Lambda traces the first invocation \
         of each second and 5 % of the rest, per function. A trace of `ingest` and the linked one of `deliver` are \
         charged as two:\n\n{}",
        tracing::table()
    )?;
    writeln!(text, "{}", price_list())?;
    writeln!(text, "What is counted:\n\n{}", requests_table().await?)?;
    Ok(text)
}

/// What an event and an attempt are charged for, by case.
pub(crate) async fn requests() -> Result<Vec<(&'static str, Charged)>> {
    const REQUESTS: usize = 2;
    let mut cases = Vec::new();
    for (name, hooks, publishing) in [
        ("an event for one hook", 1, SINGLE),
        ("an event for a hundred hooks", 100, SINGLE),
        ("an event of a list of 100, for one hook", 1, LIST),
        (
            "an event of a list of 100, with an id, for one hook",
            1,
            LIST_WITH_IDS,
        ),
    ] {
        cases.push((name, ingest(hooks, publishing, REQUESTS).await?.charged));
    }
    for (name, messages, hooks, failing) in [
        ("a delivery of ten for ten hooks", BATCH, BATCH, 0),
        ("a delivery of ten for one hook", BATCH, 1, 0),
        ("a delivery of fifty for fifty hooks", GATHERED, GATHERED, 0),
        ("a delivery of fifty for one hook", GATHERED, 1, 0),
        (
            "an attempt of ten for ten hooks, one of which fails",
            BATCH,
            BATCH,
            10,
        ),
    ] {
        let batches = Batches {
            messages,
            hooks,
            failing,
        };
        // Of a hundred attempts in a row as many fail as are said to.
        let count = 100 / messages;
        cases.push((name, deliver(batches, count).await?.charged));
    }
    Ok(cases)
}

/// The same as a table, for a thousand of each.
async fn requests_table() -> Result<Table> {
    let cases = requests().await?;
    let mut operations: Vec<String> = cases
        .iter()
        .flat_map(|(_, charged)| charged.requests.keys().cloned())
        .collect();
    operations.sort_unstable();
    operations.dedup();
    let units = [
        "DynamoDB, read units",
        "DynamoDB, write units",
        "SQS, of 64 KB",
    ];
    let columns = std::iter::once("a thousand times").chain(operations.iter().map(String::as_str));
    let mut table = Table::new(columns.chain(units));
    for (name, charged) in cases {
        let of = |operation| charged.requests.get(operation).copied().unwrap_or(0.0);
        let units = [charged.read_units, charged.write_units, charged.queue_units];
        let counts = operations.iter().map(of).chain(units);
        let counts = counts.map(|count| format!("{:.0}", 1e3 * count));
        table.row(std::iter::once(name.to_owned()).chain(counts));
    }
    Ok(table)
}

/// What the figures rest on that cannot be counted here.
fn assumptions(template: &Template) -> Result<String> {
    Ok(format!(
        "Assumed: the functions have the memory of template.yaml (`ingest` {ingest} MB, `deliver` {deliver} MB) \
         and that part of a processor ({processor} MB are a whole one) of this machine's speed; DynamoDB takes \
         {dynamodb} ms and SQS {sqs} ms for an answer, an endpoint {endpoint} ms; batches are full \
         where nothing else is said; a failed attempt is tried again within 15 minutes, \
         and fails as often. Parameters have their defaults: no tracing, no log lines of Lambda's own, tables with \
         the key that AWS owns. Not in it: cold starts, the sample that each hook keeps once an hour, storage \
         ({table_gb} dollars a GB and month for tables, {recovery_gb} for point-in-time recovery, {log_gb} for logs), \
         and data that leaves AWS.\n",
        ingest = template.memory_mb("ingest")?,
        deliver = template.memory_mb("deliver")?,
        processor = counts::MB_PER_PROCESSOR,
        dynamodb = counts::DYNAMODB_TAKES.as_millis(),
        sqs = counts::SQS_TAKES.as_millis(),
        endpoint = counts::ENDPOINT_TAKES.as_millis(),
        table_gb = shown(prices::TABLE_GB.dollars),
        recovery_gb = shown(prices::RECOVERY_GB.dollars),
        log_gb = shown(prices::LOG_GB.dollars),
    ))
}

fn price_list() -> String {
    let mut table = Table::new(["price of", "dollars", "per", "source"]);
    for price in prices::ALL {
        table.row([
            price.what.to_owned(),
            exact(price.dollars * price.per),
            price.unit.to_owned(),
            format!("<{}>", price.source),
        ]);
    }
    format!(
        "Prices in us-east-1, on demand, without free tiers, as of {}: written down then, not fetched.\n\n{table}",
        prices::AS_OF
    )
}

/// A price as it is, without what binary fractions make of it.
fn exact(dollars: f64) -> String {
    format!("{}", (dollars * MILLION).round() / MILLION)
}
