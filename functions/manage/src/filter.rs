//! Which hooks of a list are wanted, and in what order: pure functions of the query.

use std::cmp::Ordering;

use shared::{
    catalog::{self, CatalogEvent},
    http::Params,
    model::{Hook, HookView},
};

/// What a query wants of a list of hooks. All parts must hold.
///
/// `app`, `event` and `signal` each come down to a set of events, so that only hooks on those are
/// read at all.
#[derive(Clone, Debug, Default)]
pub struct HookFilter {
    events: Option<Vec<&'static CatalogEvent>>,
    service_ids: Option<Vec<String>>,
    like: Option<String>,
}

impl HookFilter {
    /// The filter of a list: `app`, `event`, `signal`, `service_id`, `like`.
    #[must_use]
    pub fn of_list(params: &Params) -> Self {
        let mut filter = Self::of_sample(params);
        filter.keep_events(params.get("app").map(catalog::events_of_apps));
        filter.keep_events(params.get("signal").map(catalog::events_of_signals));
        filter
    }

    /// The filter of a sample: `event`, `service_id`, `like`.
    #[must_use]
    pub fn of_sample(params: &Params) -> Self {
        let like = params.get("like").map(str::to_lowercase);
        Self {
            like,
            ..Self::of_deletion(params)
        }
    }

    /// The filter of a bulk deletion: `event`, `service_id`.
    #[must_use]
    pub fn of_deletion(params: &Params) -> Self {
        Self {
            events: params
                .get("event")
                .map(|list| items(list).filter_map(catalog::find).collect()),
            service_ids: params
                .get("service_id")
                .map(|list| items(list).map(str::to_owned).collect()),
            like: None,
        }
    }

    fn keep_events(&mut self, events: Option<Vec<&'static CatalogEvent>>) {
        self.events = match (self.events.take(), events) {
            (Some(mine), Some(others)) => Some(
                mine.into_iter()
                    .filter(|event| others.contains(event))
                    .collect(),
            ),
            (mine, others) => mine.or(others),
        };
    }

    /// Whether the query asks for anything at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_none() && self.service_ids.is_none() && self.like.is_none()
    }

    /// The events whose hooks are wanted, each once; none: those of all.
    #[must_use]
    pub fn event_names(&self) -> Option<Vec<&'static str>> {
        let mut names: Vec<_> = self
            .events
            .as_ref()?
            .iter()
            .map(|event| event.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        Some(names)
    }

    /// Whether a hook is wanted.
    #[must_use]
    pub fn wants(&self, hook: &Hook) -> bool {
        let subscription = &hook.subscription;
        let service_id = subscription.service_id.as_ref();
        self.events
            .as_ref()
            .is_none_or(|events| events.iter().any(|event| event.name == subscription.event))
            && self
                .service_ids
                .as_ref()
                .is_none_or(|wanted| service_id.is_some_and(|id| wanted.contains(id)))
            && self.like.as_ref().is_none_or(|like| {
                subscription.event.to_lowercase().contains(like)
                    || subscription.target.as_str().to_lowercase().contains(like)
            })
    }
}

/// The items of a comma list, trimmed; an empty one is an item.
pub fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// The order of a list of hooks: the fields of `sort`, then newest first.
#[derive(Clone, Debug)]
pub struct HookOrder(Vec<(SortField, bool)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SortField {
    Id,
    Event,
    Target,
    ServiceId,
    CreatedAt,
    UpdatedAt,
    TotalCalls,
    LastCallAt,
    LastResponseCode,
}

impl SortField {
    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "event" => Self::Event,
            "target" => Self::Target,
            "service_id" => Self::ServiceId,
            "created_at" => Self::CreatedAt,
            "updated_at" => Self::UpdatedAt,
            "total_calls" => Self::TotalCalls,
            "last_call_at" => Self::LastCallAt,
            "last_response_code" => Self::LastResponseCode,
            _ => return None,
        })
    }

    /// A missing value sorts before all others.
    fn compare(self, a: &HookView, b: &HookView) -> Ordering {
        match self {
            Self::Id => a.id.cmp(&b.id),
            Self::Event => a.event.cmp(&b.event),
            Self::Target => a.target.cmp(&b.target),
            Self::ServiceId => a.service_id.cmp(&b.service_id),
            Self::CreatedAt => a.created_at.cmp(&b.created_at),
            Self::UpdatedAt => a.updated_at.cmp(&b.updated_at),
            Self::TotalCalls => a.stats.total_calls.cmp(&b.stats.total_calls),
            Self::LastCallAt => a.stats.last_call_at.cmp(&b.stats.last_call_at),
            Self::LastResponseCode => a.stats.last_response_code.cmp(&b.stats.last_response_code),
        }
    }
}

impl HookOrder {
    /// Reads `sort`: fields of a hook, `-` before one for descending; others are ignored.
    #[must_use]
    pub fn of(params: &Params) -> Self {
        let fields = items(params.get("sort").unwrap_or_default()).filter_map(|item| {
            let (name, descending) = match item.strip_prefix('-') {
                Some(name) => (name, true),
                None => (item, false),
            };
            Some((SortField::of_name(name)?, descending))
        });
        let newest_first = [(SortField::CreatedAt, true), (SortField::Id, true)];
        Self(fields.chain(newest_first).collect())
    }

    /// Whether the order depends on what deliveries left behind.
    #[must_use]
    pub fn needs_stats(&self) -> bool {
        use SortField::{LastCallAt, LastResponseCode, TotalCalls};
        self.0
            .iter()
            .any(|(field, _)| matches!(field, TotalCalls | LastCallAt | LastResponseCode))
    }

    /// Sorts a list.
    pub fn sort(&self, hooks: &mut [HookView]) {
        hooks.sort_by(|a, b| {
            let compare = |(field, descending): &(SortField, bool)| {
                let order = field.compare(a, b);
                if *descending { order.reverse() } else { order }
            };
            self.0
                .iter()
                .map(compare)
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
    }
}
