//! The API's description: the functions' own, and the webhooks that the catalogue makes of its events.

use serde_json::{Map, Value, json};
use shared::{
    catalog::{self, CatalogEvent},
    http::openapi,
};
use utoipa::openapi::{
    Content, HttpMethod, PathItem, PathsBuilder, Required, ResponseBuilder,
    path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    schema::{ObjectBuilder, Type},
    security::SecurityRequirement,
    tag::TagBuilder,
};

/// Where the document has its schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// The endpoints by what they are for, in the order of a reader's interest.
const TAGS: [(&str, &str); 6] = [
    (
        "Catalogue",
        "Which events there are, and what their payloads are.",
    ),
    ("Hooks", "Subscriptions: an event's name and a URL."),
    ("Samples", "What deliveries look like."),
    (
        "Errors",
        "Dead-lettered deliveries, to be looked at and redelivered.",
    ),
    (
        "Publishing",
        "For the platform: events, and changes that are events.",
    ),
    ("Service", "What the API says of itself."),
];

/// What each delivery has beside its payload.
const HEADERS: [(&str, Required, &str); 11] = [
    (
        "webhook-id",
        Required::True,
        "The delivery: the same on every attempt. Keep those that you have seen.",
    ),
    (
        "webhook-timestamp",
        Required::True,
        "When this attempt was made, in Unix seconds.",
    ),
    (
        "webhook-signature",
        Required::True,
        "Of id, timestamp and body, with the hook's secret: `v1,` and base64; several, separated by \
         spaces, after a rotation. Verify it with a library of Standard Webhooks.",
    ),
    (
        "webhook-event",
        Required::True,
        "The event's name; it is outside the signature, as is all that follows.",
    ),
    (
        "webhook-event-timestamp",
        Required::True,
        "When the event was accepted, in Unix seconds: which of two is newer.",
    ),
    (
        "webhook-attempt",
        Required::True,
        "Which attempt of the delivery this is, from 1.",
    ),
    ("webhook-hook", Required::True, "The hook's id."),
    (
        "webhook-service-id",
        Required::False,
        "The hook's service id, percent-encoded, if it has one.",
    ),
    (
        "webhook-academy",
        Required::False,
        "The slug of the event's academy, if it has one; what is not ASCII in it is percent-encoded.",
    ),
    (
        "webhook-test",
        Required::False,
        "`ping` for a ping, which is no delivery.",
    ),
    ("User-Agent", Required::True, "`BreatheCode-Webhooks/1.0`"),
];

pub(crate) fn document() -> Value {
    let mut document = openapi::frame();
    document.merge(manage::openapi());
    document.merge(ingest::openapi());
    let tags = TAGS.map(|(name, description)| {
        let tag = TagBuilder::new().name(name);
        tag.description(Some(description)).build()
    });
    document.tags = Some(tags.to_vec());

    let mut webhooks = PathsBuilder::new();
    for event in catalog::events() {
        webhooks = webhooks.path(event.name, webhook(event));
    }
    document.webhooks = Some(webhooks.build());

    let mut document = json!(document);
    let mut schemas = schemas_of(&document);
    for event in catalog::events() {
        let (payload, parts) = event.components();
        let body = &mut document["webhooks"][event.name]["post"]["requestBody"];
        body["content"]["application/json"]["schema"] = payload;
        schemas.extend(parts);
    }
    schemas.sort_keys();
    let named = schemas.clone();
    for schema in schemas.values_mut() {
        refer_within(schema, &named);
    }
    document["components"]["schemas"] = Value::Object(schemas);
    drop_unused(&mut document);
    document
}

fn schemas_of(document: &Value) -> Map<String, Value> {
    let schemas = document["components"]["schemas"].as_object();
    schemas.cloned().unwrap_or_default()
}

/// Refers to the objects within a schema that have a name. utoipa writes out within a generic type what it is
/// of, and generators would make another type of that.
fn refer_within(schema: &mut Value, named: &Map<String, Value>) {
    let inner: Vec<&mut Value> = match schema {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for value in inner {
        let is_object = ["properties", "allOf", "oneOf"]
            .iter()
            .any(|key| value.get(key).is_some());
        let same = named
            .iter()
            .find(|(_, schema)| is_object && *schema == value);
        match same {
            Some((name, _)) => *value = json!({"$ref": format!("{SCHEMAS}{name}")}),
            None => refer_within(value, named),
        }
    }
}

/// Drops the schemas that nothing refers to, until there are none.
fn drop_unused(document: &mut Value) {
    loop {
        let text = document.to_string();
        let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
            return;
        };
        let all = schemas.len();
        schemas.retain(|name, _| text.contains(&format!("\"{SCHEMAS}{name}\"")));
        if schemas.len() == all {
            return;
        }
    }
}

/// A delivery of an event, as its receiver gets it, but for the payload's schema: the types at hand have
/// no words for all of it.
fn webhook(event: &CatalogEvent) -> PathItem {
    let example: Value = serde_json::from_str(event.example()).unwrap_or_default();
    let mut content = Content::default();
    content.example = Some(example);
    let body = RequestBodyBuilder::new()
        .description(Some("The payload."))
        .content("application/json", content)
        .required(Some(Required::True));
    let answer = |description: &str| ResponseBuilder::new().description(description).build();
    let operation = OperationBuilder::new()
        .operation_id(Some(event.name))
        .summary(Some(event.label()))
        .description(Some(event.description))
        .parameters(Some(HEADERS.map(header)))
        .request_body(Some(body.build()))
        .security(SecurityRequirement::default())
        .response(
            "2XX",
            answer("The delivery has arrived. There are 30 seconds to say so."),
        )
        .response(
            "410",
            answer("It never will: the delivery is dead-lettered."),
        )
        .response(
            "default",
            answer("It has not arrived, and is retried later."),
        );
    PathItem::new(HttpMethod::Post, operation)
}

fn header((name, required, description): (&str, Required, &str)) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
