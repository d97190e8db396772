//! The operator's commands for dead-lettered deliveries.

use anyhow::{Context, Result, bail};
use shared::{
    aws, clock, config,
    model::{HookError, HookId},
    queue::Queue,
    redeliver::{LONGEST_CALL, redeliver},
    store::{HookErrors, Kept, OwnedError},
    terminal::one_line,
};
use tokio::time::Instant;

use crate::{
    args::{ErrorsArgs, ErrorsCommand},
    operator::{open, queue_url},
};

pub(crate) async fn run(args: ErrorsArgs) -> Result<()> {
    let ErrorsArgs {
        command,
        deployment,
    } = args;
    let aws = aws::sdk_config().await;
    let errors = open(&deployment, &[config::HOOK_ERRORS_TABLE], &aws)?.errors;
    match command {
        ErrorsCommand::List { owner } => list(&errors, owner.as_deref()).await,
        ErrorsCommand::Redeliver { id, owner } => {
            let sqs = aws_sdk_sqs::Client::new(&aws);
            let environment = config::deliveries_queue;
            let url = queue_url(&deployment, "deliveries", environment, &sqs).await?;
            let Some(found) = errors.get(id, owner.as_deref()).await? else {
                bail!(
                    "there is no error {id} here; `academy-hooks errors list` shows those that there are"
                );
            };
            send_again(&errors, &Queue::new(sqs, url), found).await
        }
    }
}

async fn list(errors: &HookErrors, owner: Option<&str>) -> Result<()> {
    let mut found = match owner {
        Some(name) => errors.of_owner(name).await?,
        None => errors.everywhere().await?,
    };
    if found.is_empty() {
        say!("No errors.");
    }
    found.sort_by_key(|found| std::cmp::Reverse((found.error.created_at, found.error.id)));
    for OwnedError { owner, error } in found {
        let HookError {
            id,
            message,
            event,
            hooks,
            count,
            created_at,
            updated_at,
        } = error;
        let hooks: Vec<_> = hooks.iter().map(HookId::to_string).collect();
        let [created_at, updated_at] = [created_at, updated_at].map(clock::whole_second);
        let [owner, event, message] = [owner, event, message].map(|text| one_line(&text));
        say!(
            "{id}  {owner}  {event}  {count} deliveries  hooks {}  {created_at} to {updated_at}  \
             {message}",
            hooks.join(",")
        );
    }
    Ok(())
}

/// Sends what had failed when it began: one that fails at once again is not sent for ever.
async fn send_again(errors: &HookErrors, deliveries: &Queue, found: OwnedError) -> Result<()> {
    let until = clock::now();
    let id = found.error.id;
    let which = Kept::OfError(found);
    let mut sent = 0;
    loop {
        let deadline = Instant::now() + LONGEST_CALL;
        let done = redeliver(errors, deliveries, &which, until, clock::now(), deadline).await;
        let done = done.context("what was not sent stays kept: try again")?;
        sent += done.redelivered;
        if !done.left {
            break;
        }
        say!("{sent} deliveries so far …");
    }
    if sent == 0 {
        say!("Nothing is kept with error {id} that is not being sent already.");
    } else {
        say!("{sent} deliveries of error {id} are back in the queue.");
    }
    Ok(())
}
