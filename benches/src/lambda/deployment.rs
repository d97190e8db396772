//! Tables and queues with an academy, a publisher and hooks, embedded in this process.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use bench::payload::{EVENT, payload};
use emulator::{LocalAws, Storage};
use jiff::Timestamp;
use serde_json::value::RawValue;
use shared::{
    clock, config,
    model::{
        Academy, DeliveryJob, Hook, HookId, HookRef, HookStats, Scope, Subscription, Target, User,
    },
    store::{StoredState, StoredToken, Stores, TableNames, TokenDigest, create_tables},
};
use uuid::Uuid;

use super::{proxy::proxy, traffic::Traffic};
use crate::load::{ACADEMY, ACADEMY_TOKEN, PUBLISHER_TOKEN};

/// Who publishes.
const PUBLISHER: &str = "platform";

/// Where the functions find the services.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    dynamodb_url: String,
    sqs_url: String,
}

impl Services {
    /// The embedded ones.
    pub(crate) fn of(deployment: &Deployment) -> Self {
        Self {
            dynamodb_url: deployment.aws.dynamodb_url().to_owned(),
            sqs_url: deployment.aws.sqs_url().to_owned(),
        }
    }

    /// The embedded ones, through proxies that count, and make each answer take so much longer.
    pub(crate) async fn slow(
        deployment: &Deployment,
        traffic: &Traffic,
        dynamodb: Duration,
        sqs: Duration,
    ) -> Result<Self> {
        let Self {
            dynamodb_url,
            sqs_url,
        } = Self::of(deployment);
        Ok(Self {
            dynamodb_url: proxy(&dynamodb_url, traffic, dynamodb).await?,
            sqs_url: proxy(&sqs_url, traffic, sqs).await?,
        })
    }

    /// The embedded ones, through proxies that count.
    pub(crate) async fn watched(deployment: &Deployment, traffic: &Traffic) -> Result<Self> {
        Self::slow(deployment, traffic, Duration::ZERO, Duration::ZERO).await
    }
}

/// A deployment without functions.
#[derive(Debug)]
pub(crate) struct Deployment {
    aws: LocalAws,
    names: TableNames,
    deliveries_url: String,
    dead_letters_url: String,
    dead_events_url: String,
    /// The hooks, all of which hear what is published.
    pub(crate) hooks: Vec<Hook>,
}

impl Deployment {
    /// One whose hooks have these targets.
    pub(crate) async fn start(targets: impl IntoIterator<Item = String>) -> Result<Self> {
        let aws = LocalAws::start(&Storage::Memory).await?;
        let names = TableNames::of_stack("bench");
        create_tables(&aws.dynamodb(), &names).await?;
        let mut urls = Vec::new();
        for name in ["deliveries", "dead-letters", "dead-events"] {
            let created = aws.sqs().create_queue().queue_name(name).send().await?;
            urls.push(created.queue_url.context("a queue has no URL")?);
        }
        let [deliveries_url, dead_letters_url, dead_events_url] = <[String; 3]>::try_from(urls)
            .map_err(|_| anyhow::anyhow!("there are not as many queues as were made"))?;
        let stores = Stores::new(&aws.dynamodb(), &names);
        let hooks = fill(&stores, targets).await?;
        Ok(Self {
            aws,
            names,
            deliveries_url,
            dead_letters_url,
            dead_events_url,
            hooks,
        })
    }

    /// The environment of a function that finds the services there, and may call these addresses.
    pub(crate) fn environment(
        &self,
        services: &Services,
        allowed: &[SocketAddr],
    ) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let mut variables = vec![
            // The runtime asks for it; nothing here depends on it.
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", text("512")),
            ("AWS_LAMBDA_FUNCTION_VERSION", text("$LATEST")),
            ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", text("true")),
            ("AWS_REGION", text("us-east-1")),
            ("AWS_ACCESS_KEY_ID", text("local")),
            ("AWS_SECRET_ACCESS_KEY", text("local")),
            ("AWS_ENDPOINT_URL_DYNAMODB", services.dynamodb_url.clone()),
            ("AWS_ENDPOINT_URL_SQS", services.sqs_url.clone()),
            ("DELIVERIES_QUEUE_URL", self.deliveries_url.clone()),
            ("DEAD_LETTERS_QUEUE_URL", self.dead_letters_url.clone()),
            ("DEAD_EVENTS_QUEUE_URL", self.dead_events_url.clone()),
            ("METRICS_NAMESPACE", text("academy-hooks")),
            ("ALLOW_TARGETS", allowed.join(",")),
            ("RUST_LOG", text("info")),
        ];
        variables.extend(config::table_variables(self.names.clone()));
        variables
    }

    /// The delivery of an event to one of the hooks.
    pub(crate) fn job(&self, event: usize, hook: usize) -> Result<DeliveryJob> {
        let hook = self.hooks.get(hook).context("there is no such hook")?;
        let now = clock::now();
        Ok(DeliveryJob {
            delivery_id: Uuid::now_v7(),
            event_id: Uuid::now_v7().to_string(),
            event: EVENT.to_owned(),
            academy: Some(ACADEMY.to_owned()),
            hook: HookRef::from(hook),
            attempt: 1,
            not_before: now,
            accepted_at: now,
            event_accepted_at: None,
            payload: RawValue::from_string(payload(event)?)?.into(),
        })
    }
}

async fn fill(stores: &Stores, targets: impl IntoIterator<Item = String>) -> Result<Vec<Hook>> {
    let identities = &stores.identities;
    let academy = Academy {
        id: 1,
        slug: ACADEMY.to_owned(),
        name: "Academy".to_owned(),
    };
    ensure!(
        identities.add_academy(&academy).await?,
        "the tables are not empty"
    );
    for (username, can_publish) in [(ACADEMY, false), (PUBLISHER, true)] {
        let user = User {
            username: username.to_owned(),
            is_superuser: false,
            is_active: true,
            can_publish,
        };
        identities.put_user(&user).await?;
    }
    for (token, username) in [(ACADEMY_TOKEN, ACADEMY), (PUBLISHER_TOKEN, PUBLISHER)] {
        let token = StoredToken {
            digest: TokenDigest::of(token),
            username: username.to_owned(),
            created_at: clock::now(),
            expires_at: None,
        };
        identities.put_token(&token).await?;
    }

    let since: Timestamp = "2025-01-15T10:30:00Z".parse()?;
    let mut stored = Vec::new();
    for (target, id) in targets.into_iter().zip(1..) {
        let hook = Hook {
            id: HookId::new(id).context("no id for a hook")?,
            scope: Scope::Academy(ACADEMY.to_owned()),
            owner: ACADEMY.to_owned(),
            subscription: Subscription {
                event: EVENT.to_owned(),
                target: Target::parse(&target)?,
                service_id: None,
            },
            created_at: since,
            updated_at: since,
        };
        let state = StoredState::new(&hook, HookStats::default());
        stored.push((hook, state));
    }
    stores.hooks.import(&stored).await?;
    Ok(stored.into_iter().map(|(hook, _)| hook).collect())
}
