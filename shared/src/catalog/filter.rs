//! The questions that callers ask of the catalogue.
//!
//! Two callers ask. Whoever browses the catalogue narrows it with a [`CatalogFilter`]; whoever
//! lists hooks by app or signal has the hook list turn those into events first, with
//! [`events_of_apps`] and [`events_of_signals`], since a hook knows only its event.
//!
//! The two differ in what an empty parameter means. In the catalogue it is as if it were not there;
//! in the hook list it is a list of no names, and no hook is of no app. All comparisons ignore
//! ASCII case (every text in the catalogue is ASCII), every comma list is trimmed item by item, an
//! empty item names nothing, and answers keep the order of the table.

use super::{CatalogEvent, events};

/// Other names of apps, each with the app: what the API's users call one that Django calls by the verb.
const OTHER_NAMES: [(&str, &str); 1] = [("authentication", "authenticate")];

/// What a caller of the catalogue wants to see; the default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogFilter {
    apps: Option<Vec<String>>,
    categories: Option<Vec<String>>,
    names: Option<Vec<String>>,
    like: Option<String>,
}

impl CatalogFilter {
    /// The filter that the query parameters of these names ask for, each decoded already and
    /// `None` when absent.
    ///
    /// `app`, `category` and `event` are comma lists; `category` is another name for `app`. `like`
    /// is one text, spaces and all, since it may be looked for inside a sentence.
    #[must_use]
    pub fn new(
        app: Option<&str>,
        category: Option<&str>,
        event: Option<&str>,
        like: Option<&str>,
    ) -> Self {
        Self {
            apps: app.and_then(|list| non_empty(apps(list).collect())),
            categories: category.and_then(|list| non_empty(apps(list).collect())),
            names: event.and_then(|list| non_empty(items(list).collect())),
            like: like
                .filter(|text| !text.is_empty())
                .map(str::to_ascii_lowercase),
        }
    }

    /// Whether the event passes every part of the filter.
    #[must_use]
    pub fn matches(&self, event: &CatalogEvent) -> bool {
        let is_one_of = |wanted: &Option<Vec<String>>, text: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|w| w.eq_ignore_ascii_case(text)))
        };
        is_one_of(&self.apps, event.app())
            && is_one_of(&self.categories, event.app())
            && is_one_of(&self.names, event.name)
            && self.like.as_ref().is_none_or(|like| {
                let other_names = OTHER_NAMES.iter().filter(|(_, app)| *app == event.app());
                [event.name, event.description, event.app(), &event.label()]
                    .into_iter()
                    .chain(other_names.map(|(other, _)| *other))
                    .any(|text| text.to_ascii_lowercase().contains(like.as_str()))
            })
    }

    /// The events that pass, in the order of the catalogue.
    pub fn events(&self) -> impl Iterator<Item = &'static CatalogEvent> {
        events().filter(|event| self.matches(event))
    }
}

/// The events of the apps in a comma list; a list that names no app has no events.
#[must_use]
pub fn events_of_apps(comma_list: &str) -> Vec<&'static CatalogEvent> {
    let wanted: Vec<String> = apps(comma_list).collect();
    events()
        .filter(|event| wanted.iter().any(|app| app == event.app()))
        .collect()
}

/// The events whose signal path has a part of a comma list in it, or is in it itself.
///
/// The second half lets a caller name a signal with more around it than the catalogue keeps, such
/// as a prefix. An empty item is a part of every path, as an empty `like` is of every hook.
#[must_use]
pub fn events_of_signals(comma_list: &str) -> Vec<&'static CatalogEvent> {
    let wanted: Vec<String> = comma_list
        .split(',')
        .map(|item| item.trim().to_ascii_lowercase())
        .collect();
    events()
        .filter(|event| {
            let path = event.signal_path().to_ascii_lowercase();
            wanted
                .iter()
                .any(|part| path.contains(part.as_str()) || part.contains(&path))
        })
        .collect()
}

/// The items of a comma list, trimmed and in lower case, without the empty ones.
fn items(comma_list: &str) -> impl Iterator<Item = String> {
    comma_list
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_ascii_lowercase)
}

/// The apps of a comma list, by the names that the catalogue has for them.
fn apps(comma_list: &str) -> impl Iterator<Item = String> {
    items(comma_list).map(|app| {
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == app);
        other.map_or(app, |(_, app)| (*app).to_owned())
    })
}

/// A list that asks for something; an empty one asks for nothing in particular.
fn non_empty(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ASSIGNMENTS: [&str; 3] = [
        "assignment.assignment_created",
        "assignment.assignment_revision_status_updated",
        "assignment.assignment_status_updated",
    ];
    const ADMISSIONS: [&str; 4] = [
        "cohort.cohort_stage_updated",
        "cohort_user.added",
        "cohort_user.changed",
        "cohort_user.edu_status_updated",
    ];
    const AUTHENTICATE: [&str; 3] = [
        "profile_academy.added",
        "profile_academy.changed",
        "user_invite.invite_status_updated",
    ];

    fn names(events: &[&CatalogEvent]) -> Vec<&'static str> {
        events.iter().map(|event| event.name).collect()
    }

    /// The catalogue's answer to a query string, parsed the way a URL's is.
    fn catalogue(query: &str) -> Vec<&'static str> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let get = |key| {
            pairs
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, v)| v.as_str())
        };
        CatalogFilter::new(get("app"), get("category"), get("event"), get("like"))
            .events()
            .map(|event| event.name)
            .collect()
    }

    #[rstest]
    #[case::nothing("")]
    #[case::app("app=")]
    #[case::category("category=")]
    #[case::event("event=")]
    #[case::like("like=")]
    #[case::blanks("app=%20&event=,%20,")]
    #[case::parameter_of_others("limit=2")]
    fn an_empty_parameter_is_as_if_absent(#[case] query: &str) {
        assert_eq!(
            catalogue(query),
            events().map(|event| event.name).collect::<Vec<_>>()
        );
    }

    #[rstest]
    #[case::plain("app=assignments", &ASSIGNMENTS)]
    #[case::case_ignored("app=ASSIGNMENTS", &ASSIGNMENTS)]
    #[case::trimmed("app=%20assignments%20,unknown", &ASSIGNMENTS)]
    #[case::category("category=assignments", &ASSIGNMENTS)]
    #[case::category_case_ignored("category=Assignments", &ASSIGNMENTS)]
    #[case::alias("category=authentication", &AUTHENTICATE)]
    #[case::alias_as_app("app=Authentication", &AUTHENTICATE)]
    #[case::own_name("app=authenticate", &AUTHENTICATE)]
    #[case::unknown("app=unknown", &[])]
    #[case::whole_names_only("app=assignment", &[])]
    fn apps_and_categories_are_one_filter(#[case] query: &str, #[case] expected: &[&str]) {
        assert_eq!(catalogue(query), expected);
    }

    #[rstest]
    #[case::two("event=form_entry.added,cohort_user.added", &["cohort_user.added", "form_entry.added"])]
    #[case::trimmed("event=form_entry.added,%20cohort_user.added", &["cohort_user.added", "form_entry.added"])]
    #[case::case_ignored(
        "event=userassessment.USERASSESSMENT_status_updated",
        &["UserAssessment.userassessment_status_updated"]
    )]
    #[case::whole_names_only("event=cohort_user", &[])]
    fn events_are_found_by_name(#[case] query: &str, #[case] expected: &[&str]) {
        assert_eq!(catalogue(query), expected);
    }

    #[rstest]
    #[case::name("like=assignment", &ASSIGNMENTS)]
    #[case::case_ignored("like=ASSIGNMENT", &ASSIGNMENTS)]
    #[case::app("like=admiss", &ADMISSIONS)]
    #[case::description("like=prework", &["cohort.cohort_stage_updated"])]
    #[case::label("like=won+or+lost", &["form_entry.won_or_lost"])]
    #[case::other_name_of_the_app("like=AUTHENTICATION", &AUTHENTICATE)]
    #[case::part_of_it("like=authenticat", &AUTHENTICATE)]
    #[case::no_wildcards("like=%25", &[])]
    #[case::nowhere("like=zzz", &[])]
    fn like_looks_into_name_description_app_and_label(
        #[case] query: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(catalogue(query), expected);
    }

    #[rstest]
    #[case("app=assignments&like=revision", &["assignment.assignment_revision_status_updated"])]
    #[case("app=assignments&event=cohort_user.added", &[])]
    #[case("app=assignments,admissions&category=admissions", &ADMISSIONS)]
    fn filters_combine_with_and(#[case] query: &str, #[case] expected: &[&str]) {
        assert_eq!(catalogue(query), expected);
    }

    #[rstest]
    #[case::one("assignments", &[&ASSIGNMENTS[..]])]
    #[case::two_in_table_order("assignments,admissions", &[&ADMISSIONS[..], &ASSIGNMENTS])]
    #[case::trimmed(" assignments ,admissions", &[&ADMISSIONS[..], &ASSIGNMENTS])]
    #[case::twice_is_once("assignments,assignments", &[&ASSIGNMENTS[..]])]
    #[case::case_ignored("ASSIGNMENTS", &[&ASSIGNMENTS[..]])]
    #[case::alias("authentication,unknown", &[&AUTHENTICATE[..]])]
    #[case::unknown("unknown", &[])]
    #[case::whole_names_only("assignment", &[])]
    #[case::none("", &[])]
    #[case::no_items(" , ", &[])]
    fn hooks_are_found_by_app(#[case] list: &str, #[case] expected: &[&[&str]]) {
        assert_eq!(names(&events_of_apps(list)), expected.concat());
    }

    #[rstest]
    #[case::signal("assignment_created", &["assignment.assignment_created"])]
    #[case::case_ignored("ASSIGNMENT_CREATED", &["assignment.assignment_created"])]
    #[case::full_path("breathecode.assignments.signals.assignment_created", &["assignment.assignment_created"])]
    #[case::path_inside("celery:breathecode.assignments.signals.assignment_created:1", &["assignment.assignment_created"])]
    #[case::app_in_the_path("assignments", &ASSIGNMENTS)]
    #[case::of_the_signal("revision_status_updated", &["assignment.assignment_revision_status_updated"])]
    #[case::not_of_the_action("assignment_revision_status_updated", &[])]
    #[case::nor_of_the_name("new_deal", &[])]
    #[case::part("edu_status_updated", &["cohort_user.edu_status_updated"])]
    #[case::two("assignment_created,won_or_lost", &["assignment.assignment_created", "form_entry.won_or_lost"])]
    #[case::created_plus("signals.created+", &["cohort_user.added", "profile_academy.added", "form_entry.added"])]
    #[case::unknown("zzz", &[])]
    fn hooks_are_found_by_signal(#[case] list: &str, #[case] expected: &[&str]) {
        assert_eq!(names(&events_of_signals(list)), expected);
    }

    #[test]
    fn an_empty_signal_is_a_part_of_every_path() {
        assert_eq!(events_of_signals("").len(), events().count());
        assert_eq!(events_of_signals("zzz,").len(), events().count());
    }

    #[test]
    fn a_plus_that_the_url_made_a_space_is_trimmed() {
        let found = events_of_signals("created ");
        assert_eq!(
            names(&found),
            [
                "cohort_user.added",
                "assignment.assignment_created",
                "profile_academy.added",
                "form_entry.added",
                "planfinancing.planfinancing_created",
                "subscription.subscription_created",
            ]
        );
    }
}
