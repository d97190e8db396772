//! Examples out of the API's description: of bodies, and of whole calls.

use std::fmt::Write;

use serde_json::Value;
use shared::http::EXAMPLE_ORIGIN;

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
        return of_schema(document, &content["schema"])
            .into_iter()
            .collect();
    }
    own
}

fn of_schema(document: &Value, schema: &Value) -> Option<Value> {
    let schema = follow(document, schema);
    if !schema["example"].is_null() {
        return Some(schema["example"].clone());
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices
            .iter()
            .find_map(|choice| of_schema(document, choice));
    }
    let item = of_schema(document, schema.get("items")?)?;
    Some(Value::Array(vec![item]))
}

/// An operation as a command for a shell.
pub(crate) fn curl(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut url = format!("{EXAMPLE_ORIGIN}{path}");
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
    let body = of_content(
        document,
        &operation["requestBody"]["content"]["application/json"],
    );
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openapi;

    /// The operations with their paths and methods.
    fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// The examples of a content, each as its schema has it.
    fn valid(document: &Value, content: &Value, of: &str) -> Vec<Value> {
        let schema = json!({"allOf": [content["schema"]], "components": document["components"]});
        let schema = jsonschema::validator_for(&schema).unwrap();
        let examples = of_content(document, content);
        for example in &examples {
            let errors: Vec<_> = schema
                .iter_errors(example)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{of}: {example}: {errors:?}");
        }
        examples
    }

    #[test]
    fn every_body_and_every_answer_has_an_example_that_its_schema_allows() {
        let document = openapi::document();
        for (path, method, operation) in operations(&document) {
            let of = format!("{method} {path}");
            if let Some(body) = operation.get("requestBody") {
                let content = &body["content"]["application/json"];
                assert!(
                    !valid(&document, content, &of).is_empty(),
                    "{of} has no body"
                );
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{of}"
            );
            for (status, response) in responses {
                for content in response["content"].as_object().unwrap().values() {
                    let of = format!("{of}: {status}");
                    assert!(!valid(&document, content, &of).is_empty(), "{of}");
                }
            }
        }
    }

    #[test]
    fn every_operation_is_a_command_with_all_that_it_needs() {
        let document = openapi::document();
        for (path, method, operation) in operations(&document) {
            let words = shlex::split(&curl(&document, path, method, operation)).unwrap();
            let url = words
                .iter()
                .find(|word| word.starts_with(EXAMPLE_ORIGIN))
                .unwrap();
            assert!(!url.contains(['{', ' ']), "{url}");
            let has = |word: &str| words.iter().any(|each| each.starts_with(word));
            let is_guarded = operation["responses"]["401"].is_object();
            assert_eq!(has("Authorization: Token "), is_guarded, "{url}");
            assert_eq!(has("-d"), operation["requestBody"].is_object(), "{url}");
            assert_eq!(has(&method.to_uppercase()), method != "get", "{url}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                let is_left_out = parameter["required"] == true && parameter["example"].is_null();
                assert!(!is_left_out, "{url}: {name}");
            }
        }
    }

    #[test]
    fn an_apostrophe_in_a_body_stays_one_in_the_shell() {
        let operation =
            json!({"requestBody": {"content": {"application/json": {"example": "it's"}}}});
        let words = shlex::split(&curl(&json!({}), "/p", "post", &operation)).unwrap();
        assert_eq!(words.last().unwrap(), "\"it's\"");
    }
}
