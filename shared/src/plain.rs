//! JSON from outside: where its text begins, what is said of one that is none, and its values.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// A text in UTF-16, which some editors and shells write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is UTF-16, by its byte order mark, and is to be UTF-8")]
pub struct Utf16;

/// A text without the byte order mark that may stand before it.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], Utf16> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Utf16);
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// What is wrong with a text that is no JSON, in words for whoever wrote it. `serde_json` says of half a
/// surrogate pair what its parser met.
#[must_use]
pub fn said_of(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let is_surrogate = ["lone leading surrogate", "unexpected end of hex escape"]
        .iter()
        .any(|words| said.starts_with(words));
    if is_surrogate {
        let (line, column) = (error.line(), error.column());
        format!("{LONE_SURROGATE} at line {line} column {column}")
    } else {
        said
    }
}

/// What is said of a text with half of a pair of surrogates in it.
pub const LONE_SURROGATE: &str =
    "a text has half of a surrogate pair, such as \\ud83d alone, which is no character";

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
    fn a_byte_order_mark_is_skipped_or_named() {
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), Ok(&b"{}"[..]));
        assert_eq!(without_mark(b"{}\xef\xbb\xbf"), Ok(&b"{}\xef\xbb\xbf"[..]));
        assert_eq!(without_mark(b""), Ok(&b""[..]));
        for utf16 in [&b"\xff\xfe{\0}\0"[..], b"\xfe\xff\0{\0}"] {
            assert_eq!(without_mark(utf16), Err(Utf16));
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_called_that() {
        for json in [
            r#""\ud800""#,
            r#""\ud83dx""#,
            r#""\ude00""#,
            r#""\ud83d\ud83d""#,
            r#""\ud83d\n""#,
        ] {
            let error = serde_json::from_str::<Plain>(json).expect_err("no text");
            let said = said_of(&error);
            assert!(said.starts_with(LONE_SURROGATE), "{json}: {said}");
        }
        let error = serde_json::from_str::<Plain>(r#"{"a": 1"#).expect_err("no JSON");
        assert_eq!(said_of(&error), error.to_string());
    }

    #[test]
    fn what_is_nested_too_deeply_is_no_json() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let error = serde_json::from_str::<Plain>(&deep).expect_err("too deep");
        assert!(error.to_string().starts_with("recursion limit exceeded"));
    }
}
