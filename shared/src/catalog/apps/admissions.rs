//! Cohorts, and the students in them.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fires, Required, Row,
    parts::{AcademyOrKey, CohortOrId, UserOrId},
    payload::{Free, Id, PayloadType, Time, vocabulary},
};

pub(super) const ROWS: &[Row] = &[
    CatalogEvent {
        name: "cohort.cohort_stage_updated",
        model: "admissions.Cohort",
        signal: "cohort_stage_updated",
        action: None,
        description: "Triggered when a cohort's stage changes (INACTIVE, PREWORK, STARTED, FINAL_PROJECT, ENDED)",
        fires: Fires::CreatedOrChanged("stage"),
        academy: AcademyIn::required(&["academy"]),
        required: &[Required::ID, Required::MayBeNull(&["stage"])],
        fills: &[],
        payload: PayloadType::of::<CohortStageUpdated>(),
        example: r#"
{
  "id": 12,
  "slug": "full-stack-45",
  "name": "Full Stack Development - Cohort 45",
  "language": "en",
  "kickoff_date": "2025-01-10T00:00:00Z",
  "ending_date": "2025-06-30T00:00:00Z",
  "current_day": 45,
  "current_module": 3,
  "stage": "FINAL_PROJECT",
  "academy": {
    "id": 4,
    "name": "Downtown Campus",
    "slug": "downtown-campus",
    "street_address": "123 Tech Street",
    "city": "San Francisco",
    "country": "USA"
  },
  "syllabus_version": {
    "version": 2,
    "name": "Full Stack Developer v2",
    "syllabus": {
      "slug": "full-stack-ft",
      "name": "Full Stack Development"
    }
  },
  "is_hidden_on_prework": false,
  "available_as_saas": true
}
"#,
    },
    CatalogEvent {
        name: "cohort_user.added",
        model: "admissions.CohortUser",
        signal: "created+",
        action: None,
        description: "Triggered when a student is added to a cohort",
        fires: Fires::Created,
        academy: AcademyIn::required(&["cohort", "academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<CohortUser>(),
        example: r#"
{
  "id": 234,
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com"
  },
  "cohort": {
    "id": 12,
    "name": "Full Stack Development - Cohort 45",
    "slug": "full-stack-45",
    "kickoff_date": "2025-01-10T00:00:00Z",
    "ending_date": "2025-06-30T00:00:00Z",
    "stage": "STARTED",
    "academy": {
      "id": 4,
      "name": "Downtown Campus",
      "slug": "downtown-campus"
    }
  },
  "role": "STUDENT",
  "finantial_status": "FULLY_PAID",
  "educational_status": "ACTIVE",
  "watching": false,
  "created_at": "2025-01-10T08:30:00Z",
  "updated_at": "2025-01-10T08:30:00Z",
  "profile_academy": {
    "id": 567,
    "email": "jane.doe@example.com",
    "first_name": "Jane",
    "last_name": "Doe",
    "phone": "+1234567890",
    "address": "123 Main St"
  }
}
"#,
    },
    CatalogEvent {
        name: "cohort_user.changed",
        model: "admissions.CohortUser",
        signal: "updated+",
        action: None,
        description: "Triggered when a student's record in a cohort is saved again",
        fires: Fires::SavedAgain,
        academy: AcademyIn::required(&["cohort", "academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<CohortUser>(),
        example: r#"
{
  "id": 234,
  "user": 789,
  "cohort": 12,
  "role": "STUDENT",
  "watching": true,
  "history_log": {
    "delivered_assignments": [
      {
        "id": 456,
        "type": "PROJECT"
      }
    ],
    "pending_assignments": []
  },
  "finantial_status": "UP_TO_DATE",
  "educational_status": "ACTIVE",
  "source_macro_cohort": null,
  "created_at": "2025-01-10T08:30:00Z",
  "updated_at": "2025-01-18T13:05:00Z"
}
"#,
    },
    CatalogEvent {
        name: "cohort_user.edu_status_updated",
        model: "admissions.CohortUser",
        signal: "student_edu_status_updated",
        action: Some("edu_status_updated"),
        description: "Triggered when a student is added to a cohort or the student's educational status changes",
        fires: Fires::CreatedOrChanged("educational_status"),
        academy: AcademyIn::required(&["cohort", "academy"]),
        required: &[Required::ID, Required::MayBeNull(&["educational_status"])],
        fills: &[],
        payload: PayloadType::of::<EduStatusUpdated>(),
        example: r#"
{
  "id": 234,
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe"
  },
  "cohort": {
    "id": 12,
    "name": "Full Stack Development - Cohort 45",
    "slug": "full-stack-45"
  },
  "role": "STUDENT",
  "educational_status": "GRADUATED",
  "created_at": "2025-01-10T08:30:00Z",
  "updated_at": "2025-06-30T16:00:00Z"
}
"#,
    },
];

/// The payload of `cohort.cohort_stage_updated`: the cohort.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct CohortStageUpdated {
    /// The cohort's number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The language it is taught in.
    pub language: Option<String>,
    /// When it begins.
    pub kickoff_date: Option<Time>,
    /// When it ends; null for one that never does.
    pub ending_date: Option<Time>,
    /// The address of its introductory video.
    pub intro_video: Option<String>,
    /// The day of the syllabus that it is at.
    pub current_day: Option<i64>,
    /// The module of the syllabus that it is at.
    pub current_module: Option<i64>,
    /// Whether students can take part from afar.
    pub remote_available: Option<bool>,
    /// Where it meets online.
    pub online_meeting_url: Option<String>,
    /// What has happened in it, day by day.
    pub history_log: Option<Free>,
    /// The syllabus that it follows.
    pub syllabus_version: Option<SyllabusVersion>,
    /// The academy it is at.
    pub academy: Option<AcademyOrKey>,
    /// How far it is now.
    pub stage: Option<CohortStage>,
    /// Whether it is hidden before it starts.
    pub is_hidden_on_prework: Option<bool>,
    /// Whether it is open to students of other academies.
    pub available_as_saas: Option<bool>,
    /// Links that its students are shown.
    pub shortcuts: Option<Free>,
}

/// A version of a syllabus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct SyllabusVersion {
    /// The version's number.
    pub version: Option<i64>,
    /// The version's name.
    pub name: Option<String>,
    /// The syllabus.
    pub syllabus: Option<Syllabus>,
}

/// A syllabus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Syllabus {
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// The payload of `cohort_user.added` and `cohort_user.changed`: a student in a cohort.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct CohortUser {
    /// The number of this record.
    pub id: Option<Id>,
    /// The student.
    pub user: Option<UserOrId>,
    /// The cohort.
    pub cohort: Option<CohortOrId>,
    /// What the user is in the cohort.
    pub role: Option<CohortRole>,
    /// Whether the student is being watched.
    pub watching: Option<bool>,
    /// Which assignments the student has delivered, and which not.
    pub history_log: Option<Free>,
    /// How the student's payments stand.
    pub finantial_status: Option<FinantialStatus>,
    /// How the student's studies stand.
    pub educational_status: Option<EducationalStatus>,
    /// The cohort that this one is a part of.
    pub source_macro_cohort: Option<Free>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
    /// The student's profile at the academy.
    pub profile_academy: Option<StudentProfile>,
}

/// The payload of `cohort_user.edu_status_updated`: a student in a cohort.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct EduStatusUpdated {
    /// The number of this record.
    pub id: Option<Id>,
    /// The student.
    pub user: Option<UserOrId>,
    /// The cohort.
    pub cohort: Option<CohortOrId>,
    /// What the user is in the cohort.
    pub role: Option<CohortRole>,
    /// How the student's payments stand.
    pub finantial_status: Option<FinantialStatus>,
    /// How the student's studies stand now.
    pub educational_status: Option<EducationalStatus>,
    /// Whether the student is being watched.
    pub watching: Option<bool>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
    /// The student's profile at the academy.
    pub profile_academy: Option<StudentProfile>,
}

/// What an academy knows of a student.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct StudentProfile {
    /// The profile's number.
    pub id: Option<Id>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// Where the student lives.
    pub address: Option<String>,
}

vocabulary! {
    /// How far a cohort is.
    CohortStage {
        /// Not started.
        Inactive = "INACTIVE",
        /// Pre-course work.
        Prework = "PREWORK",
        /// Active learning.
        Started = "STARTED",
        /// Working on the final project.
        FinalProject = "FINAL_PROJECT",
        /// Completed.
        Ended = "ENDED",
        /// Archived.
        Deleted = "DELETED",
    }
}

vocabulary! {
    /// What a user is in a cohort.
    CohortRole {
        /// Regular student.
        Student = "STUDENT",
        /// Instructor.
        Teacher = "TEACHER",
        /// Teaching assistant.
        Assistant = "ASSISTANT",
    }
}

vocabulary! {
    /// How a student's payments stand.
    FinantialStatus {
        /// Payment complete.
        FullyPaid = "FULLY_PAID",
        /// Payment current.
        UpToDate = "UP_TO_DATE",
        /// Payment overdue.
        Late = "LATE",
    }
}

vocabulary! {
    /// How a student's studies stand.
    EducationalStatus {
        /// Currently active.
        Active = "ACTIVE",
        /// Temporarily paused.
        Postponed = "POSTPONED",
        /// Suspended.
        Suspended = "SUSPENDED",
        /// Completed the program.
        Graduated = "GRADUATED",
        /// Withdrew from the program.
        Dropped = "DROPPED",
    }
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "a cohort is made",
            model: "admissions.Cohort",
            before: "null",
            after: r#"{"id": 12, "stage": "PREWORK", "academy": {"id": 4}}"#,
            events: &["cohort.cohort_stage_updated"],
        },
        ChangeCase {
            what: "a cohort starts",
            model: "admissions.Cohort",
            before: r#"{"id": 12, "stage": "PREWORK", "academy": 4}"#,
            after: r#"{"id": 12, "stage": "STARTED", "academy": 4}"#,
            events: &["cohort.cohort_stage_updated"],
        },
        ChangeCase {
            what: "a cohort is saved again in the same stage",
            model: "admissions.Cohort",
            before: r#"{"id": 12, "stage": "STARTED", "name": "45", "academy": 4}"#,
            after: r#"{"id": 12, "stage": "STARTED", "name": "46", "academy": 4}"#,
            events: &[],
        },
        ChangeCase {
            what: "a student is added to a cohort",
            model: "admissions.CohortUser",
            before: "null",
            after: r#"{"id": 234, "cohort": {"id": 12, "academy": {"slug": "downtown-campus"}}, "educational_status": "ACTIVE"}"#,
            events: &["cohort_user.added", "cohort_user.edu_status_updated"],
        },
        ChangeCase {
            what: "a student is saved again in the same educational status",
            model: "admissions.CohortUser",
            before: r#"{"id": 234, "cohort": {"id": 12, "academy": 4}, "educational_status": "ACTIVE"}"#,
            after: r#"{"id": 234, "cohort": {"id": 12, "academy": 4}, "educational_status": "ACTIVE"}"#,
            events: &["cohort_user.changed"],
        },
        ChangeCase {
            what: "a student graduates",
            model: "admissions.CohortUser",
            before: r#"{"id": 234, "cohort": {"id": 12, "academy": 4}, "educational_status": "ACTIVE"}"#,
            after: r#"{"id": 234, "cohort": {"id": 12, "academy": 4}, "educational_status": "GRADUATED"}"#,
            events: &["cohort_user.changed", "cohort_user.edu_status_updated"],
        },
    ];
}
