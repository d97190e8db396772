//! Assignments, and how far students are with them.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fires, Required, Row,
    parts::{CohortOrId, UserOrId},
    payload::{Free, Id, PayloadType, Time, vocabulary},
};

pub(super) const ROWS: &[Row] = &[
    CatalogEvent {
        name: "assignment.assignment_created",
        model: "assignments.Task",
        signal: "assignment_created",
        action: None,
        description: "Triggered when a new assignment is created for a student",
        fires: Fires::Created,
        academy: AcademyIn::optional(&["cohort", "academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<Assignment>(),
        example: r#"
{
  "id": 456,
  "title": "Build a Todo App",
  "task_status": "PENDING",
  "associated_slug": "build-todo-app",
  "description": "Create a todo application with CRUD operations",
  "revision_status": "PENDING",
  "github_url": null,
  "live_url": null,
  "task_type": "PROJECT",
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe"
  },
  "opened_at": null,
  "read_at": null,
  "reviewed_at": null,
  "delivered_at": null,
  "cohort": {
    "id": 12,
    "name": "Full Stack Development - Cohort 45",
    "slug": "full-stack-45"
  },
  "assignment_telemetry": null,
  "created_at": "2025-01-15T09:00:00Z",
  "updated_at": "2025-01-15T09:00:00Z"
}
"#,
    },
    CatalogEvent {
        name: "assignment.assignment_revision_status_updated",
        model: "assignments.Task",
        signal: "revision_status_updated",
        action: Some("assignment_revision_status_updated"),
        description: "Triggered when an assignment's revision status changes (PENDING, APPROVED, REJECTED)",
        fires: Fires::Changed("revision_status"),
        academy: AcademyIn::optional(&["cohort", "academy"]),
        required: &[Required::ID, Required::MayBeNull(&["revision_status"])],
        fills: &[],
        payload: PayloadType::of::<Assignment>(),
        example: r#"
{
  "id": 456,
  "title": "Build a Todo App",
  "task_status": "DONE",
  "revision_status": "APPROVED",
  "github_url": "https://github.com/student/todo-app",
  "live_url": "https://student.github.io/todo-app",
  "reviewed_at": "2025-01-17T14:20:00Z",
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
  "created_at": "2025-01-15T09:00:00Z",
  "updated_at": "2025-01-17T14:20:00Z"
}
"#,
    },
    CatalogEvent {
        name: "assignment.assignment_status_updated",
        model: "assignments.Task",
        signal: "assignment_status_updated",
        action: None,
        description: "Triggered when an assignment's task status changes (PENDING to DONE)",
        fires: Fires::Changed("task_status"),
        academy: AcademyIn::optional(&["cohort", "academy"]),
        required: &[Required::ID, Required::MayBeNull(&["task_status"])],
        fills: &[],
        payload: PayloadType::of::<Assignment>(),
        example: r#"
{
  "id": 456,
  "title": "Build a Todo App",
  "task_status": "DONE",
  "associated_slug": "build-todo-app",
  "description": "Create a todo application with CRUD operations",
  "revision_status": "PENDING",
  "github_url": "https://github.com/student/todo-app",
  "live_url": "https://student.github.io/todo-app",
  "task_type": "PROJECT",
  "user": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe"
  },
  "opened_at": "2025-01-15T10:00:00Z",
  "read_at": null,
  "reviewed_at": null,
  "delivered_at": "2025-01-16T16:45:00Z",
  "cohort": {
    "id": 12,
    "name": "Full Stack Development - Cohort 45",
    "slug": "full-stack-45"
  },
  "assignment_telemetry": {
    "session_duration": 7200,
    "percentage": 100,
    "completed_at": "2025-01-16T16:40:00Z"
  },
  "created_at": "2025-01-15T09:00:00Z",
  "updated_at": "2025-01-16T16:45:00Z"
}
"#,
    },
];

/// The payload of the events of assignments: a student's assignment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Assignment {
    /// The number of this record.
    pub id: Option<Id>,
    /// The assignment's title.
    pub title: Option<String>,
    /// Whether the student has done it.
    pub task_status: Option<TaskStatus>,
    /// The short name of the learning asset that it is about.
    pub associated_slug: Option<String>,
    /// What is to be done.
    pub description: Option<String>,
    /// What the teacher says of it.
    pub revision_status: Option<RevisionStatus>,
    /// Where the student's code is.
    pub github_url: Option<String>,
    /// Where the student's work can be seen.
    pub live_url: Option<String>,
    /// What kind of assignment it is.
    pub task_type: Option<TaskType>,
    /// The student.
    pub user: Option<UserOrId>,
    /// When the student first opened it.
    pub opened_at: Option<Time>,
    /// When the student read the teacher's answer.
    pub read_at: Option<Time>,
    /// When the teacher reviewed it.
    pub reviewed_at: Option<Time>,
    /// When the student delivered it.
    pub delivered_at: Option<Time>,
    /// The cohort it is set in.
    pub cohort: Option<CohortOrId>,
    /// What was measured while the student worked on it.
    pub assignment_telemetry: Option<Free>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
}

vocabulary! {
    /// Whether an assignment is done.
    TaskStatus {
        /// Not started.
        Pending = "PENDING",
        /// Completed by the student.
        Done = "DONE",
    }
}

vocabulary! {
    /// What a teacher says of an assignment.
    RevisionStatus {
        /// Awaiting review.
        Pending = "PENDING",
        /// Accepted by the teacher.
        Approved = "APPROVED",
        /// Needs improvements.
        Rejected = "REJECTED",
    }
}

vocabulary! {
    /// What kind of assignment it is.
    TaskType {
        /// Full project assignment.
        Project = "PROJECT",
        /// Practice exercise.
        Exercise = "EXERCISE",
        /// Lesson or reading.
        Lesson = "LESSON",
        /// Quiz or assessment.
        Quiz = "QUIZ",
    }
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "an assignment is created, with both of its statuses",
            model: "assignments.Task",
            before: "null",
            after: r#"{"id": 456, "task_status": "PENDING", "revision_status": "PENDING", "cohort": {"id": 12, "academy": {"slug": "downtown-campus"}}}"#,
            events: &["assignment.assignment_created"],
        },
        ChangeCase {
            what: "an assignment is created in no cohort",
            model: "assignments.Task",
            before: "null",
            after: r#"{"id": 456, "task_status": "PENDING", "revision_status": "PENDING", "cohort": null}"#,
            events: &["assignment.assignment_created"],
        },
        ChangeCase {
            what: "an assignment is created in a cohort of no academy",
            model: "assignments.Task",
            before: "null",
            after: r#"{"id": 456, "task_status": "PENDING", "revision_status": "PENDING", "cohort": {"id": 12, "academy": null}}"#,
            events: &["assignment.assignment_created"],
        },
        ChangeCase {
            what: "an assignment is delivered",
            model: "assignments.Task",
            before: r#"{"id": 456, "task_status": "PENDING", "revision_status": "PENDING", "cohort": {"id": 12, "academy": 4}}"#,
            after: r#"{"id": 456, "task_status": "DONE", "revision_status": "PENDING", "cohort": {"id": 12, "academy": 4}}"#,
            events: &["assignment.assignment_status_updated"],
        },
        ChangeCase {
            what: "an assignment of no cohort is delivered",
            model: "assignments.Task",
            before: r#"{"id": 456, "task_status": "PENDING", "revision_status": "PENDING", "cohort": null}"#,
            after: r#"{"id": 456, "task_status": "DONE", "revision_status": "PENDING", "cohort": null}"#,
            events: &["assignment.assignment_status_updated"],
        },
        ChangeCase {
            what: "an assignment is approved",
            model: "assignments.Task",
            before: r#"{"id": 456, "task_status": "DONE", "revision_status": "PENDING", "cohort": {"id": 12, "academy": 4}}"#,
            after: r#"{"id": 456, "task_status": "DONE", "revision_status": "APPROVED", "cohort": {"id": 12, "academy": 4}}"#,
            events: &["assignment.assignment_revision_status_updated"],
        },
        ChangeCase {
            what: "an assignment is approved at once",
            model: "assignments.Task",
            before: r#"{"id": 456, "task_status": "PENDING", "revision_status": "PENDING", "cohort": {"id": 12, "academy": 4}}"#,
            after: r#"{"id": 456, "task_status": "DONE", "revision_status": "APPROVED", "cohort": {"id": 12, "academy": 4}}"#,
            events: &[
                "assignment.assignment_revision_status_updated",
                "assignment.assignment_status_updated",
            ],
        },
        ChangeCase {
            what: "an assignment is saved again in the same statuses",
            model: "assignments.Task",
            before: r#"{"id": 456, "task_status": "DONE", "revision_status": "APPROVED", "live_url": null, "cohort": {"id": 12, "academy": 4}}"#,
            after: r#"{"id": 456, "task_status": "DONE", "revision_status": "APPROVED", "live_url": "https://student.github.io", "cohort": {"id": 12, "academy": 4}}"#,
            events: &[],
        },
        ChangeCase {
            what: "an assignment is deleted",
            model: "assignments.Task",
            before: r#"{"id": 456, "task_status": "DONE", "revision_status": "APPROVED", "cohort": {"id": 12, "academy": 4}}"#,
            after: "null",
            events: &[],
        },
    ];
}
