//! The bundle in one process: the functions' own routers and handlers, with the AWS SDK talking to
//! tables and queues that are embedded, and a loop that invokes the workers as Lambda does.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use aws_sdk_sqs::types::QueueAttributeName;
use deliver::Deliver;
use emulator::{EventRule, EventSource, LocalAws, ServerLimits, Storage};
use errors::Errors;
use ingest::{Bus, Ingest};
use manage::Manage;
use shared::{
    catalog, config,
    deadline::Deadline,
    deliver::{client::DeliveryClient, guard::AddressGuard, schedule::RetrySchedule},
    http,
    metrics::Metrics,
    queue::Queue,
    store::{Stores, TableNames, create_tables},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The stack that the embedded tables and queues belong to.
pub(crate) const STACK: &str = "academy-hooks";

/// As the template has it: no job is handed out again while its worker may still be at it.
const VISIBILITY_TIMEOUT_S: u32 = 550;

/// The same for dead letters.
const DEAD_LETTERS_VISIBILITY_TIMEOUT_S: u32 = 180;

/// The same for events of the bus.
const EVENTS_VISIBILITY_TIMEOUT_S: u32 = 174;

/// As the template has it: how long a worker may be at a batch of deliveries.
const DELIVER_TIMEOUT_S: u64 = 90;

/// The same for dead letters.
const ERRORS_TIMEOUT_S: u64 = 30;

/// As the template has it: for how long a queue keeps a message.
const RETENTION_S: u32 = 1_209_600;

/// As the template has it: how often a message is received before it is dead-lettered. With the visibility timeouts that
/// outlasts an outage of an hour.
const MAX_RECEIVES: u32 = 25;

/// The most messages that a worker gets at once.
const BATCH_SIZE: i32 = 10;

/// How many workers deliver at once: each costs what the calls cost that it makes. Three endpoints may
/// hang, with all the messages in flight that the queue lets each of them have, before others wait.
const DELIVERING: usize = 4 * emulator::GROUP_IN_FLIGHT as usize;

/// How many workers record dead letters at once.
const RECORDING: usize = 2;

/// How many workers publish events of the bus at once.
const PUBLISHING: usize = 2;

/// The bounds of the API: a quarter of the descriptors that a process usually has.
const LIMITS: ServerLimits = ServerLimits::with_connections(256);

/// What is added where a target is refused: here it is usually an endpoint of one's own.
const ALLOW_TARGET: &str = " An endpoint of this machine is called if serve is started with --allow-target IP:PORT, and the target \
     has that IP and port: http://127.0.0.1:3000/, say, not http://localhost:3000/.";

/// How long open connections have at the end to finish their requests.
const HTTP_GRACE: Duration = Duration::from_secs(3);

/// How a bundle is to run.
pub(crate) struct Options {
    pub(crate) addr: SocketAddr,
    pub(crate) storage: Storage,
    pub(crate) allow_targets: Vec<SocketAddr>,
    pub(crate) retry_schedule: RetrySchedule,
}

/// Tables and queues that are ready, before anything works on them.
pub(crate) struct Prepared {
    aws: LocalAws,
    pub(crate) stores: Stores,
    deliveries_url: String,
    dead_letters_url: String,
    events_url: String,
    dead_events_url: String,
}

/// A running bundle.
pub(crate) struct Bundle {
    pub(crate) addr: SocketAddr,
    prepared: Prepared,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Prepared {
    /// Opens the storage, has it served on this address, and makes the tables and queues that are not there yet.
    pub(crate) async fn open(storage: &Storage, address: IpAddr) -> Result<Self> {
        let aws = LocalAws::start_on(storage, address).await?;
        let names = TableNames::of_stack(STACK);
        create_tables(&aws.dynamodb(), &names).await?;
        let hidden_s = DEAD_LETTERS_VISIBILITY_TIMEOUT_S;
        let dead_letters_url = create_queue(&aws, "dead-letters", hidden_s, None).await?;
        let redrive = Some((dead_letters_url.as_str(), MAX_RECEIVES));
        let hidden_s = VISIBILITY_TIMEOUT_S;
        let deliveries_url = create_queue(&aws, "deliveries", hidden_s, redrive).await?;
        // Nobody takes what is in there, so it does not matter for how long that is hidden.
        let hidden_s = EVENTS_VISIBILITY_TIMEOUT_S;
        let dead_events_url = create_queue(&aws, "dead-events", hidden_s, None).await?;
        let redrive = Some((dead_events_url.as_str(), MAX_RECEIVES));
        let events_url = create_queue(&aws, "events", hidden_s, redrive).await?;
        aws.route_events(EventRule {
            bus: STACK.to_owned(),
            sources: catalog::sources(),
            queue: format!("{STACK}-events"),
        });
        let stores = Stores::new(&aws.dynamodb(), &names);
        Ok(Self {
            aws,
            stores,
            deliveries_url,
            dead_letters_url,
            events_url,
            dead_events_url,
        })
    }

    /// What other programs need to work on the same state, as environment variables.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            (
                "AWS_ENDPOINT_URL_DYNAMODB",
                self.aws.dynamodb_url().to_owned(),
            ),
            ("AWS_ENDPOINT_URL_SQS", self.aws.sqs_url().to_owned()),
            (
                "AWS_ENDPOINT_URL_EVENTBRIDGE",
                self.aws.eventbridge_url().to_owned(),
            ),
            // For tools that ask whose the credentials are before they do anything.
            ("AWS_ENDPOINT_URL_STS", self.aws.sts_url().to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            // The AWS CLI's first version knows no other.
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("DELIVERIES_QUEUE_URL", self.deliveries_url.clone()),
            ("DEAD_LETTERS_QUEUE_URL", self.dead_letters_url.clone()),
            ("METRICS_NAMESPACE", STACK.to_owned()),
            ("EVENT_BUS_NAME", STACK.to_owned()),
            ("EVENTS_QUEUE_URL", self.events_url.clone()),
            ("DEAD_EVENTS_QUEUE_URL", self.dead_events_url.clone()),
        ];
        variables.extend(config::table_variables(TableNames::of_stack(STACK)));
        variables
    }

    /// Serves the API on this listener and starts the workers.
    pub(crate) fn start(
        self,
        listener: TcpListener,
        allow_targets: Vec<SocketAddr>,
        schedule: RetrySchedule,
    ) -> Result<Bundle> {
        let addr = listener.local_addr()?;
        let guard = AddressGuard::new(allow_targets).hinting(ALLOW_TARGET);
        let sqs = self.aws.sqs();
        let deliveries = Queue::new(sqs.clone(), self.deliveries_url.clone());
        let dead_letters = Queue::new(sqs.clone(), self.dead_letters_url.clone());
        let dead_events = Queue::new(sqs, self.dead_events_url.clone());
        let client = DeliveryClient::new(guard.clone())?;
        let deliver = Deliver {
            stores: self.stores.clone(),
            deliveries: deliveries.clone(),
            dead_letters,
            client: client.clone(),
            schedule,
        };
        let errors = Errors::new(self.stores.errors.clone());
        let manage = Manage::new(self.stores.clone(), guard, client, deliveries.clone());
        let ingest = Ingest::new(self.stores.clone(), deliveries);
        let bus = Bus::new(ingest.clone(), dead_events);
        let routes = manage::routes(manage).merge(ingest::routes(ingest));
        let router = http::finish(routes);

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let graceful = emulator::serve(listener, router, LIMITS, stop.clone());
        let stopped = stop.clone();
        tasks.spawn(async move {
            let limit = async {
                stopped.cancelled().await;
                tokio::time::sleep(HTTP_GRACE).await;
            };
            tokio::select! {
                () = graceful => {}
                () = limit => {}
            }
        });
        let source = |queue_url: &str, concurrency| EventSource {
            client: self.aws.sqs(),
            queue_url: queue_url.to_owned(),
            batch_size: BATCH_SIZE,
            concurrency,
        };
        let delivering = source(&self.deliveries_url, DELIVERING);
        let recording = source(&self.dead_letters_url, RECORDING);
        let publishing = source(&self.events_url, PUBLISHING);
        // The figures are for CloudWatch: here nobody reads them.
        let deliver = move |event| {
            let deliver = deliver.clone();
            let deadline = Deadline::after(Duration::from_secs(DELIVER_TIMEOUT_S));
            async move { deliver.handle(event, deadline, &Metrics::default()).await }
        };
        let record = move |event| {
            let errors = errors.clone();
            let deadline = Deadline::after(Duration::from_secs(ERRORS_TIMEOUT_S));
            async move { errors.handle(event, deadline, &Metrics::default()).await }
        };
        let publish = move |event| {
            let bus = bus.clone();
            async move { bus.handle(event, &Metrics::default()).await }
        };
        tasks.spawn(publishing.run(publish, stop.clone()));
        tasks.spawn(delivering.run(deliver, stop.clone()));
        tasks.spawn(recording.run(record, stop.clone()));
        Ok(Bundle {
            addr,
            prepared: self,
            stop,
            tasks,
        })
    }
}

impl Bundle {
    /// Prepares and starts in one go, with tables and queues on loopback.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let listener = listen(options.addr).await?;
        let prepared = Prepared::open(&options.storage, Ipv4Addr::LOCALHOST.into()).await?;
        prepared.start(listener, options.allow_targets, options.retry_schedule)
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.prepared.stores
    }

    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        self.prepared.environment()
    }

    /// Takes no more requests and jobs, ends those in progress, and says how many jobs are left.
    pub(crate) async fn shut_down(mut self) -> Result<u64> {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let left = self.prepared.queued().await?;
        self.prepared.aws.shut_down().await;
        Ok(left)
    }
}

impl Prepared {
    /// How many jobs wait for their attempt or their record, and events of the bus to be published.
    async fn queued(&self) -> Result<u64> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let mut sum = 0;
        for url in [
            &self.deliveries_url,
            &self.dead_letters_url,
            &self.events_url,
        ] {
            let request = self.aws.sqs().get_queue_attributes().queue_url(url);
            let answer = request
                .set_attribute_names(Some(counts.to_vec()))
                .send()
                .await?;
            let values = answer.attributes.unwrap_or_default().into_values();
            sum += values
                .filter_map(|count| count.parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(sum)
    }
}

/// Takes the address that the API is to have.
pub(crate) async fn listen(addr: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|error| {
        let what_to_do = match error.kind() {
            ErrorKind::AddrInUse => {
                "; end the program that has this port, another serve perhaps, or choose another \
                 one with --addr IP:PORT"
            }
            ErrorKind::AddrNotAvailable => "; give --addr an address of this machine",
            _ => "",
        };
        anyhow::Error::new(error).context(format!("the API cannot listen on {addr}{what_to_do}"))
    })
}

async fn create_queue(
    aws: &LocalAws,
    name: &str,
    hidden_s: u32,
    redrive: Option<(&str, u32)>,
) -> Result<String> {
    let name = format!("{STACK}-{name}");
    let failed = || format!("cannot make the queue {name}");
    let sqs = aws.sqs();
    let created = sqs.create_queue().queue_name(&name).send().await;
    let url = created
        .with_context(failed)?
        .queue_url
        .with_context(failed)?;
    // Apart from its making: an older release may have made it with other attributes.
    let mut attributes = HashMap::from([
        (QueueAttributeName::VisibilityTimeout, hidden_s.to_string()),
        (
            QueueAttributeName::MessageRetentionPeriod,
            RETENTION_S.to_string(),
        ),
    ]);
    if let Some((dead_letters_url, receives)) = redrive {
        let arn = queue_arn(aws, dead_letters_url).await?;
        let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{receives}}}"#);
        attributes.insert(QueueAttributeName::RedrivePolicy, policy);
    }
    let request = sqs.set_queue_attributes().queue_url(&url);
    let set = request.set_attributes(Some(attributes)).send().await;
    set.with_context(failed)?;
    Ok(url)
}

async fn queue_arn(aws: &LocalAws, url: &str) -> Result<String> {
    let arn = QueueAttributeName::QueueArn;
    let request = aws.sqs().get_queue_attributes().queue_url(url);
    let answer = request.attribute_names(arn.clone()).send().await?;
    let attributes = answer.attributes.unwrap_or_default();
    attributes.get(&arn).cloned().context("a queue has no ARN")
}
