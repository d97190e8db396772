//! Mentors, and their sessions.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fires, Required, Row,
    parts::UserOrId,
    payload::{Degrees, Free, Id, PayloadType, Time, related, vocabulary},
};

pub(super) const ROWS: &[Row] = &[CatalogEvent {
    name: "session.mentorship_session_status",
    model: "mentorship.MentorshipSession",
    signal: "mentorship_session_status",
    action: None,
    description: "Triggered when a mentorship session is created or its status changes",
    fires: Fires::CreatedOrChanged("status"),
    academy: AcademyIn::optional(&["mentor", "academy"]),
    required: &[Required::ID, Required::MayBeNull(&["status"])],
    fills: &[],
    payload: PayloadType::of::<MentorshipSessionStatus>(),
    example: r#"
{
  "id": 889,
  "status": "STARTED",
  "started_at": "2025-01-20T15:00:00Z",
  "ended_at": null,
  "mentor": {
    "id": 456,
    "user": {
      "id": 123,
      "first_name": "Michael",
      "last_name": "Chen",
      "email": "michael.chen@example.com"
    },
    "services": [
      {
        "id": 12,
        "name": "Code Review",
        "slug": "code-review"
      }
    ]
  },
  "mentee": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com"
  },
  "service": {
    "id": 12,
    "name": "Code Review",
    "slug": "code-review",
    "duration": 3600
  },
  "bill": null,
  "created_at": "2025-01-20T14:00:00Z",
  "updated_at": "2025-01-20T15:00:00Z"
}
"#,
}];

/// The payload of `session.mentorship_session_status`: the session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct MentorshipSessionStatus {
    /// The session's number.
    pub id: Option<Id>,
    /// Its name.
    pub name: Option<String>,
    /// How far it is now.
    pub status: Option<SessionStatus>,
    /// The bill that it is on.
    pub bill: Option<Free>,
    /// The mentor.
    pub mentor: Option<MentorOrId>,
    /// The user who is mentored.
    pub mentee: Option<UserOrId>,
    /// How far north the mentee is, in degrees.
    pub latitude: Option<Degrees>,
    /// How far east the mentee is, in degrees.
    pub longitude: Option<Degrees>,
    /// Whether it takes place online.
    pub is_online: Option<bool>,
    /// When the mentor joined.
    pub mentor_joined_at: Option<Time>,
    /// When the mentor left.
    pub mentor_left_at: Option<Time>,
    /// What the session is for.
    pub service: Option<ServiceOrId>,
    /// When it is to begin.
    pub starts_at: Option<Time>,
    /// Whether it may be put on a bill.
    pub allow_billing: Option<bool>,
    /// Where it takes place online.
    pub online_meeting_url: Option<String>,
    /// Where its recording is.
    pub online_recording_url: Option<String>,
    /// What is to be talked about.
    pub agenda: Option<String>,
    /// What was talked about.
    pub summary: Option<String>,
    /// When it did begin.
    pub started_at: Option<Time>,
    /// How long it counts as, on a bill.
    pub accounted_duration: Option<Free>,
    /// When it did end.
    pub ended_at: Option<Time>,
    /// When it is to end.
    pub ends_at: Option<Time>,
    /// When the mentee left.
    pub mentee_left_at: Option<Time>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
}

/// A mentor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Mentor {
    /// The mentor's number.
    pub id: Option<Id>,
    /// The mentor's short name.
    pub slug: Option<String>,
    /// The user who the mentor is.
    pub user: Option<UserOrId>,
    /// Whether the mentor takes sessions.
    pub status: Option<String>,
    /// What the mentor gives sessions for.
    pub services: Option<Vec<ServiceOrId>>,
}

/// What mentors give sessions for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Service {
    /// Its number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// How long such a session is: in seconds, if it is a number.
    pub duration: Option<Free>,
}

related! {
    /// A mentor, or the mentor's number alone.
    MentorOrId = Id | Mentor
}

related! {
    /// What mentors give sessions for, or its number alone.
    ServiceOrId = Id | Service
}

vocabulary! {
    /// How far a mentorship session is.
    SessionStatus {
        /// Scheduled, not started.
        Pending = "PENDING",
        /// Currently in progress.
        Started = "STARTED",
        /// Successfully completed.
        Completed = "COMPLETED",
        /// Failed or cancelled.
        Failed = "FAILED",
        /// Ignored or no-show.
        Ignored = "IGNORED",
    }
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "a session is made",
            model: "mentorship.MentorshipSession",
            before: "null",
            after: r#"{"id": 889, "status": "PENDING", "mentor": {"id": 456, "academy": {"slug": "downtown-campus"}}}"#,
            events: &["session.mentorship_session_status"],
        },
        ChangeCase {
            what: "a session is made with a mentor of no academy",
            model: "mentorship.MentorshipSession",
            before: "null",
            after: r#"{"id": 889, "status": "PENDING", "mentor": {"id": 456, "academy": null}}"#,
            events: &["session.mentorship_session_status"],
        },
        ChangeCase {
            what: "a session begins",
            model: "mentorship.MentorshipSession",
            before: r#"{"id": 889, "status": "PENDING", "mentor": {"id": 456, "academy": {"slug": "downtown-campus"}}}"#,
            after: r#"{"id": 889, "status": "STARTED", "mentor": {"id": 456, "academy": {"slug": "downtown-campus"}}}"#,
            events: &["session.mentorship_session_status"],
        },
        ChangeCase {
            what: "a session is saved again in the same status",
            model: "mentorship.MentorshipSession",
            before: r#"{"id": 889, "status": "STARTED", "summary": null, "mentor": {"id": 456, "academy": {"slug": "downtown-campus"}}}"#,
            after: r#"{"id": 889, "status": "STARTED", "summary": "Talked about loops", "mentor": {"id": 456, "academy": {"slug": "downtown-campus"}}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a session is deleted",
            model: "mentorship.MentorshipSession",
            before: r#"{"id": 889, "status": "STARTED", "mentor": {"id": 456, "academy": {"slug": "downtown-campus"}}}"#,
            after: "null",
            events: &[],
        },
    ];
}
