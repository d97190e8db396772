//! What the API's description says of the requests that publish, and of their errors.
//!
//! The requests are read field by field, so that all mistakes can be told at once and payloads keep their
//! bytes. These types say what those fields are; nothing is ever made of them.
#![expect(dead_code, reason = "only the description reads them")]

use serde_json::{Map, Value};
use shared::{
    error_responses,
    http::{ApiError, FieldErrors, openapi::Payload},
    model::AcademyRef,
};
use utoipa::ToSchema;

use crate::{MAX_ITEMS, incoming::MAX_PAYLOAD_BYTES};

/// An event to publish.
#[derive(ToSchema)]
pub(crate) struct EventDraft {
    /// The event's name.
    #[schema(max_length = 64, example = "cohort_user.added")]
    event: String,
    /// The academy that it happened at; null for an event of no academy, which only superadmins hear.
    #[schema(required)]
    academy: Option<AcademyRef>,
    /// What is delivered: at most 256 KiB, and what the event's schema says. Fields that the event does
    /// not have are left out.
    payload: Payload,
    /// The publisher's id for it.
    #[schema(min_length = 1, max_length = 64)]
    id: Option<String>,
}

/// A record that was saved. Both sides of it are whole, with the records in them that lead to its
/// academy.
#[derive(ToSchema)]
pub(crate) struct ChangeDraft {
    /// The record's model.
    #[schema(max_length = 64, example = "assignments.Task")]
    model: String,
    /// The record as it was; null: it is new.
    #[schema(required)]
    before: Option<Record>,
    /// The record as it is; null: it was deleted, which is no event.
    #[schema(required)]
    after: Option<Record>,
    /// The publisher's id for it.
    #[schema(min_length = 1, max_length = 64)]
    id: Option<String>,
}

/// A record of the platform: the fields that its model has.
#[derive(ToSchema)]
struct Record {
    #[serde(flatten)]
    fields: Map<String, Value>,
}

fn wrong(field: &'static str, message: &str) -> ApiError {
    let mut errors = FieldErrors::default();
    errors.add(field, message);
    ApiError::Fields(errors)
}

fn too_many() -> ApiError {
    ApiError::TooManyItems {
        count: MAX_ITEMS + 1,
        limit: MAX_ITEMS,
    }
}

error_responses!(
    EventErrors, of_body:
    wrong("payload.user.id", "Expected a record's number, got a string."),
    ApiError::UnknownEvent("unknown.event".to_owned()),
    ApiError::UnknownAcademy("no-such-academy".to_owned()),
    too_many(),
    ApiError::PermissionDenied("publish events"),
    ApiError::PayloadTooLarge(MAX_PAYLOAD_BYTES),
    ApiError::EventInProgress("lead-9876-added".to_owned()),
    ApiError::NotQueued,
);

error_responses!(
    ChangeErrors, of_body:
    wrong("after.cohort", "This field is required: the record's academy is found by it."),
    ApiError::UnknownModel("auth.User".to_owned()),
    ApiError::UnknownAcademy("no-such-academy".to_owned()),
    too_many(),
    ApiError::PermissionDenied("publish events"),
    ApiError::PayloadTooLarge(MAX_PAYLOAD_BYTES),
    ApiError::EventInProgress("task-456-saved-7".to_owned()),
    ApiError::NotQueued,
);
