//! `api.html`: the guide and the API's description as one page that needs nothing else, neither scripts
//! nor other hosts.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};

use crate::{
    examples::{curl, of_content},
    fields::{Fields, Row},
    guide::{Guide, anchor},
};

const STYLE: &str = include_str!("page.css");

/// The page of a description.
pub(crate) fn html(document: &Value) -> String {
    let info = &document["info"];
    let tags = document["tags"].as_array().cloned().unwrap_or_default();
    let empty = Map::new();
    let events = document["webhooks"].as_object().unwrap_or(&empty);
    let guide = Guide::read();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text(&info["title"])) " API" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (contents(&guide, &tags, events))
                main id="top" {
                    h1 { (text(&info["title"])) " " small { (text(&info["version"])) } }
                    (paragraphs(text(&info["description"])))
                    p {
                        "For programs: " a href="openapi.json" { "openapi.json" } " (OpenAPI 3.1). Generators make clients of \
                         it, such as " code { "openapi-python-client" } ", " code { "openapi-typescript" } " and, for Rust, "
                        code { "openapi-to-rust" } "."
                    }
                    (PreEscaped(&guide.html))
                    div id="reference" {
                        p { "Ids in the commands are examples: put in your own." }
                        @for tag in &tags {
                            h2 id=(of_tag(tag)) { (text(&tag["name"])) }
                            p { (inline(text(&tag["description"]))) }
                            @for (path, method, operation) in operations(document, text(&tag["name"])) {
                                (call(document, path, method, operation))
                            }
                        }
                    }
                    h2 id="events" { "Events and their payloads" }
                    p {
                        "What a hook's endpoint gets, by event, beside "
                        a href="#headers" { "these headers" } "."
                    }
                    @for (name, item) in events {
                        (event(document, name, &item["post"]))
                    }
                }
            }
        }
    };
    page.into_string() + "\n"
}

/// Where to find what. It is closed at first where there is no room for it beside the page.
fn contents(guide: &Guide, tags: &[Value], events: &Map<String, Value>) -> Markup {
    html! {
        nav {
            details {
                summary { "Contents" }
                a href="#top" { strong { "Guide" } }
                @for (anchor, title) in &guide.sections {
                    a href={ "#" (anchor) } { (title) }
                }
                a href="#reference" { strong { "Reference" } }
                @for tag in tags {
                    a href={ "#" (of_tag(tag)) } { (text(&tag["name"])) }
                }
                a href="#events" { strong { "Events" } }
                @for name in events.keys() {
                    a.event href={ "#" (name) } { (name) }
                }
            }
        }
    }
}

fn of_tag(tag: &Value) -> String {
    format!("reference-{}", anchor(text(&tag["name"])))
}

/// The operations of a tag, with their paths and methods.
fn operations<'a>(
    document: &'a Value,
    tag: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.filter(move |(_, _, operation)| operation["tags"][0] == tag)
}

fn call(document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let body = &operation["requestBody"]["content"]["application/json"];
    let responses = operation["responses"].as_object().into_iter().flatten();
    let (errors, answers): (Vec<_>, Vec<_>) =
        responses.partition(|(status, _)| status.starts_with(['4', '5']));
    let fields = Fields(document);
    html! {
        section {
            h3 id=(text(&operation["operationId"])) {
                code.method { (method.to_uppercase()) } " " code { (path) }
            }
            p { strong { (text(&operation["summary"])) "." } " " (inline(text(&operation["description"]))) }
            pre { (curl(document, path, method, operation)) }
            @if operation["parameters"].is_array() {
                (parameters(&operation["parameters"]))
            }
            @if body.is_object() {
                h4 { "Body" }
                (rows(&fields.of(&body["schema"])))
                @for example in of_content(document, body).iter().skip(1) {
                    p { "Or:" }
                    pre { (format!("{example:#}")) }
                }
            }
            @for (status, response) in answers {
                (answer(document, status, response))
            }
            @if !errors.is_empty() {
                details {
                    summary { "Errors" }
                    (failures(&errors))
                }
            }
        }
    }
}

fn answer(document: &Value, status: &str, response: &Value) -> Markup {
    let contents = response["content"].as_object().into_iter().flatten();
    html! {
        h4 { "Answer: " code { (status) } " " (inline(text(&response["description"]))) }
        @for (media_type, content) in contents {
            @let fields = Fields(document).of(&content["schema"]);
            @if media_type != "application/json" {
                p { code { (media_type) } }
            }
            @for example in of_content(document, content) {
                pre { (shown(&example)) }
            }
            @if !fields.is_empty() {
                details {
                    summary { "Fields" }
                    (rows(&fields))
                }
            }
        }
    }
}

/// What can go wrong, by status and slug.
fn failures(responses: &[(&String, &Value)]) -> Markup {
    let examples = responses.iter().flat_map(|(status, response)| {
        let examples = &response["content"]["application/json"]["examples"];
        let examples = examples.as_object().into_iter().flatten();
        examples.map(move |(slug, example)| (status, slug, &example["value"]["detail"]))
    });
    html! {
        dl {
            @for (status, slug, detail) in examples {
                dt { code { (status) } " " code { (slug) } }
                dd { (text(detail)) }
            }
        }
    }
}

fn event(document: &Value, name: &str, operation: &Value) -> Markup {
    let content = &operation["requestBody"]["content"]["application/json"];
    html! {
        section {
            h3 id=(name) { code { (name) } }
            p { (inline(text(&operation["description"]))) "." }
            details {
                summary { "Fields" }
                (rows(&Fields(document).of(&content["schema"])))
            }
            details {
                summary { "Example" }
                pre { (shown(&content["example"])) }
            }
        }
    }
}

fn parameters(parameters: &Value) -> Markup {
    html! {
        h4 { "Parameters" }
        dl {
            @for parameter in parameters.as_array().into_iter().flatten() {
                dt {
                    code { (text(&parameter["name"])) }
                    " " (text(&parameter["in"]))
                    @if parameter["required"] == true { ", required" }
                }
                dd { (inline(text(&parameter["description"]))) }
            }
        }
    }
}

fn rows(rows: &[Row]) -> Markup {
    html! {
        dl {
            @for row in rows {
                dt { code { (row.path) } " " (row.kind) @if row.required { ", required" } }
                dd { (inline(&row.description)) }
            }
        }
    }
}

/// An example: a text as it is, all else as JSON.
fn shown(example: &Value) -> String {
    match example {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn paragraphs(markdown: &str) -> Markup {
    html! {
        @for paragraph in markdown.split("\n\n") {
            p { (inline(paragraph)) }
        }
    }
}

/// The one piece of Markdown that descriptions have: code between backticks.
fn inline(markdown: &str) -> Markup {
    html! {
        @for (index, part) in markdown.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::openapi;

    /// The values of an attribute, in order.
    fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        let begins = format!(" {name}=\"");
        let rests = page.split(&begins).skip(1);
        rests.map(|rest| rest.split_once('"').unwrap().0).collect()
    }

    #[test]
    fn every_call_has_its_command() {
        let document = openapi::document();
        let page = html(&document);
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let command = curl(&document, path, method, operation);
                let command = html! { pre { (command) } }.into_string();
                assert!(page.contains(&command), "{command}");
            }
        }
    }

    #[test]
    fn every_link_leads_somewhere() {
        let page = html(&openapi::document());
        let ids = attributes(&page, "id");
        let unique: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "an id is there twice");
        for link in attributes(&page, "href") {
            let leads_somewhere = match link.strip_prefix('#') {
                Some(id) => unique.contains(id),
                None => link == "openapi.json" || link.starts_with("https://"),
            };
            assert!(leads_somewhere, "{link}");
        }
        assert!(unique.contains("verification"), "the guide is not there");
    }
}
