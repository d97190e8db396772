//! `EVENTS.md`: the catalogue for people.

use std::fmt::Write;

use serde_json::Value;
use shared::catalog::{self, AcademyIn, CatalogEvent};

use crate::{fields::Fields, guide::anchor};

const HEAD: &str = "\
# The events

This page is made from the catalogue in the code (`shared/src/catalog`) by `make reference`; a test holds
the two together. [ADDING-AN-EVENT.md](ADDING-AN-EVENT.md) says how to add one.

An event is a change of a record on the platform. *Fires* says which change. Whoever publishes changes
(`POST change`) leaves it to this table which events they are; whoever publishes events (`POST event`) has
decided that already. *Academy* is where the record names its academy: an event reaches the hooks of that
academy, and those of superadmins.

A payload has the fields below and no other: what else is published is left out of the delivery, and a
field called `token` always is. Only the fields that say *yes* must be there. The others may be missing or
null. Statuses and the like are open lists: the platform adds to them.

| event | model | fires | academy |
|---|---|---|---|
";

/// The page. `document` is the API's description.
pub(crate) fn markdown(document: &Value) -> String {
    let mut text = HEAD.to_owned();
    // Writing to a string cannot fail.
    for event in catalog::events() {
        let _ = writeln!(
            text,
            "| [`{name}`](#{anchor}) | `{}` | {} | {} |",
            event.model,
            event.fires,
            academy(event.academy),
            name = event.name,
            anchor = anchor(event.name),
        );
    }
    for event in catalog::events() {
        let _ = write!(text, "\n{}", section(event, document));
    }
    text
}

fn academy(academy: AcademyIn) -> String {
    let path = academy.path.join(".");
    let optional = if academy.optional {
        ", may be null"
    } else {
        ""
    };
    format!("`{path}`{optional}")
}

/// Where the payload has what of a changed record, if not under the same name.
fn fills(event: &CatalogEvent) -> String {
    let fills = event.fills.iter().map(|fill| {
        let from = match fill.from {
            [] => "the record itself".to_owned(),
            from => format!("its `{}`", from.join(".")),
        };
        let otherwise = fill.otherwise.map(|json| format!(", or `{json}`"));
        format!(
            " Of a change, `{}` is {from}{}.",
            fill.field,
            otherwise.unwrap_or_default()
        )
    });
    fills.collect()
}

fn section(event: &CatalogEvent, document: &Value) -> String {
    let (schema, _) = event.components();
    let rows = Fields(document).of(&schema);
    let rows = rows.iter().map(|row| {
        let required = if row.required { "yes" } else { "" };
        let description = row.description.replace('|', "\\|").replace('\n', " ");
        format!(
            "| `{}` | {} | {required} | {description} |\n",
            row.path, row.kind
        )
    });
    format!(
        "## {name}\n\n\
         {description}. Fires when a record of `{model}` is saved: {fires}. App `{app}`, signal \
         `{signal}`.{fills}\n\n\
         [JSON Schema](schemas/{name}.json)\n\n\
         | field | type | must be there | |\n|---|---|---|---|\n{rows}\n\
         ```json\n{example}\n```\n",
        name = event.name,
        description = event.description,
        model = event.model,
        fires = event.fires,
        app = event.app(),
        signal = event.signal_path(),
        fills = fills(event),
        rows = rows.collect::<String>(),
        example = event.example(),
    )
}
