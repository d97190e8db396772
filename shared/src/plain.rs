//! JSON values from outside.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// A value that somebody else wrote.
///
/// [`Value`] reads itself with `serde_json`'s own names in it: a text under the first key
/// `$serde_json::private::RawValue` is read as JSON of its own, with a limit of its own to its depth, so that
/// a few of them in each other overflow the stack. Here every name is a name.
#[derive(Debug)]
pub struct Plain(pub Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Self)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Plain(value))) = map.next_entry()? {
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_is_written() {
        let json = r#"{"a": [null, true, -1, 18446744073709551615, 1.5, "\u00e9"], "b": {"c": []}, "a2": {}}"#;
        let Plain(value) = serde_json::from_str(json).expect("JSON");
        assert_eq!(value, serde_json::from_str::<Value>(json).expect("JSON"));
    }

    #[test]
    fn names_that_serde_json_uses_itself_are_names() {
        let inner = r#"{"$serde_json::private::RawValue": "[1]"}"#;
        let Plain(value) = serde_json::from_str(inner).expect("JSON");
        assert_eq!(value["$serde_json::private::RawValue"], "[1]");
        assert_eq!(value.as_object().map(Map::len), Some(1));
    }

    #[test]
    fn what_is_nested_too_deeply_is_no_json() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let error = serde_json::from_str::<Plain>(&deep).expect_err("too deep");
        assert!(error.to_string().starts_with("recursion limit exceeded"));
    }
}
