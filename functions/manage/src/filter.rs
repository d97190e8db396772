//! Which hooks of a list are wanted, and in what order: pure functions of the query.

use std::{cmp::Ordering, collections::HashSet};

use jiff::Timestamp;
use shared::{
    catalog::{self, CatalogEvent},
    http::Params,
    model::{Counts, Hook, HookStats, HookStatus, HookView},
    store::StoredState,
};

/// A hook in a list, with what its deliveries have left behind.
#[derive(Clone, Debug)]
pub struct ListedHook {
    /// The hook.
    pub hook: Hook,
    stats: HookStats,
    failures_in_row: u64,
    last_24_hours: Counts,
}

impl ListedHook {
    /// A hook with its state as of now, which is none when it has not been read or was gone.
    #[must_use]
    pub fn new(hook: Hook, state: Option<&StoredState>, now: Timestamp) -> Self {
        Self {
            hook,
            stats: state.map(|state| state.stats).unwrap_or_default(),
            failures_in_row: state.map_or(0, |state| state.failures_in_row),
            last_24_hours: state
                .map(|state| state.periods.last_day(now))
                .unwrap_or_default(),
        }
    }

    fn status(&self) -> HookStatus {
        HookStatus::of(&self.stats, self.failures_in_row)
    }
}

/// What a query wants to be told of a hook beyond its fields.
#[derive(Clone, Copy, Debug)]
pub struct Expand {
    owner: bool,
    health: bool,
}

impl Expand {
    /// Reads `expand`: `owner` and `health`; others are ignored.
    #[must_use]
    pub fn of(params: &Params) -> Self {
        let wants = |name| items(params.get("expand").unwrap_or_default()).any(|item| item == name);
        Self {
            owner: wants("owner"),
            health: wants("health"),
        }
    }

    /// The hook on the wire.
    #[must_use]
    pub fn view(self, row: &ListedHook) -> HookView {
        let mut view = row.hook.view(row.stats);
        if self.owner {
            view.owner = Some(row.hook.owner.clone());
            view.academy = Some(row.hook.scope.academy().map(str::to_owned));
        }
        if self.health {
            view.status = Some(row.status());
            view.failures_in_row = Some(row.failures_in_row);
            view.last_24_hours = Some(row.last_24_hours);
        }
        view
    }
}

/// What a query wants of a list of hooks. All parts must hold.
///
/// `app`, `event` and `signal` each come down to a set of events, so that only hooks on those are
/// read at all.
#[derive(Clone, Debug, Default)]
pub struct HookFilter {
    events: Option<Vec<&'static CatalogEvent>>,
    service_ids: Option<HashSet<String>>,
    like: Option<String>,
    statuses: Option<Vec<HookStatus>>,
}

impl HookFilter {
    /// The filter of a list: `app`, `event`, `signal`, `service_id`, `like`, `status`.
    #[must_use]
    pub fn of_list(params: &Params) -> Self {
        let mut filter = Self {
            statuses: params
                .get("status")
                .map(|list| each_once(items(list).filter_map(HookStatus::of_name))),
            ..Self::of_sample(params)
        };
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
                .map(|list| each_once(items(list).filter_map(catalog::find))),
            service_ids: params
                .get("service_id")
                .map(|list| items(list).map(str::to_owned).collect()),
            like: None,
            statuses: None,
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

    /// Whether what is wanted depends on what deliveries left behind.
    #[must_use]
    pub fn needs_states(&self) -> bool {
        self.statuses.is_some()
    }

    /// Whether a hook that is [wanted](Self::wants) is wanted with what its deliveries left behind.
    #[must_use]
    pub fn wants_status(&self, row: &ListedHook) -> bool {
        self.statuses
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&row.status()))
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

/// What a list names, each once: it is asked of every hook, and a list may be long.
fn each_once<T: PartialEq>(named: impl Iterator<Item = T>) -> Vec<T> {
    named.fold(Vec::new(), |mut distinct, item| {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
        distinct
    })
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
    fn compare(self, a: &ListedHook, b: &ListedHook) -> Ordering {
        match self {
            Self::Id => a.hook.id.cmp(&b.hook.id),
            Self::Event => a.hook.subscription.event.cmp(&b.hook.subscription.event),
            Self::Target => {
                let [a, b] = [a, b].map(|row| row.hook.subscription.target.as_str());
                a.cmp(b)
            }
            Self::ServiceId => {
                let [a, b] = [a, b].map(|row| &row.hook.subscription.service_id);
                a.cmp(b)
            }
            Self::CreatedAt => a.hook.created_at.cmp(&b.hook.created_at),
            Self::UpdatedAt => a.hook.updated_at.cmp(&b.hook.updated_at),
            Self::TotalCalls => a.stats.total_calls.cmp(&b.stats.total_calls),
            Self::LastCallAt => a.stats.last_call_at.cmp(&b.stats.last_call_at),
            Self::LastResponseCode => a.stats.last_response_code.cmp(&b.stats.last_response_code),
        }
    }
}

impl HookOrder {
    /// Reads `sort`: fields of a hook, `-` before one for descending; others are ignored. A field that is
    /// named again decides nothing more, so that there are never more than there are fields.
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
        let mut order: Vec<(SortField, bool)> = Vec::new();
        for (field, descending) in fields.chain(newest_first) {
            if order.iter().all(|(named, _)| *named != field) {
                order.push((field, descending));
            }
        }
        Self(order)
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
    pub fn sort(&self, hooks: &mut [ListedHook]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_filter_names_again_it_holds_once() {
        let events = "cohort_user.added,form_entry.added,x.y,".repeat(3_000);
        let statuses = "ok,failing,nonsense,".repeat(3_000);
        let query = format!("event={events}&status={statuses}");
        let filter = HookFilter::of_list(&Params::parse(&query));
        let names: Vec<_> = filter
            .events
            .iter()
            .flatten()
            .map(|event| event.name)
            .collect();
        assert_eq!(names, ["cohort_user.added", "form_entry.added"]);
        assert_eq!(
            filter.statuses,
            Some(vec![HookStatus::Ok, HookStatus::Failing])
        );
    }

    #[test]
    fn a_field_that_is_named_again_sorts_nothing_more() {
        let order = HookOrder::of(&Params::parse(&format!(
            "sort=event,{}",
            "-event,id,x,".repeat(8_000)
        )));
        let wanted = [
            (SortField::Event, false),
            (SortField::Id, false),
            (SortField::CreatedAt, true),
        ];
        assert_eq!(order.0, wanted);
    }
}
