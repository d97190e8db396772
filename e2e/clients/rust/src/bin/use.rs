//! Uses the API through its generated client.
//!
//! usage: use API TOKEN

use std::{collections::BTreeMap, env, error::Error};

use serde_json::json;

#[allow(
    dead_code,
    reason = "the client has every operation, and this uses some"
)]
#[path = "../api/mod.rs"]
mod api;

use api::{
    AnsweredPublishedEvent, AnswersPublishedEvent, EventDraft, GetHookApiError, HookDraft,
    HttpClient, ListingHook, OneOrManyEventDraft, Payload, UpdateHookApiError,
};

/// A parameter that is left out.
const NONE: Option<&str> = None;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(api), Some(token)) = (arguments.next(), arguments.next()) else {
        return Err("usage: use API TOKEN".into());
    };
    let client = HttpClient::new()
        .with_base_url(api)
        .with_header("Authorization", format!("Token {token}"));

    let events = client
        .list_events(Some("admissions"), NONE, NONE, NONE)
        .await?;
    assert_eq!(events[0].app, "admissions");

    let mut draft = HookDraft {
        event: "cohort_user.added".to_owned(),
        target: "https://hooks.example.com/rust".to_owned(),
        service_id: Some(Some("rust".to_owned())),
    };
    let made = client.subscribe(NONE, draft.clone()).await?;
    assert_eq!(made.event, draft.event);
    assert_eq!(made.service_id.as_deref(), Some("rust"));
    assert_eq!(made.last_call_at, None);

    let read = client.get_hook(made.id, Some("owner")).await?;
    assert_eq!(read.owner.as_deref(), Some("admin"));

    let ListingHook::EnvelopeHook(page) = hooks(&client, true).await? else {
        return Err("a page was asked for".into());
    };
    assert_eq!((page.count, page.next), (1, None));
    assert_eq!(page.results[0].id, made.id);
    let ListingHook::HookArray(rows) = hooks(&client, false).await? else {
        return Err("a bare list was asked for".into());
    };
    assert_eq!(rows[0].id, made.id);

    draft.target = "https://hooks.example.com/rust/2".to_owned();
    let changed = client.update_hook(made.id, draft.clone()).await?;
    assert_eq!(changed.target, draft.target);

    let sample = client.get_hook_sample(made.id).await?;
    assert!(sample.additional_properties.contains_key("id"));

    let one = OneOrManyEventDraft::EventDraft(event("form_entry.added"));
    let AnswersPublishedEvent::PublishedEvent(one) =
        client.publish_event(Some("rust-1"), one).await?
    else {
        return Err("one event was published".into());
    };
    assert_eq!((one.id.as_str(), one.deliveries), ("rust-1", 0));
    let several = vec![event("form_entry.added"), event("no.such_event")];
    let several = OneOrManyEventDraft::EventDraftArray(several);
    let AnswersPublishedEvent::AnsweredPublishedEventArray(several) =
        client.publish_event(NONE, several).await?
    else {
        return Err("a list was published".into());
    };
    let [
        AnsweredPublishedEvent::PublishedEvent(published),
        AnsweredPublishedEvent::ErrorBody(refused),
    ] = several.as_slice()
    else {
        return Err(format!("one is good and one is not: {several:?}").into());
    };
    assert_eq!(published.deliveries, 0);
    assert_eq!(refused.slug, "invalid-event");

    draft.target = "ftp://hooks.example.com".to_owned();
    let wrong = client.update_hook(made.id, draft).await.unwrap_err();
    let Some(UpdateHookApiError::Status400(wrong)) = wrong.api().and_then(|e| e.typed.as_ref())
    else {
        return Err(wrong.into());
    };
    assert_eq!(
        (wrong.status_code, wrong.slug.as_str()),
        (400, "validation-error")
    );
    let messages: &Vec<String> = &wrong.additional_properties["target"];
    assert!(!messages.is_empty());

    let gone = client.unsubscribe(made.id).await?;
    assert_eq!(gone.details, "Unsubscribed from 1 hooks");
    let missing = client.get_hook(made.id, NONE).await.unwrap_err();
    let Some(GetHookApiError::Status404(missing)) = missing.api().and_then(|e| e.typed.as_ref())
    else {
        return Err(missing.into());
    };
    assert_eq!(missing.slug, "hook-not-found");
    Ok(())
}

async fn hooks(client: &HttpClient, envelope: bool) -> Result<ListingHook, Box<dyn Error>> {
    let listing = client.list_hooks(
        NONE,
        NONE,
        NONE,
        Some("rust"),
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        None,
        None,
        Some(envelope),
    );
    Ok(listing.await?)
}

fn event(name: &str) -> EventDraft {
    EventDraft {
        event: name.to_owned(),
        academy: None,
        payload: Payload {
            additional_properties: BTreeMap::from([("id".to_owned(), json!(9876))]),
        },
        id: None,
    }
}
