//! The reference: what of `docs/` is made from the code and not written by hand.
//!
//! The API's description comes from the handlers and their types, the events from the catalogue. The
//! files are kept in the repository, where people read them and `manage` finds what it serves; a test
//! holds them to the code, `make reference` rewrites them.

mod events;
mod examples;
mod fields;
mod guide;
mod openapi;
mod page;

/// Every file, by its name in `docs/`, with its text.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    let document = openapi::document();
    let mut files = vec![
        ("EVENTS.md".to_owned(), events::markdown(&document)),
        ("api.html".to_owned(), page::html(&document)),
        ("openapi.json".to_owned(), format!("{document:#}\n")),
    ];
    files.extend(shared::catalog::events().map(|event| {
        let name = format!("schemas/{}.json", event.name);
        (name, format!("{:#}\n", event.schema()))
    }));
    files
}
