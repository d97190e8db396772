//! Members of academies, and invitations.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fires, Required, Row,
    parts::{AcademyOrKey, CityOrName, CohortOrId, CountryOrName, UserOrId},
    payload::{Decimal, Degrees, Free, Id, Name, PayloadType, Time, related, vocabulary},
};

pub(super) const ROWS: &[Row] = &[
    CatalogEvent {
        name: "profile_academy.added",
        model: "authenticate.ProfileAcademy",
        signal: "created+",
        action: None,
        description: "Triggered when a new member is added to an academy",
        fires: Fires::Created,
        academy: AcademyIn::required(&["academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<ProfileAcademy>(),
        example: r#"
{
  "id": 567,
  "user": 789,
  "email": "jane.doe@example.com",
  "academy": 4,
  "role": "student",
  "first_name": "Jane",
  "last_name": "Doe",
  "address": "123 Main St",
  "phone": "+1234567890",
  "status": "INVITED",
  "created_at": "2025-01-08T11:00:00Z",
  "updated_at": "2025-01-08T11:00:00Z"
}
"#,
    },
    CatalogEvent {
        name: "profile_academy.changed",
        model: "authenticate.ProfileAcademy",
        signal: "updated+",
        action: None,
        description: "Triggered when an academy member's profile is saved again",
        fires: Fires::SavedAgain,
        academy: AcademyIn::required(&["academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<ProfileAcademy>(),
        example: r#"
{
  "id": 567,
  "user": 789,
  "email": "jane.doe@example.com",
  "academy": 4,
  "role": "student",
  "first_name": "Jane",
  "last_name": "Doe",
  "address": "123 Main St",
  "phone": "+1234567890",
  "status": "ACTIVE",
  "created_at": "2025-01-08T11:00:00Z",
  "updated_at": "2025-01-09T08:40:00Z"
}
"#,
    },
    CatalogEvent {
        name: "user_invite.invite_status_updated",
        model: "authenticate.UserInvite",
        signal: "invite_status_updated",
        action: None,
        description: "Triggered when an invitation is created or its status changes (accepted, rejected)",
        fires: Fires::CreatedOrChanged("status"),
        academy: AcademyIn::optional(&["academy"]),
        required: &[Required::ID, Required::MayBeNull(&["status"])],
        fills: &[],
        payload: PayloadType::of::<InviteStatusUpdated>(),
        example: r#"
{
  "id": 678,
  "email": "jane.doe@example.com",
  "is_email_validated": true,
  "has_marketing_consent": false,
  "user": 789,
  "academy": 4,
  "syllabus": null,
  "cohort": 12,
  "course": null,
  "role": "student",
  "event_slug": null,
  "asset_slug": null,
  "first_name": "Jane",
  "last_name": "Doe",
  "author": 123,
  "status": "ACCEPTED",
  "process_status": "DONE",
  "process_message": "",
  "phone": "+1234567890",
  "created_at": "2025-01-08T11:00:00Z",
  "updated_at": "2025-01-09T08:40:00Z",
  "sent_at": "2025-01-08T11:01:00Z",
  "opened_at": "2025-01-09T08:30:00Z",
  "clicked_at": "2025-01-09T08:32:00Z",
  "expires_at": null,
  "country": "USA",
  "city": "San Francisco",
  "latitude": null,
  "longitude": null,
  "conversion_info": null,
  "email_quality": null,
  "email_status": null,
  "welcome_video": null,
  "student_plan_access": null,
  "subscription_seat": null,
  "plan_financing_seat": null,
  "payment_method": null
}
"#,
    },
];

/// The payload of `profile_academy.added` and `profile_academy.changed`: a member of an academy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct ProfileAcademy {
    /// The number of this record.
    pub id: Option<Id>,
    /// The user who is the member; null until the invitation is accepted.
    pub user: Option<UserOrId>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The academy.
    pub academy: Option<AcademyOrKey>,
    /// What the member is at the academy.
    pub role: Option<RoleOrSlug>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// Where the member lives.
    pub address: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// Whether the member has joined, such as `INVITED` or `ACTIVE`.
    pub status: Option<String>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
}

/// The payload of `user_invite.invite_status_updated`: the invitation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct InviteStatusUpdated {
    /// The invitation's number.
    pub id: Option<Id>,
    /// The e-mail address that it went to.
    pub email: Option<String>,
    /// Whether the e-mail address is known to be the user's.
    pub is_email_validated: Option<bool>,
    /// Whether the user agreed to be sent advertising.
    pub has_marketing_consent: Option<bool>,
    /// The user who is invited, once there is one.
    pub user: Option<UserOrId>,
    /// The academy that the invitation is to.
    pub academy: Option<AcademyOrKey>,
    /// The syllabus that it is to.
    pub syllabus: Option<Free>,
    /// The cohort that it is to.
    pub cohort: Option<CohortOrId>,
    /// The course that it is to.
    pub course: Option<Free>,
    /// What the user will be at the academy.
    pub role: Option<RoleOrSlug>,
    /// The short name of the event through which the user came.
    pub event_slug: Option<String>,
    /// The short name of the learning asset through which the user came.
    pub asset_slug: Option<String>,
    /// The user's first name.
    pub first_name: Option<String>,
    /// The user's last name.
    pub last_name: Option<String>,
    /// The user who invites.
    pub author: Option<UserOrId>,
    /// How far the invitation is now.
    pub status: Option<InviteStatus>,
    /// How far the platform is with it, such as `DONE`.
    pub process_status: Option<String>,
    /// More on how far the platform is with it.
    pub process_message: Option<String>,
    /// The user's phone number.
    pub phone: Option<String>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
    /// When the invitation was sent.
    pub sent_at: Option<Time>,
    /// When it was opened.
    pub opened_at: Option<Time>,
    /// When its link was followed.
    pub clicked_at: Option<Time>,
    /// When it expires.
    pub expires_at: Option<Time>,
    /// The country the user is in.
    pub country: Option<CountryOrName>,
    /// The city the user is in.
    pub city: Option<CityOrName>,
    /// How far north the user is, in degrees.
    pub latitude: Option<Degrees>,
    /// How far east the user is, in degrees.
    pub longitude: Option<Degrees>,
    /// Where the user came from.
    pub conversion_info: Option<Free>,
    /// How good the e-mail address is.
    pub email_quality: Option<Decimal>,
    /// What is known of the e-mail address.
    pub email_status: Option<Free>,
    /// The video that welcomes the user.
    pub welcome_video: Option<Free>,
    /// What gives the student access to a plan.
    pub student_plan_access: Option<Free>,
    /// The subscription's seat that it is for.
    pub subscription_seat: Option<Free>,
    /// The financing plan's seat that it is for.
    pub plan_financing_seat: Option<Free>,
    /// How the user is to pay.
    pub payment_method: Option<Free>,
}

/// What a member is at an academy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Role {
    /// What it is found by.
    pub id: Option<Free>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

related! {
    /// A role, or its short name alone.
    RoleOrSlug = Name | Role
}

vocabulary! {
    /// How far an invitation is.
    InviteStatus {
        /// Accepted by the user.
        Accepted = "ACCEPTED",
        /// Rejected.
        Rejected = "REJECTED",
    }
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "a member is added to an academy",
            model: "authenticate.ProfileAcademy",
            before: "null",
            after: r#"{"id": 567, "status": "INVITED", "academy": 4}"#,
            events: &["profile_academy.added"],
        },
        ChangeCase {
            what: "a member joins an academy",
            model: "authenticate.ProfileAcademy",
            before: r#"{"id": 567, "status": "INVITED", "academy": {"slug": "downtown-campus"}}"#,
            after: r#"{"id": 567, "status": "ACTIVE", "academy": {"slug": "downtown-campus"}}"#,
            events: &["profile_academy.changed"],
        },
        ChangeCase {
            what: "a member is saved again as it was",
            model: "authenticate.ProfileAcademy",
            before: r#"{"id": 567, "status": "ACTIVE", "academy": 4}"#,
            after: r#"{"id": 567, "status": "ACTIVE", "academy": 4}"#,
            events: &["profile_academy.changed"],
        },
        ChangeCase {
            what: "a user is invited",
            model: "authenticate.UserInvite",
            before: "null",
            after: r#"{"id": 678, "status": "PENDING", "academy": 4}"#,
            events: &["user_invite.invite_status_updated"],
        },
        ChangeCase {
            what: "a user is invited to no academy",
            model: "authenticate.UserInvite",
            before: "null",
            after: r#"{"id": 678, "status": "PENDING", "academy": null}"#,
            events: &["user_invite.invite_status_updated"],
        },
        ChangeCase {
            what: "an invitation is accepted",
            model: "authenticate.UserInvite",
            before: r#"{"id": 678, "status": "PENDING", "academy": 4}"#,
            after: r#"{"id": 678, "status": "ACCEPTED", "academy": 4}"#,
            events: &["user_invite.invite_status_updated"],
        },
        ChangeCase {
            what: "an invitation is saved again in the same status",
            model: "authenticate.UserInvite",
            before: r#"{"id": 678, "status": "PENDING", "opened_at": null, "academy": 4}"#,
            after: r#"{"id": 678, "status": "PENDING", "opened_at": "2025-01-09T08:30:00Z", "academy": 4}"#,
            events: &[],
        },
        ChangeCase {
            what: "an invitation is deleted",
            model: "authenticate.UserInvite",
            before: r#"{"id": 678, "status": "PENDING", "academy": 4}"#,
            after: "null",
            events: &[],
        },
    ];
}
