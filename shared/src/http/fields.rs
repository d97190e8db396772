//! Fields of a JSON object, checked one by one so that a caller hears of every mistake at once, in
//! the words of the system we replace.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// What is wrong with the fields of a body, by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(Cow<'static, str>, Vec<String>)>);

impl FieldErrors {
    /// One mistake that concerns the body as a whole.
    #[must_use]
    pub fn of_body(message: String) -> Self {
        let mut errors = Self::default();
        errors.add("non_field_errors", message);
        errors
    }

    /// Adds a mistake.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        let field = field.into();
        match self.0.iter_mut().find(|(name, _)| *name == field) {
            Some((_, messages)) => messages.push(message.into()),
            None => self.0.push((field, vec![message.into()])),
        }
    }

    /// Whether there is a mistake in this field.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == field)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All mistakes in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let parts = self
            .0
            .iter()
            .map(|(field, messages)| format!("{field}: {}", messages.join(" ")));
        parts.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        self.0
            .iter()
            .map(|(field, messages)| (field.to_string(), json!(messages)))
            .collect()
    }
}

/// What an object has for a text field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Nothing.
    Absent,
    /// `null`.
    Null,
    /// A text, trimmed. It keeps the field's rules unless an error was added.
    Text(String),
}

/// The rules of a text field.
#[derive(Clone, Copy, Debug)]
pub struct TextField {
    /// Its name.
    pub name: &'static str,
    /// The most characters.
    pub max_chars: usize,
    /// Whether it must be there, and neither `null` nor blank.
    pub required: bool,
    /// Whether it may be blank when it is not required.
    pub may_be_blank: bool,
}

impl TextField {
    /// Reads the field. Numbers are taken as their digits; other types are no text.
    pub fn read(&self, value: Option<&Value>, errors: &mut FieldErrors) -> Field {
        let text = match value {
            None => {
                if self.required {
                    errors.add(self.name, "This field is required.");
                }
                return Field::Absent;
            }
            Some(Value::Null) => {
                if self.required {
                    errors.add(self.name, "This field may not be null.");
                }
                return Field::Null;
            }
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                errors.add(self.name, "Not a valid string.");
                return Field::Null;
            }
        };
        if text.is_empty() && !self.may_be_blank {
            errors.add(self.name, "This field may not be blank.");
        }
        if text.chars().count() > self.max_chars {
            let limit = self.max_chars;
            errors.add(
                self.name,
                format!("Ensure this field has no more than {limit} characters."),
            );
        }
        if text.contains('\0') {
            errors.add(self.name, "Null characters are not allowed.");
        }
        Field::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FIELD: TextField = TextField {
        name: "f",
        max_chars: 3,
        required: true,
        may_be_blank: false,
    };

    #[rstest]
    #[case(json!(" ab "), Field::Text("ab".to_owned()))]
    #[case(json!(12), Field::Text("12".to_owned()))]
    #[case(json!("äöü"), Field::Text("äöü".to_owned()))]
    fn texts_are_trimmed_and_numbers_are_their_digits(#[case] value: Value, #[case] field: Field) {
        let mut errors = FieldErrors::default();
        assert_eq!(FIELD.read(Some(&value), &mut errors), field);
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[rstest]
    #[case(None, "This field is required.")]
    #[case(Some(json!(null)), "This field may not be null.")]
    #[case(Some(json!("  ")), "This field may not be blank.")]
    #[case(Some(json!(true)), "Not a valid string.")]
    #[case(Some(json!(["a"])), "Not a valid string.")]
    #[case(Some(json!({})), "Not a valid string.")]
    #[case(Some(json!("abcd")), "Ensure this field has no more than 3 characters.")]
    #[case(Some(json!("a\0")), "Null characters are not allowed.")]
    fn mistakes_are_named(#[case] value: Option<Value>, #[case] message: &str) {
        let mut errors = FieldErrors::default();
        FIELD.read(value.as_ref(), &mut errors);
        assert_eq!(
            errors.to_json(),
            *json!({"f": [message]}).as_object().unwrap()
        );
    }
}
