//! Assessments, and the users who take them.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fires, Required, Row,
    parts::{AcademyOrKey, UserOrId},
    payload::{Decimal, Free, Id, PayloadType, Time, related},
};

pub(super) const ROWS: &[Row] = &[CatalogEvent {
    name: "UserAssessment.userassessment_status_updated",
    model: "assessment.UserAssessment",
    signal: "userassessment_status_updated",
    action: None,
    description: "Triggered when a user's assessment is created or its status changes",
    fires: Fires::CreatedOrChanged("status"),
    academy: AcademyIn::optional(&["academy"]),
    required: &[Required::ID, Required::MayBeNull(&["status"])],
    fills: &[],
    payload: PayloadType::of::<UserAssessmentStatusUpdated>(),
    example: r#"
{
  "id": 890,
  "title": "JavaScript Fundamentals",
  "lang": "en",
  "academy": {
    "id": 4,
    "slug": "downtown-campus",
    "name": "Downtown Campus"
  },
  "assessment": {
    "id": 31,
    "slug": "javascript-fundamentals",
    "title": "JavaScript Fundamentals"
  },
  "owner": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe"
  },
  "owner_email": "jane.doe@example.com",
  "owner_phone": "+1234567890",
  "status": "ANSWERED",
  "status_text": null,
  "conversion_info": null,
  "comment": null,
  "started_at": "2025-01-17T10:00:00Z",
  "finished_at": "2025-01-17T10:25:00Z",
  "created_at": "2025-01-17T09:58:00Z",
  "summary": {
    "last_answer": {
      "id": 4021,
      "question": {
        "id": 310,
        "title": "Which keyword declares a constant?"
      },
      "option": {
        "id": 1240,
        "title": "const",
        "score": 1
      }
    },
    "live_score": 8
  }
}
"#,
}];

/// The payload of `UserAssessment.userassessment_status_updated`: a user's assessment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct UserAssessmentStatusUpdated {
    /// The number of this record.
    pub id: Option<Id>,
    /// The assessment's title.
    pub title: Option<String>,
    /// The language that it is in.
    pub lang: Option<String>,
    /// The academy it is taken at.
    pub academy: Option<AcademyOrKey>,
    /// The assessment.
    pub assessment: Option<AssessmentOrId>,
    /// The user who takes it.
    pub owner: Option<UserOrId>,
    /// The user's e-mail address.
    pub owner_email: Option<String>,
    /// The user's phone number.
    pub owner_phone: Option<String>,
    /// How far it is now, such as `ANSWERED`.
    pub status: Option<String>,
    /// More on the status.
    pub status_text: Option<String>,
    /// Where the user came from.
    pub conversion_info: Option<Free>,
    /// What the user says of it.
    pub comment: Option<String>,
    /// When the user began.
    pub started_at: Option<Time>,
    /// When the user finished.
    pub finished_at: Option<Time>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// How it goes.
    pub summary: Option<AssessmentSummary>,
}

/// An assessment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Assessment {
    /// Its number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its title.
    pub title: Option<String>,
}

/// How a user's assessment goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct AssessmentSummary {
    /// The last answer that was given.
    pub last_answer: Option<Free>,
    /// The score so far.
    pub live_score: Option<Decimal>,
}

related! {
    /// An assessment, or its number alone.
    AssessmentOrId = Id | Assessment
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "an assessment is given to a user",
            model: "assessment.UserAssessment",
            before: "null",
            after: r#"{"id": 890, "status": "DRAFT", "academy": {"id": 4, "slug": "downtown-campus"}}"#,
            events: &["UserAssessment.userassessment_status_updated"],
        },
        ChangeCase {
            what: "an assessment is given to a user of no academy",
            model: "assessment.UserAssessment",
            before: "null",
            after: r#"{"id": 890, "status": "DRAFT", "academy": null}"#,
            events: &["UserAssessment.userassessment_status_updated"],
        },
        ChangeCase {
            what: "an assessment is answered",
            model: "assessment.UserAssessment",
            before: r#"{"id": 890, "status": "SENT", "academy": 4}"#,
            after: r#"{"id": 890, "status": "ANSWERED", "academy": 4}"#,
            events: &["UserAssessment.userassessment_status_updated"],
        },
        ChangeCase {
            what: "an assessment is saved again in the same status",
            model: "assessment.UserAssessment",
            before: r#"{"id": 890, "status": "SENT", "comment": null, "academy": 4}"#,
            after: r#"{"id": 890, "status": "SENT", "comment": "Well done", "academy": 4}"#,
            events: &[],
        },
    ];
}
