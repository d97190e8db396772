//! Examples out of the API's description: of bodies, and of whole calls.

use std::fmt::Write;

use serde_json::Value;

/// Stands for the scheme and host of whichever API serves the page: `manage` puts in its own.
const ORIGIN: &str = "https://hooks.example.com";

/// The schema that a reference means, or the schema itself.
pub(crate) fn follow<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|name| name.rsplit('/').next());
    name.map_or(schema, |name| &document["components"]["schemas"][name])
}

/// The examples of a content: its own, else that of its schema.
pub(crate) fn of_content(document: &Value, content: &Value) -> Vec<Value> {
    let named = content["examples"].as_object().into_iter().flatten();
    let named = named.map(|(_, example)| &example["value"]);
    let own: Vec<Value> = named
        .chain([&content["example"]])
        .filter(|example| !example.is_null())
        .cloned()
        .collect();
    if own.is_empty() {
        return of_schema(document, &content["schema"]).into_iter().collect();
    }
    own
}

fn of_schema(document: &Value, schema: &Value) -> Option<Value> {
    let schema = follow(document, schema);
    if !schema["example"].is_null() {
        return Some(schema["example"].clone());
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().find_map(|choice| of_schema(document, choice));
    }
    let item = of_schema(document, schema.get("items")?)?;
    Some(Value::Array(vec![item]))
}

/// An operation as a command for a shell.
pub(crate) fn curl(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut url = format!("{ORIGIN}{path}");
    let mut separator = '?';
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let example = match &parameter["example"] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match parameter["in"].as_str() {
            Some("path") => url = url.replace(&format!("{{{name}}}"), &example),
            Some("query") => {
                // Writing to a string cannot fail.
                let _ = write!(url, "{separator}{name}={example}");
                separator = '&';
            }
            _ => {}
        }
    }
    let mut words = vec![format!("'{url}'")];
    if operation["security"][0]["token"].is_array() {
        let whose = match operation["tags"][0].as_str() {
            Some("Publishing") => "PUBLISHER",
            _ => "ACADEMY",
        };
        words.push(format!("-H 'Authorization: Token YOUR_{whose}_TOKEN'"));
    }
    let body = of_content(document, &operation["requestBody"]["content"]["application/json"]);
    if let Some(body) = body.first() {
        words.push("-H 'Content-Type: application/json'".to_owned());
        // In a shell's quotes an apostrophe ends them, stands for itself, and begins them again.
        let body = format!("{body:#}").replace('\'', r"'\''");
        words.push(format!("-d '{}'", body.replace('\n', "\n  ")));
    }
    let method = match method {
        "get" => String::new(),
        method => format!("-X {} ", method.to_uppercase()),
    };
    format!("curl {method}{}", words.join(" \\\n  "))
}
