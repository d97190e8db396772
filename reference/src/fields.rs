//! The fields of a schema as rows of a table.

use serde_json::Value;

use crate::examples::follow;

/// What stands between a vocabulary's description and its words.
const KNOWN: &str = " Known so far: ";

/// A field.
pub(crate) struct Row {
    /// Where it is: `plans[].id`.
    pub(crate) path: String,
    /// What it is, in words.
    pub(crate) kind: String,
    /// Whether it must be there.
    pub(crate) required: bool,
    /// What it means, in Markdown.
    pub(crate) description: String,
}

/// Schemas, and where the schemas are that they refer to.
pub(crate) struct Fields<'a>(pub(crate) &'a Value);

impl<'a> Fields<'a> {
    /// The fields of a schema, each before those within it.
    pub(crate) fn of(&self, schema: &'a Value) -> Vec<Row> {
        let mut rows = Vec::new();
        self.list(schema, "", &mut rows);
        rows
    }

    fn list(&self, schema: &'a Value, under: &str, rows: &mut Vec<Row>) {
        let (schema, suffix) = self.object(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.list(part, under, rows);
        }
        let path_of = |name: &str| match under {
            "" => format!("{suffix}{name}"),
            under => format!("{under}{suffix}.{name}"),
        };
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = path_of(name);
            // What else is said of it only narrows it.
            if let Some(row) = rows.iter_mut().find(|row| row.path == path) {
                row.kind = self.kind(field);
            } else {
                rows.push(Row {
                    kind: self.kind(field),
                    required: false,
                    description: self.description(field),
                    path: path.clone(),
                });
            }
            self.list(field, &path, rows);
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let path = name.as_str().map(path_of);
            if let Some(row) = rows.iter_mut().find(|row| Some(&row.path) == path.as_ref()) {
                row.required = true;
            }
        }
    }

    fn follow(&self, schema: &'a Value) -> &'a Value {
        follow(self.0, schema)
    }

    /// The object that a schema is in the end, and how a path to it is written: it may be one of several,
    /// or in a list.
    fn object(&self, schema: &'a Value) -> (&'a Value, &'static str) {
        let schema = self.follow(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let choices = choices.iter().map(|choice| self.object(choice));
            let has_fields = |(choice, _): &(&Value, _)| choice["properties"].is_object();
            return choices.into_iter().find(has_fields).unwrap_or((schema, ""));
        }
        if schema["items"].is_object() {
            let (item, _) = self.object(&schema["items"]);
            return (item, "[]");
        }
        (schema, "")
    }

    /// What a value is, in words.
    fn kind(&self, schema: &'a Value) -> String {
        let schema = self.follow(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let mut kinds: Vec<String> = Vec::new();
            for kind in choices.iter().map(|choice| self.kind(choice)) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            // "or null" comes last.
            kinds.sort_by_key(|kind| kind == "null");
            return kinds.join(" or ");
        }
        let named = |name: &str| match (name, schema["format"].as_str()) {
            ("string", Some("date-time")) => "time".to_owned(),
            ("string", Some("uuid")) => "UUID".to_owned(),
            ("array", _) if schema["items"].is_object() => {
                format!("list of {}", self.kind(&schema["items"]))
            }
            ("array", _) => "list".to_owned(),
            (name, _) => name.to_owned(),
        };
        match &schema["type"] {
            Value::String(name) => named(name),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str).map(named);
                names.collect::<Vec<_>>().join(" or ")
            }
            _ if schema["allOf"].is_array() => "object".to_owned(),
            _ => "any JSON".to_owned(),
        }
    }

    /// A field's own description, else that of its type, with the words that are known of a vocabulary.
    fn description(&self, schema: &'a Value) -> String {
        let choices = schema["oneOf"].as_array().into_iter().flatten();
        let places: Vec<&Value> = [schema].into_iter().chain(choices).collect();
        let said = |schema: &'a Value| schema["description"].as_str();
        let of_types = || places.iter().map(|schema| self.follow(schema));
        let own = places.iter().find_map(|schema| said(schema));
        let described = own
            .or_else(|| of_types().find_map(said))
            .unwrap_or_default();
        let known =
            of_types().find_map(|schema| said(schema)?.split_once(KNOWN).map(|(_, known)| known));
        match known {
            Some(known) if !described.contains(KNOWN) => format!("{described}{KNOWN}{known}"),
            _ => described.to_owned(),
        }
    }
}
