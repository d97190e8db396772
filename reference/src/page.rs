//! `api.html`: the API's description as one page that needs nothing else, neither scripts nor other
//! hosts.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};

use crate::fields::{Fields, Row};

const STYLE: &str = include_str!("page.css");

/// The page of a description.
pub(crate) fn html(document: &Value) -> String {
    let info = &document["info"];
    let tags = document["tags"].as_array().cloned().unwrap_or_default();
    let empty = Map::new();
    let webhooks = document["webhooks"].as_object().unwrap_or(&empty);
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
                nav {
                    strong { a href="#top" { (text(&info["title"])) } }
                    @for tag in &tags {
                        a href={ "#" (text(&tag["name"])) } { (text(&tag["name"])) }
                    }
                    a href="#webhooks" { "Webhooks" }
                    @for name in webhooks.keys() {
                        a.event href={ "#" (name) } { (name) }
                    }
                }
                main id="top" {
                    h1 { (text(&info["title"])) " " small { (text(&info["version"])) } }
                    (paragraphs(text(&info["description"])))
                    p { "For programs: " a href="openapi.json" { "openapi.json" } " (OpenAPI 3.1)." }
                    h2 { "Authentication" }
                    p { (inline(text(&document["components"]["securitySchemes"]["token"]["description"]))) }
                    @for tag in &tags {
                        h2 id=(text(&tag["name"])) { (text(&tag["name"])) }
                        p { (inline(text(&tag["description"]))) }
                        @for (path, method, operation) in operations(document, text(&tag["name"])) {
                            (endpoint(document, path, method, operation))
                        }
                    }
                    h2 id="webhooks" { "Webhooks" }
                    p { "What a hook's target receives, by event. Each is a POST with these headers:" }
                    @if let Some((_, first)) = webhooks.iter().next() {
                        (parameters(&first["post"]["parameters"]))
                    }
                    @for (name, item) in webhooks {
                        (webhook(document, name, &item["post"]))
                    }
                }
            }
        }
    };
    page.into_string() + "\n"
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

fn endpoint(document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let fields = Fields(document);
    html! {
        section {
            h3 id=(text(&operation["operationId"])) {
                code.method { (method.to_uppercase()) } " " code { (path) }
            }
            p { strong { (text(&operation["summary"])) "." } " " (inline(text(&operation["description"]))) }
            @if operation["parameters"].is_array() {
                (parameters(&operation["parameters"]))
            }
            @if !body.is_null() {
                h4 { "Body" }
                (table(&fields.of(body)))
                (examples(&operation["requestBody"]["content"]["application/json"], body))
            }
            @for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                (answer(&fields, status, response))
            }
        }
    }
}

fn answer(fields: &Fields<'_>, status: &str, response: &Value) -> Markup {
    let content = response["content"].as_object().into_iter().flatten();
    html! {
        details {
            summary { code { (status) } " " (inline(text(&response["description"]))) }
            @for (media_type, content) in content {
                @let rows = fields.of(&content["schema"]);
                @if !status.starts_with(['4', '5']) && !rows.is_empty() {
                    p { code { (media_type) } }
                    (table(&rows))
                }
                (examples(content, &content["schema"]))
            }
        }
    }
}

/// The examples of a content, else that of its schema.
fn examples(content: &Value, schema: &Value) -> Markup {
    let named = content["examples"].as_object().into_iter().flatten();
    let named = named.map(|(_, example)| &example["value"]);
    let others = [&content["example"], &schema["example"]];
    html! {
        @for example in named.chain(others).filter(|example| !example.is_null()) {
            pre { (format!("{example:#}")) }
        }
    }
}

fn webhook(document: &Value, name: &str, operation: &Value) -> Markup {
    let content = &operation["requestBody"]["content"]["application/json"];
    html! {
        section {
            h3 id=(name) { code { (name) } }
            p { (inline(text(&operation["description"]))) "." }
            details {
                summary { "Fields" }
                (table(&Fields(document).of(&content["schema"])))
            }
            details {
                summary { "Example" }
                pre { (format!("{:#}", content["example"])) }
            }
        }
    }
}

fn parameters(parameters: &Value) -> Markup {
    html! {
        table {
            @for parameter in parameters.as_array().into_iter().flatten() {
                tr {
                    td { code { (text(&parameter["name"])) } }
                    td { (text(&parameter["in"])) @if parameter["required"] == true { ", required" } }
                    td { (inline(text(&parameter["description"]))) }
                }
            }
        }
    }
}

fn table(rows: &[Row]) -> Markup {
    html! {
        table {
            @for row in rows {
                tr {
                    td { code { (row.path) } }
                    td { (row.kind) @if row.required { ", required" } }
                    td { (inline(&row.description)) }
                }
            }
        }
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
