//! Surveys, and the answers to them.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fill, Fires, Required, Row,
    payload::{Free, Id, Key, PayloadType, Time},
};

pub(super) const ROWS: &[Row] = &[CatalogEvent {
    name: "survey.survey_answered",
    model: "feedback.SurveyResponse",
    signal: "survey_answered",
    action: None,
    description: "Triggered when a survey is answered",
    fires: Fires::Became("status", &["ANSWERED"]),
    academy: AcademyIn::required(&["survey_config", "academy"]),
    required: &[Required::ID, Required::Present(&["status"])],
    fills: &[
        Fill {
            field: "survey_response_id",
            from: &["id"],
            otherwise: None,
        },
        Fill {
            field: "user_id",
            from: &["user", "id"],
            otherwise: None,
        },
        Fill {
            field: "user_email",
            from: &["user", "email"],
            otherwise: None,
        },
    ],
    payload: PayloadType::of::<SurveyAnswered>(),
    example: r#"
{
  "id": 1501,
  "survey_response_id": 1501,
  "user_id": 789,
  "user_email": "jane.doe@example.com",
  "trigger_type": "module_completed",
  "trigger_context": {
    "cohort_id": 12,
    "asset_slug": "build-todo-app"
  },
  "answers": {
    "q1": "I could follow every step",
    "q2": "5"
  },
  "answers_detail": [
    {
      "id": "q1",
      "question": {
        "id": "q1",
        "type": "open_question",
        "title": "What went well?",
        "required": true
      },
      "answer": "I could follow every step"
    },
    {
      "id": "q2",
      "question": {
        "id": "q2",
        "type": "likert_scale",
        "title": "How clear was the module?",
        "required": true
      },
      "answer": "5"
    }
  ],
  "status": "ANSWERED",
  "answered_at": "2025-01-18T12:40:00Z",
  "created_at": "2025-01-18T12:30:00Z"
}
"#,
}];

/// The payload of `survey.survey_answered`: what a user answered to a survey.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct SurveyAnswered {
    /// The number of this record.
    pub id: Option<Id>,
    /// The same number once more.
    pub survey_response_id: Option<Id>,
    /// The user's number.
    pub user_id: Option<Id>,
    /// The user's e-mail address.
    pub user_email: Option<String>,
    /// What the survey was shown for, such as `module_completed`.
    pub trigger_type: Option<String>,
    /// What that was about.
    pub trigger_context: Option<Free>,
    /// The answers, each under its question's name.
    pub answers: Option<Free>,
    /// The answers, each with its question.
    pub answers_detail: Option<Vec<AnswerDetail>>,
    /// How far it is now: `ANSWERED`.
    pub status: Option<String>,
    /// When the user answered.
    pub answered_at: Option<Time>,
    /// When the record was made.
    pub created_at: Option<Time>,
}

/// An answer, with its question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct AnswerDetail {
    /// What the question is found by.
    pub id: Option<Key>,
    /// The question.
    pub question: Option<Free>,
    /// The answer.
    pub answer: Option<Free>,
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "a survey is answered",
            model: "feedback.SurveyResponse",
            before: r#"{"id": 1501, "status": "OPENED", "user": {"id": 789, "email": "jane.doe@example.com"}, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            after: r#"{"id": 1501, "status": "ANSWERED", "user": {"id": 789, "email": "jane.doe@example.com"}, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            events: &["survey.survey_answered"],
        },
        ChangeCase {
            what: "a survey is answered as it is made",
            model: "feedback.SurveyResponse",
            before: "null",
            after: r#"{"id": 1501, "status": "ANSWERED", "user": {"id": 789, "email": "jane.doe@example.com"}, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            events: &["survey.survey_answered"],
        },
        ChangeCase {
            what: "a survey is made",
            model: "feedback.SurveyResponse",
            before: "null",
            after: r#"{"id": 1501, "status": "PENDING", "user": {"id": 789, "email": "jane.doe@example.com"}, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a survey is opened",
            model: "feedback.SurveyResponse",
            before: r#"{"id": 1501, "status": "PENDING", "user": {"id": 789, "email": "jane.doe@example.com"}, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            after: r#"{"id": 1501, "status": "OPENED", "user": {"id": 789, "email": "jane.doe@example.com"}, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a survey that is answered is saved again",
            model: "feedback.SurveyResponse",
            before: r#"{"id": 1501, "status": "ANSWERED", "user": {"id": 789, "email": "jane.doe@example.com"}, "answered_at": null, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            after: r#"{"id": 1501, "status": "ANSWERED", "user": {"id": 789, "email": "jane.doe@example.com"}, "answered_at": "2025-01-18T12:40:00Z", "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a survey is deleted",
            model: "feedback.SurveyResponse",
            before: r#"{"id": 1501, "status": "ANSWERED", "user": {"id": 789, "email": "jane.doe@example.com"}, "survey_config": {"academy": {"slug": "downtown-campus"}}}"#,
            after: "null",
            events: &[],
        },
    ];
}
