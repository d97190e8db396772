//! A hook: who listens, to what, and where the answer goes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Counts, HookId, Target};
use crate::clock;

/// Whose events a hook hears, and so the partition it is stored in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Scope {
    /// Those of the academy with this slug.
    Academy(String),
    /// Those of every academy and those of none: the hooks of superadmins.
    Platform,
}

impl Scope {
    /// Where the hooks of `username` live: a superadmin's hear the whole platform, everyone else's
    /// the academy that has the user's name as its slug (an academy that may not exist: such hooks
    /// are kept and simply hear nothing).
    #[must_use]
    pub fn of_owner(username: &str, is_superadmin: bool) -> Self {
        if is_superadmin {
            Self::Platform
        } else {
            Self::Academy(username.to_owned())
        }
    }

    /// The academy's slug; none for those of every academy.
    #[must_use]
    pub fn academy(&self) -> Option<&str> {
        match self {
            Self::Academy(slug) => Some(slug),
            Self::Platform => None,
        }
    }

    /// The scope as a key: the slug, or `*`, which no slug can be.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.academy().unwrap_or("*")
    }
}

impl From<String> for Scope {
    fn from(key: String) -> Self {
        if key == "*" {
            Self::Platform
        } else {
            Self::Academy(key)
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.as_str().to_owned()
    }
}

/// What a subscriber decides about a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The event's name, one of the catalogue's.
    pub event: String,
    /// Where deliveries go.
    pub target: Target,
    /// The subscriber's own label. An empty text and none are two different values.
    pub service_id: Option<String>,
}

/// A stored subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its id.
    pub id: HookId,
    /// Whose events it hears.
    pub scope: Scope,
    /// The user who made it.
    pub owner: String,
    /// What it asks for.
    pub subscription: Subscription,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the subscription was last edited; calls do not change it.
    pub updated_at: Timestamp,
}

impl Hook {
    /// Whether an event of `academy` (none: an event of the platform itself) is for this hook.
    #[must_use]
    pub fn hears(&self, academy: Option<&str>) -> bool {
        match &self.scope {
            Scope::Platform => true,
            Scope::Academy(slug) => academy == Some(slug),
        }
    }

    /// The hook as subscribers see it, with nothing expanded.
    #[must_use]
    pub fn view(&self, stats: HookStats) -> HookView {
        HookView {
            id: self.id,
            event: self.subscription.event.clone(),
            target: self.subscription.target.as_str().to_owned(),
            service_id: self.subscription.service_id.clone(),
            created_at: clock::whole_second(self.created_at),
            updated_at: clock::whole_second(self.updated_at),
            stats: stats.shown(),
            owner: None,
            academy: None,
            status: None,
            failures_in_row: None,
            last_24_hours: None,
        }
    }
}

/// What a hook's deliveries have left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookStats {
    /// Attempts made.
    pub total_calls: u64,
    /// When the newest one was made.
    #[schema(required)]
    pub last_call_at: Option<Timestamp>,
    /// What it was answered; 504 stands for no answer in time, 502 for no answer at all.
    #[schema(required)]
    pub last_response_code: Option<u16>,
}

impl HookStats {
    /// As the API shows it.
    #[must_use]
    pub fn shown(self) -> Self {
        Self {
            last_call_at: self.last_call_at.map(clock::whole_second),
            ..self
        }
    }
}

/// How a hook does, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookStatus {
    /// Its newest call arrived.
    Ok,
    /// Its newest call failed.
    Failing,
    /// There has been no call.
    NeverCalled,
}

impl HookStatus {
    /// The status of a hook with this history, so many of whose newest calls have failed.
    #[must_use]
    pub fn of(stats: &HookStats, failures_in_row: u64) -> Self {
        if stats.total_calls == 0 {
            Self::NeverCalled
        } else if failures_in_row > 0 {
            Self::Failing
        } else {
            Self::Ok
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "ok" => Self::Ok,
            "failing" => Self::Failing,
            "never_called" => Self::NeverCalled,
            _ => return None,
        })
    }
}

/// A hook on the wire: the document's nine fields, in its order, and what `expand` adds to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Hook)]
#[schema(example = json!({
    "id": 125,
    "event": "assignment.assignment_created",
    "target": "https://your-app.example.com/webhooks/assignment-created",
    "service_id": "production-v2",
    "created_at": "2025-01-20T15:30:00Z",
    "updated_at": "2025-01-20T15:30:00Z",
    "total_calls": 45,
    "last_call_at": "2025-01-20T14:22:30Z",
    "last_response_code": 200
}))]
pub struct HookView {
    /// Its id.
    pub id: HookId,
    /// The event's name.
    pub event: String,
    /// The target as its owner typed it.
    pub target: String,
    /// The subscriber's own label.
    #[schema(required)]
    pub service_id: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// Its history.
    #[serde(flatten)]
    pub stats: HookStats,
    /// With `expand=owner`: the user whose hook it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub owner: Option<String>,
    /// With `expand=owner`: the academy whose events it hears; null: every academy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub academy: Option<Option<String>>,
    /// With `expand=health`: how it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = HookStatus, required = false)]
    pub status: Option<HookStatus>,
    /// With `expand=health`: how many of its calls have failed since the last that arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    pub failures_in_row: Option<u64>,
    /// With `expand=health`: what has become of its attempts in the current three-hour period and the seven before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Counts, required = false)]
    pub last_24_hours: Option<Counts>,
}
