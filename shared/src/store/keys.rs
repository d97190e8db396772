//! Every key string of every table is made here and nowhere else.

use sha2::{Digest, Sha256};

use uuid::Uuid;

use crate::model::HookId;

/// The sort key of a hook: its event, then its id, padded so that text order is id order.
pub(super) fn event_hook(event: &str, id: HookId) -> String {
    format!("{event}#{:016}", id.get())
}

/// What the sort keys of all hooks on an event begin with. The separator is no part of any event's
/// name, so that one event's prefix is never another's.
pub(super) fn event_prefix(event: &str) -> String {
    format!("{event}#")
}

/// What the sort keys of all [moves](moved) begin with. The names of events begin with letters, which come
/// after it.
pub(super) const MOVED_PREFIX: &str = "!moved#";

/// The sort key of the mark that a hook was on its way from one event to another, beside the hooks.
pub(super) fn moved(id: HookId) -> String {
    format!("{MOVED_PREFIX}{:016}", id.get())
}

pub(super) fn academy(slug: &str) -> String {
    format!("academy#{slug}")
}

pub(super) fn academy_id(id: u64) -> String {
    format!("academy_id#{id}")
}

pub(super) fn user(username: &str) -> String {
    format!("user#{username}")
}

/// What the keys of all tokens begin with.
pub(super) const TOKEN_PREFIX: &str = "token#";

pub(super) fn token(digest: &str) -> String {
    format!("{TOKEN_PREFIX}{digest}")
}

/// The key of the counter that numbers academies.
pub(super) const ACADEMY_COUNTER: &str = "counter#academy";

/// What the sort keys of an owner's HookErrors begin with.
pub(super) const ERROR_PREFIX: &str = "error#";

/// The sort key of a HookError: deliveries of one event that failed with the same message share it.
pub(super) fn error(event: &str, message: &str) -> String {
    format!("{ERROR_PREFIX}{}", error_group(event, message))
}

/// The sort key of a failed delivery, beside its HookError's.
pub(super) fn failed_delivery(event: &str, message: &str, delivery_id: Uuid) -> String {
    format!("{}{delivery_id}", failed_deliveries(event, message))
}

/// What the sort keys of all failed deliveries of a HookError begin with.
pub(super) fn failed_deliveries(event: &str, message: &str) -> String {
    format!("delivery#{}#", error_group(event, message))
}

/// What the sort keys of the lists of hooks of an owner's HookErrors begin with.
pub(super) const ERROR_HOOKS_PREFIX: &str = "hooks#";

/// How many hooks, by their ids, are in one of these lists.
const HOOKS_PER_LIST: u64 = 64;

/// The sort key of the list that a hook is in of those that a HookError hit, beside the HookError: to add a hook to
/// a short list costs the same however many others there are.
pub(super) fn error_hooks(event: &str, message: &str, hook: HookId) -> String {
    let list = hook.get() / HOOKS_PER_LIST;
    format!("{}{list:016}", error_hooks_of(event, message))
}

/// What the sort keys of all lists of hooks of a HookError begin with.
pub(super) fn error_hooks_of(event: &str, message: &str) -> String {
    format!("{ERROR_HOOKS_PREFIX}{}#", error_group(event, message))
}

/// What a sort key has before its last part: the beginning that it shares with others.
pub(super) fn prefix_of(sort_key: &str) -> &str {
    sort_key.rfind('#').map_or("", |last| &sort_key[..=last])
}

/// The index that finds a HookError by its id. Failed deliveries have none.
pub(super) const ERRORS_BY_ID: &str = "by_id";

/// The index that finds a hook's failed deliveries by the time of their failure. HookErrors have no
/// hook of their own.
pub(super) const KEPT_BY_HOOK: &str = "by_hook";

/// The partition and sort key of the counter that numbers HookErrors: `#` begins no owner's name.
pub(super) const ERROR_COUNTER: (&str, &str) = ("#counter", "error");

/// The partition of the ids that a publisher's events have. `#` is in no user's name.
pub(super) fn claims_of_events(publisher: &str) -> String {
    publisher.to_owned()
}

/// The partition of the ids that a publisher's changes have.
pub(super) fn claims_of_changes(publisher: &str) -> String {
    format!("change#{publisher}")
}

/// The partition of the ids that events have which come over an event bus from a source.
pub(super) fn claims_of_bus_events(source: &str) -> String {
    format!("bus#{source}")
}

/// The partition of the ids that changes have which come over an event bus from a source.
pub(super) fn claims_of_bus_changes(source: &str) -> String {
    format!("bus-change#{source}")
}

/// A message may be long and hold any character: its digest stands for it in the key.
fn error_group(event: &str, message: &str) -> String {
    format!("{event}#{}", hex(&Sha256::digest(message)[..16]))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
