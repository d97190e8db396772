//! Subscriptions: list, create, get, update, delete.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Map, Value};
use shared::{
    catalog, clock, error_responses,
    http::{
        ApiError, Body, Caller, Field, FieldErrors, HookPath, Listing, Page, PageLinks, Params,
        TextField, json_body, object,
    },
    model::{Hook, HookStats, HookView, InvalidTarget, MAX_TARGET_CHARS, Subscription, Target},
    store::StoreError,
};
use utoipa::ToSchema;

use crate::{
    Details, Manage,
    filter::{Expand, HookFilter, HookOrder, ListedHook},
    owner::{self, Owner, User},
};

const EVENT: TextField = TextField {
    name: "event",
    max_chars: 64,
    required: true,
    may_be_blank: false,
};
const TARGET: TextField = TextField {
    name: "target",
    max_chars: MAX_TARGET_CHARS,
    required: true,
    may_be_blank: false,
};
const SERVICE_ID: TextField = TextField {
    name: "service_id",
    max_chars: 64,
    required: false,
    may_be_blank: true,
};

error_responses!(
    ListErrors:
    ApiError::UnknownAcademy("no-such-academy".to_owned()),
    ApiError::PermissionDenied("act for this academy"),
);

/// `GET hook/subscribe`.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/subscribe",
    tag = "Hooks",
    operation_id = "listHooks",
    summary = "The caller's hooks",
    description = "Newest first. All filters must hold; lists are separated by commas and trimmed.",
    params(
        ("app" = Option<String>, Query, description = "Apps, in any case."),
        ("event" = Option<String>, Query, description = "Names of events."),
        ("signal" = Option<String>, Query, description = "Parts of the event's signal path, `breathecode.<app>.signals.<signal>`, in any case."),
        ("service_id" = Option<String>, Query, description = "Service ids."),
        ("like" = Option<String>, Query, description = "A part of event or target, in any case."),
        ("sort" = Option<String>, Query, description = "A hook's fields, `-` before one for descending.", example = "-last_call_at"),
        ("status" = Option<String>, Query, description = "`ok`, `failing`, `never_called`.", example = "failing"),
        ("academy" = Option<String>, Query, description = "For superadmins: an academy's slug, or `*`."),
        ("expand" = Option<String>, Query, description = "`owner`, `health`: what is added to each hook.", example = "owner,health"),
        Page,
    ),
    responses(
        (status = 200, description = "Hooks", body = Listing<HookView>, example = json!({
            "count": 1, "first": null, "next": null, "previous": null, "last": null,
            "results": [{
                "id": 124,
                "event": "cohort_user.added",
                "target": "https://your-app.example.com/webhooks/student-added",
                "service_id": null,
                "created_at": "2025-01-16T09:15:00Z",
                "updated_at": "2025-01-16T09:15:00Z",
                "total_calls": 12,
                "last_call_at": "2025-01-19T11:10:00Z",
                "last_response_code": 500,
                "owner": "downtown-campus",
                "academy": "downtown-campus",
                "status": "failing",
                "failures_in_row": 2,
                "last_24_hours": {"delivered": 10, "failed": 2}
            }]
        })),
        ListErrors
    ),
    security(("token" = [])),
)]
pub(crate) async fn list(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    params: Params,
    links: PageLinks,
) -> Result<Json<Listing<HookView>>, ApiError> {
    let stores = &manage.stores;
    let filter = HookFilter::of_list(&params);
    let owner = Owner::listed(&principal, &params, &stores.identities).await?;
    let mut hooks = owner
        .hooks(&stores.hooks, filter.event_names().as_deref())
        .await?;
    hooks.retain(|hook| filter.wants(hook));

    // The histories stand in another table: read for the page alone, unless it depends on those of all.
    let (order, page, expand) = (
        HookOrder::of(&params),
        Page::of(&params),
        Expand::of(&params),
    );
    let now = clock::now();
    let needs_all = order.needs_stats() || filter.needs_states();
    let mut rows = if needs_all {
        manage.rows(hooks).await?
    } else {
        hooks
            .into_iter()
            .map(|hook| ListedHook::new(hook, None, now))
            .collect()
    };
    rows.retain(|row| filter.wants_status(row));
    let count = rows.len();
    order.sort(&mut rows);
    let mut rows = page.cut(rows);
    if !needs_all {
        let hooks = rows.into_iter().map(|row| row.hook).collect();
        rows = manage.rows(hooks).await?;
    }
    let views = rows.iter().map(|row| expand.view(row)).collect();
    Ok(page.answer(count, views, &links))
}

/// What subscribes a hook, or changes one.
#[derive(ToSchema)]
#[schema(example = json!({
    "event": "assignment.assignment_created",
    "target": "https://your-app.example.com/webhooks/assignment-created",
    "service_id": "production-v2"
}))]
#[expect(
    dead_code,
    reason = "it describes the fields that `Manage::draft` reads one by one"
)]
pub(crate) struct HookDraft {
    /// The event's name.
    #[schema(max_length = 64)]
    event: String,
    /// Where deliveries go: http or https, a public address or a full host name, no credentials.
    #[schema(max_length = 2_048)]
    target: String,
    /// A label of the subscriber's own. Left out of a change, it stays as it is.
    #[schema(max_length = 64)]
    service_id: Option<String>,
}

/// A mistake in a hook's fields, for the description.
fn wrong_fields() -> ApiError {
    let mut errors = FieldErrors::default();
    errors.add(EVENT.name, "This field is required.");
    ApiError::Fields(errors)
}

error_responses!(
    CreateErrors, of_body:
    wrong_fields(),
    ApiError::UnknownEvent("unknown.event".to_owned()),
    ApiError::NotAnAcademy,
    ApiError::UnknownAcademy("no-such-academy".to_owned()),
    ApiError::PermissionDenied("act for this academy"),
);

/// `POST hook/subscribe`.
#[utoipa::path(
    post,
    path = "/v1/notify/hook/subscribe",
    tag = "Hooks",
    operation_id = "subscribe",
    summary = "Subscribe an event and a URL",
    description = "For academies and superadmins. A superadmin's hook hears every academy; with `academy` it \
                   is that academy's own.",
    params(("academy" = Option<String>, Query, description = "For superadmins: an academy's slug.")),
    request_body = HookDraft,
    responses((status = 201, description = "The hook", body = HookView), CreateErrors),
    security(("token" = [])),
)]
pub(crate) async fn create(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    params: Params,
    body: Body,
) -> Result<(StatusCode, Json<HookView>), ApiError> {
    let draft = manage.draft(&object(json_body(&body.headers, &body.bytes)?)?)?;
    let Manage { stores, .. } = &manage;
    let owner = User::one(&principal, &params, &stores.identities).await?;
    if !principal.may_subscribe() {
        return Err(ApiError::NotAnAcademy);
    }
    let subscription = draft.into_subscription(None);
    let hook = stores
        .hooks
        .create(owner.scope(), &owner.username, subscription, clock::now())
        .await?;
    tracing::info!(
        hook = hook.id.get(),
        event = hook.subscription.event,
        "subscribed"
    );
    Ok((StatusCode::CREATED, Json(hook.view(HookStats::default()))))
}

error_responses!(GetErrors: ApiError::HookNotFound("125".to_owned()), ApiError::UnknownPath);

/// `GET hook/subscribe/{id}`.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/subscribe/{id}",
    tag = "Hooks",
    operation_id = "getHook",
    summary = "A hook",
    description = "For its owner and superadmins.",
    params(
        HookPath,
        ("expand" = Option<String>, Query, description = "`owner`, `health`: what is added to the hook."),
    ),
    responses((status = 200, description = "The hook", body = HookView), GetErrors),
    security(("token" = [])),
)]
pub(crate) async fn get(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
    params: Params,
) -> Result<Json<HookView>, ApiError> {
    let (hook, state) = owner::find_with_state(&manage.stores.hooks, &path, &principal).await?;
    let row = ListedHook::new(hook, Some(&state), clock::now());
    Ok(Json(Expand::of(&params).view(&row)))
}

error_responses!(
    UpdateErrors, of_body:
    ApiError::HookToUpdateNotFound("125".to_owned()),
    wrong_fields(),
    ApiError::UnknownEvent("unknown.event".to_owned()),
    ApiError::NotAnAcademy,
    ApiError::UnknownPath,
    ApiError::Conflict("125".to_owned()),
);

/// `PUT hook/subscribe/{id}`: event and target are replaced, and `service_id` if it is there.
#[utoipa::path(
    put,
    path = "/v1/notify/hook/subscribe/{id}",
    tag = "Hooks",
    operation_id = "updateHook",
    summary = "Change a hook",
    description = "For its owner and superadmins. Deliveries that wait go to the new target.",
    params(HookPath),
    request_body = HookDraft,
    responses((status = 200, description = "The hook", body = HookView), UpdateErrors),
    security(("token" = [])),
)]
pub(crate) async fn update(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
    body: Body,
) -> Result<Json<HookView>, ApiError> {
    let hooks = &manage.stores.hooks;
    let not_found = || ApiError::HookToUpdateNotFound(path.number.clone());
    let body = json_body(&body.headers, &body.bytes)?;
    let mut hook = owner::find(hooks, path.id, &principal)
        .await?
        .ok_or_else(not_found)?;
    let draft = manage.draft(&object(body)?)?;
    if !principal.may_subscribe() {
        return Err(ApiError::NotAnAcademy);
    }
    // Another request may move the hook between our reading and our writing: then ours comes after.
    for _ in 0..3 {
        let service_id = hook.subscription.service_id.clone();
        let subscription = draft.clone().into_subscription(service_id);
        let changed = Hook {
            subscription,
            // Later than the edit before it, so that the two can be told apart.
            updated_at: clock::now().max(hook.updated_at + Duration::from_millis(1)),
            ..hook.clone()
        };
        if hooks.replace(&hook, &changed).await? {
            let states = manage.stores.states.get_many(&[changed.id]).await?;
            let stats = states.get(&changed.id).map(|state| state.stats);
            return Ok(Json(changed.view(stats.unwrap_or_default())));
        }
        hook = owner::find(hooks, path.id, &principal)
            .await?
            .ok_or_else(not_found)?;
    }
    Err(ApiError::Conflict(path.number))
}

error_responses!(
    DeleteErrors:
    ApiError::UnknownPath,
    ApiError::Conflict("125".to_owned()),
);

/// `DELETE hook/subscribe/{id}`.
#[utoipa::path(
    delete,
    path = "/v1/notify/hook/subscribe/{id}",
    tag = "Hooks",
    operation_id = "unsubscribe",
    summary = "Delete a hook",
    description = "For its owner and superadmins. Of a hook that is not there, 0 are deleted.",
    params(HookPath),
    responses(
        (
            status = 200, description = "How many were deleted", body = Details,
            example = json!({"details": "Unsubscribed from 1 hooks"})
        ),
        DeleteErrors
    ),
    security(("token" = [])),
)]
pub(crate) async fn delete(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Json<Details>, ApiError> {
    let hooks = &manage.stores.hooks;
    for _ in 0..3 {
        let Some(hook) = owner::find(hooks, path.id, &principal).await? else {
            return Ok(unsubscribed(0));
        };
        if hooks.delete(&hook).await? {
            tracing::info!(hook = hook.id.get(), "unsubscribed");
            return Ok(unsubscribed(1));
        }
    }
    Err(ApiError::Conflict(path.number))
}

error_responses!(
    DeleteManyErrors:
    ApiError::DeletionWithoutFilter,
    ApiError::UnknownAcademy("no-such-academy".to_owned()),
    ApiError::PermissionDenied("act for this academy"),
);

/// `DELETE hook/subscribe?…`.
#[utoipa::path(
    delete,
    path = "/v1/notify/hook/subscribe",
    tag = "Hooks",
    operation_id = "unsubscribeMany",
    summary = "Delete the caller's hooks by filter",
    description = "All filters must hold, and one is needed.",
    params(
        ("event" = Option<String>, Query, description = "Names of events, separated by commas."),
        ("service_id" = Option<String>, Query, description = "Service ids, separated by commas.", example = "development"),
        ("academy" = Option<String>, Query, description = "For superadmins: an academy's slug."),
    ),
    responses((status = 200, description = "How many were deleted", body = Details), DeleteManyErrors),
    security(("token" = [])),
)]
pub(crate) async fn delete_many(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    params: Params,
) -> Result<Json<Details>, ApiError> {
    let stores = &manage.stores;
    let filter = HookFilter::of_deletion(&params);
    if filter.is_empty() {
        return Err(ApiError::DeletionWithoutFilter);
    }
    let owner = Owner::User(User::one(&principal, &params, &stores.identities).await?);
    let mut hooks = owner
        .hooks(&stores.hooks, filter.event_names().as_deref())
        .await?;
    hooks.retain(|hook| filter.wants(hook));
    let deleted = stores.hooks.delete_all(&hooks).await?;
    tracing::info!(hooks = deleted, "unsubscribed");
    Ok(unsubscribed(deleted))
}

fn unsubscribed(hooks: usize) -> Json<Details> {
    Json(Details {
        details: format!("Unsubscribed from {hooks} hooks"),
    })
}

/// A subscription as it was sent.
#[derive(Clone)]
struct Draft {
    event: &'static str,
    target: Target,
    service_id: Field,
}

impl Draft {
    /// The subscription; without a `service_id` in it, the present one stays.
    fn into_subscription(self, present: Option<String>) -> Subscription {
        Subscription {
            event: self.event.to_owned(),
            target: self.target,
            service_id: match self.service_id {
                Field::Absent => present,
                Field::Null => None,
                Field::Text(text) => Some(text),
            },
        }
    }
}

impl Manage {
    /// Reads a subscription: first all fields, then whether there is such an event.
    fn draft(&self, body: &Map<String, Value>) -> Result<Draft, ApiError> {
        let mut errors = FieldErrors::default();
        let event = EVENT.read(body.get(EVENT.name), &mut errors);
        let target = TARGET.read(body.get(TARGET.name), &mut errors);
        let target = self.target(&target, &mut errors);
        let service_id = SERVICE_ID.read(body.get(SERVICE_ID.name), &mut errors);
        match (event, target) {
            (Field::Text(event), Some(target)) if errors.is_empty() => {
                let known = catalog::find(&event).ok_or(ApiError::UnknownEvent(event))?;
                Ok(Draft {
                    event: known.name,
                    target,
                    service_id,
                })
            }
            _ => Err(ApiError::Fields(errors)),
        }
    }

    fn target(&self, field: &Field, errors: &mut FieldErrors) -> Option<Target> {
        // Of a text with a null character, or of none, there is nothing more to say.
        let text = match field {
            Field::Text(text) if !text.is_empty() && !text.contains('\0') => text,
            _ => return None,
        };
        let target = match Target::parse(text) {
            Ok(target) => target,
            Err(invalid) => {
                // Of a text that is too long as it was typed, that has been said.
                let said = text.chars().count() > MAX_TARGET_CHARS;
                if !said || invalid != InvalidTarget::Long {
                    errors.add(TARGET.name, invalid.to_string());
                }
                return None;
            }
        };
        if let Err(refused) = self.guard.check(target.url()) {
            errors.add(TARGET.name, refused.to_string());
            return None;
        }
        Some(target)
    }

    /// These hooks with their states.
    async fn rows(&self, hooks: Vec<Hook>) -> Result<Vec<ListedHook>, StoreError> {
        let ids: Vec<_> = hooks.iter().map(|hook| hook.id).collect();
        let states = self.stores.states.get_many(&ids).await?;
        let now = clock::now();
        let row = |hook: Hook| {
            let state = states.get(&hook.id);
            ListedHook::new(hook, state, now)
        };
        Ok(hooks.into_iter().map(row).collect())
    }
}
