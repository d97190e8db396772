//! Events at academies, and the users who come.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fill, Fires, Required, Row,
    parts::{AcademyOrKey, CityOrName, UserOrId},
    payload::{Free, Id, Key, PayloadType, Time, related, vocabulary},
};

pub(super) const ROWS: &[Row] = &[
    CatalogEvent {
        name: "event.event_rescheduled",
        model: "events.Event",
        signal: "event_rescheduled",
        action: None,
        description: "Triggered when an event's starting time changes",
        fires: Fires::Changed("starting_at"),
        academy: AcademyIn::optional(&["academy"]),
        required: &[
            Required::Present(&["event", "id"]),
            Required::MayBeNull(&["event", "starting_at"]),
        ],
        fills: &[
            Fill {
                field: "event",
                from: &[],
                otherwise: None,
            },
            Fill {
                field: "recipients",
                from: &["recipients"],
                otherwise: Some("[]"),
            },
        ],
        payload: PayloadType::of::<EventRescheduled>(),
        example: r#"
{
  "event": {
    "id": 234,
    "title": "Introduction to Python Workshop",
    "starting_at": "2025-01-28T18:00:00Z",
    "ending_at": "2025-01-28T20:00:00Z",
    "event_type": {
      "id": 3,
      "slug": "workshop",
      "name": "Workshop"
    },
    "slug": "intro-python-workshop-jan-2025",
    "excerpt": "Write a first Python program in two hours",
    "lang": "en",
    "url": "https://downtown-campus.example.com/events/intro-python-workshop-jan-2025",
    "banner": "https://downtown-campus.example.com/images/intro-python-workshop.png",
    "description": null,
    "capacity": 50,
    "status": "ACTIVE",
    "host": null,
    "ended_at": null,
    "online_event": false,
    "venue": {
      "id": 9,
      "title": "Downtown Campus Room 101",
      "street_address": "123 Tech Street",
      "city": {
        "name": "San Francisco"
      }
    },
    "academy": {
      "id": 4,
      "slug": "downtown-campus",
      "name": "Downtown Campus",
      "city": {
        "name": "San Francisco"
      }
    },
    "sync_with_eventbrite": false,
    "eventbrite_sync_status": "PENDING",
    "eventbrite_sync_description": null,
    "tags": "python,beginners",
    "asset_slug": null,
    "host_user": null,
    "author": null,
    "asset": null,
    "is_public": true,
    "recording_url": null,
    "live_stream_url": null
  },
  "recipients": [
    "jane.doe@example.com",
    "john.smith@example.com"
  ]
}
"#,
    },
    CatalogEvent {
        name: "event.event_status_updated",
        model: "events.Event",
        signal: "event_status_updated",
        action: None,
        description: "Triggered when an event's status changes",
        fires: Fires::Changed("status"),
        academy: AcademyIn::optional(&["academy"]),
        required: &[Required::ID, Required::MayBeNull(&["status"])],
        fills: &[],
        payload: PayloadType::of::<Event>(),
        example: r#"
{
  "id": 234,
  "title": "Introduction to Python Workshop",
  "starting_at": "2025-01-25T18:00:00Z",
  "ending_at": "2025-01-25T20:00:00Z",
  "event_type": {
    "id": 3,
    "slug": "workshop",
    "name": "Workshop"
  },
  "slug": "intro-python-workshop-jan-2025",
  "excerpt": "Write a first Python program in two hours",
  "lang": "en",
  "url": "https://downtown-campus.example.com/events/intro-python-workshop-jan-2025",
  "banner": "https://downtown-campus.example.com/images/intro-python-workshop.png",
  "description": null,
  "capacity": 50,
  "status": "ACTIVE",
  "host": null,
  "ended_at": null,
  "online_event": false,
  "venue": {
    "id": 9,
    "title": "Downtown Campus Room 101",
    "street_address": "123 Tech Street",
    "city": {
      "name": "San Francisco"
    }
  },
  "academy": {
    "id": 4,
    "slug": "downtown-campus",
    "name": "Downtown Campus",
    "city": {
      "name": "San Francisco"
    }
  },
  "sync_with_eventbrite": false,
  "eventbrite_sync_status": "PENDING",
  "eventbrite_sync_description": null,
  "tags": "python,beginners",
  "asset_slug": null,
  "host_user": null,
  "author": null,
  "asset": null,
  "is_public": true,
  "recording_url": null,
  "live_stream_url": null
}
"#,
    },
    CatalogEvent {
        name: "event.new_event_attendee",
        model: "events.EventCheckin",
        signal: "new_event_attendee",
        action: None,
        description: "Triggered when someone registers for an event",
        fires: Fires::Set("attendee"),
        academy: AcademyIn::optional(&["event", "academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<EventCheckin>(),
        example: r#"
{
  "id": 5678,
  "status": "PENDING",
  "attended_at": null,
  "event": {
    "id": 234,
    "title": "Introduction to Python Workshop",
    "slug": "intro-python-workshop-jan-2025",
    "event_type": "workshop",
    "starting_at": "2025-01-25T18:00:00Z",
    "ending_at": "2025-01-25T20:00:00Z",
    "capacity": 50,
    "online_event": false,
    "venue": "Downtown Campus Room 101"
  },
  "attendee": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com"
  },
  "created_at": "2025-01-20T12:30:00Z",
  "updated_at": "2025-01-20T12:30:00Z"
}
"#,
    },
    CatalogEvent {
        name: "event.new_event_order",
        model: "events.EventCheckin",
        signal: "new_event_order",
        action: None,
        description: "Triggered when a person registers for an event",
        fires: Fires::Created,
        academy: AcademyIn::optional(&["event", "academy"]),
        required: &[Required::ID],
        fills: &[],
        payload: PayloadType::of::<EventCheckin>(),
        example: r#"
{
  "id": 5678,
  "email": "jane.doe@example.com",
  "phone": null,
  "status": "PENDING",
  "utm_url": null,
  "utm_source": "newsletter",
  "utm_campaign": "winter-2025",
  "utm_medium": "email",
  "utm_location": null,
  "created_at": "2025-01-20T12:30:00Z",
  "attended_at": null,
  "first_name": "Jane",
  "last_name": "Doe",
  "attendee": {
    "id": 789,
    "first_name": "Jane",
    "last_name": "Doe"
  },
  "event": {
    "id": 234,
    "title": "Introduction to Python Workshop",
    "starting_at": "2025-01-25T18:00:00Z",
    "ending_at": "2025-01-25T20:00:00Z",
    "event_type": {
      "id": 3,
      "slug": "workshop",
      "name": "Workshop"
    },
    "slug": "intro-python-workshop-jan-2025",
    "excerpt": "Write a first Python program in two hours",
    "lang": "en",
    "url": "https://downtown-campus.example.com/events/intro-python-workshop-jan-2025",
    "banner": "https://downtown-campus.example.com/images/intro-python-workshop.png",
    "description": null,
    "capacity": 50,
    "status": "ACTIVE",
    "host": null,
    "ended_at": null,
    "online_event": false,
    "venue": {
      "id": 9,
      "title": "Downtown Campus Room 101",
      "street_address": "123 Tech Street",
      "city": {
        "name": "San Francisco"
      }
    },
    "academy": {
      "id": 4,
      "slug": "downtown-campus",
      "name": "Downtown Campus",
      "city": {
        "name": "San Francisco"
      }
    },
    "sync_with_eventbrite": false,
    "eventbrite_sync_status": "PENDING",
    "eventbrite_sync_description": null,
    "tags": "python,beginners",
    "asset_slug": null,
    "host_user": null,
    "author": null,
    "asset": null,
    "is_public": true,
    "recording_url": null,
    "live_stream_url": null
  },
  "user_language": "en"
}
"#,
    },
];

/// The payload of `event.event_rescheduled`: the event, and whom to tell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct EventRescheduled {
    /// The event.
    pub event: Event,
    /// The e-mail addresses of those who are to know.
    pub recipients: Option<Vec<String>>,
}

/// The payload of `event.new_event_attendee` and `event.new_event_order`: a place at an event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct EventCheckin {
    /// The number of this record.
    pub id: Option<Id>,
    /// The e-mail address of the person who registered.
    pub email: Option<String>,
    /// The person's phone number.
    pub phone: Option<String>,
    /// Whether the person has come.
    pub status: Option<CheckinStatus>,
    /// The address through which the person came.
    pub utm_url: Option<String>,
    /// The site through which the person came.
    pub utm_source: Option<String>,
    /// The campaign through which the person came.
    pub utm_campaign: Option<String>,
    /// The kind of link through which the person came.
    pub utm_medium: Option<String>,
    /// The place that the campaign is for.
    pub utm_location: Option<String>,
    /// When the person registered.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
    /// When the person came.
    pub attended_at: Option<Time>,
    /// The person's first name.
    pub first_name: Option<String>,
    /// The person's last name.
    pub last_name: Option<String>,
    /// The user that the person is; null while there is none.
    pub attendee: Option<UserOrId>,
    /// The event.
    pub event: Option<EventOrId>,
    /// The person's language.
    pub user_language: Option<String>,
}

/// An event at an academy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Event {
    /// The event's number.
    pub id: Option<Id>,
    /// Its title.
    pub title: Option<String>,
    /// When it begins.
    pub starting_at: Option<Time>,
    /// When it ends.
    pub ending_at: Option<Time>,
    /// What kind of event it is.
    pub event_type: Option<EventTypeOrKey>,
    /// Its short name.
    pub slug: Option<String>,
    /// What it is about, in a sentence.
    pub excerpt: Option<String>,
    /// The language that it is in.
    pub lang: Option<String>,
    /// Where users register for it.
    pub url: Option<String>,
    /// The address of its picture.
    pub banner: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// How many can attend.
    pub capacity: Option<i64>,
    /// How far it is, such as `ACTIVE`.
    pub status: Option<String>,
    /// Who gives it.
    pub host: Option<Free>,
    /// When it did end.
    pub ended_at: Option<Time>,
    /// Whether it takes place online.
    pub online_event: Option<bool>,
    /// Where it takes place.
    pub venue: Option<VenueOrKey>,
    /// The academy that it is of.
    pub academy: Option<AcademyOrKey>,
    /// Whether it is kept on Eventbrite as well.
    pub sync_with_eventbrite: Option<bool>,
    /// How far that is, such as `PENDING`.
    pub eventbrite_sync_status: Option<String>,
    /// More on how far that is.
    pub eventbrite_sync_description: Option<String>,
    /// Its tags, with commas between them.
    pub tags: Option<String>,
    /// The short name of the learning asset that it uses.
    pub asset_slug: Option<String>,
    /// The user who gives it.
    pub host_user: Option<Free>,
    /// The user who made it.
    pub author: Option<Free>,
    /// The learning asset that it uses.
    pub asset: Option<Free>,
    /// Whether everybody can see it.
    pub is_public: Option<bool>,
    /// Where its recording is.
    pub recording_url: Option<String>,
    /// Where it can be watched as it happens.
    pub live_stream_url: Option<String>,
}

/// A kind of events.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct EventType {
    /// Its number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// A place where events are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Venue {
    /// Its number.
    pub id: Option<Id>,
    /// Its name.
    pub title: Option<String>,
    /// Its street and number.
    pub street_address: Option<String>,
    /// The city it is in.
    pub city: Option<CityOrName>,
}

related! {
    /// An event, or its number alone.
    EventOrId = Id | Event
}

related! {
    /// A kind of events, or its number or name alone.
    EventTypeOrKey = Key | EventType
}

related! {
    /// A place where events are, or its number or name alone.
    VenueOrKey = Key | Venue
}

vocabulary! {
    /// Whether a person has come to an event.
    CheckinStatus {
        /// Registered.
        Pending = "PENDING",
        /// Attended.
        Done = "DONE",
    }
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "an event is made",
            model: "events.Event",
            before: "null",
            after: r#"{"id": 234, "status": "DRAFT", "starting_at": "2025-01-25T18:00:00Z", "academy": 4}"#,
            events: &[],
        },
        ChangeCase {
            what: "an event is put off",
            model: "events.Event",
            before: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00Z", "recipients": ["jane.doe@example.com"], "academy": 4}"#,
            after: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-28T18:00:00Z", "recipients": ["jane.doe@example.com"], "academy": 4}"#,
            events: &["event.event_rescheduled"],
        },
        ChangeCase {
            what: "an event is put off that nobody registered for",
            model: "events.Event",
            before: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00Z", "academy": 4}"#,
            after: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-28T18:00:00Z", "academy": 4}"#,
            events: &["event.event_rescheduled"],
        },
        ChangeCase {
            what: "an event gets its time",
            model: "events.Event",
            before: r#"{"id": 234, "status": "DRAFT", "starting_at": null, "academy": 4}"#,
            after: r#"{"id": 234, "status": "DRAFT", "starting_at": "2025-01-28T18:00:00Z", "academy": 4}"#,
            events: &["event.event_rescheduled"],
        },
        ChangeCase {
            what: "an event's time is written with another offset",
            model: "events.Event",
            before: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00Z", "academy": 4}"#,
            after: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T13:00:00-05:00", "academy": 4}"#,
            events: &[],
        },
        ChangeCase {
            what: "an event is published",
            model: "events.Event",
            before: r#"{"id": 234, "status": "DRAFT", "starting_at": "2025-01-25T18:00:00Z", "academy": 4}"#,
            after: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00+00:00", "academy": 4}"#,
            events: &["event.event_status_updated"],
        },
        ChangeCase {
            what: "an event of no academy is published",
            model: "events.Event",
            before: r#"{"id": 234, "status": "DRAFT", "starting_at": "2025-01-25T18:00:00Z", "academy": null}"#,
            after: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00Z", "academy": null}"#,
            events: &["event.event_status_updated"],
        },
        ChangeCase {
            what: "an event is published and put off at once",
            model: "events.Event",
            before: r#"{"id": 234, "status": "DRAFT", "starting_at": "2025-01-25T18:00:00Z", "academy": 4}"#,
            after: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-28T18:00:00Z", "academy": 4}"#,
            events: &["event.event_rescheduled", "event.event_status_updated"],
        },
        ChangeCase {
            what: "an event is saved again at the same time and in the same status",
            model: "events.Event",
            before: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00Z", "capacity": 50, "academy": 4}"#,
            after: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00Z", "capacity": 60, "academy": 4}"#,
            events: &[],
        },
        ChangeCase {
            what: "an event is deleted",
            model: "events.Event",
            before: r#"{"id": 234, "status": "ACTIVE", "starting_at": "2025-01-25T18:00:00Z", "academy": 4}"#,
            after: "null",
            events: &[],
        },
        ChangeCase {
            what: "a person without an account registers for an event",
            model: "events.EventCheckin",
            before: "null",
            after: r#"{"id": 5678, "status": "PENDING", "attendee": null, "event": {"id": 234, "academy": {"id": 4}}}"#,
            events: &["event.new_event_order"],
        },
        ChangeCase {
            what: "a user registers for an event",
            model: "events.EventCheckin",
            before: "null",
            after: r#"{"id": 5678, "status": "PENDING", "attendee": {"id": 789}, "event": {"id": 234, "academy": {"id": 4}}}"#,
            events: &["event.new_event_attendee", "event.new_event_order"],
        },
        ChangeCase {
            what: "a user registers for an event of no academy",
            model: "events.EventCheckin",
            before: "null",
            after: r#"{"id": 5678, "status": "PENDING", "attendee": 789, "event": {"id": 234, "academy": null}}"#,
            events: &["event.new_event_attendee", "event.new_event_order"],
        },
        ChangeCase {
            what: "a person who registered gets an account",
            model: "events.EventCheckin",
            before: r#"{"id": 5678, "status": "PENDING", "attendee": null, "event": {"id": 234, "academy": {"id": 4}}}"#,
            after: r#"{"id": 5678, "status": "PENDING", "attendee": {"id": 789}, "event": {"id": 234, "academy": {"id": 4}}}"#,
            events: &["event.new_event_attendee"],
        },
        ChangeCase {
            what: "a registration goes to another user",
            model: "events.EventCheckin",
            before: r#"{"id": 5678, "status": "PENDING", "attendee": {"id": 789}, "event": {"id": 234, "academy": {"id": 4}}}"#,
            after: r#"{"id": 5678, "status": "PENDING", "attendee": {"id": 790}, "event": {"id": 234, "academy": {"id": 4}}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a user who registered attends the event",
            model: "events.EventCheckin",
            before: r#"{"id": 5678, "status": "PENDING", "attendee": {"id": 789}, "event": {"id": 234, "academy": {"id": 4}}}"#,
            after: r#"{"id": 5678, "status": "DONE", "attendee": {"id": 789}, "event": {"id": 234, "academy": {"id": 4}}}"#,
            events: &[],
        },
        ChangeCase {
            what: "a user's registration is taken back",
            model: "events.EventCheckin",
            before: r#"{"id": 5678, "status": "PENDING", "attendee": {"id": 789}, "event": {"id": 234, "academy": {"id": 4}}}"#,
            after: r#"{"id": 5678, "status": "PENDING", "attendee": null, "event": {"id": 234, "academy": {"id": 4}}}"#,
            events: &[],
        },
    ];
}
