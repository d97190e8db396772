//! Masking: a payload with the personal data in it made unrecognisable, to be kept as a sample.
//!
//! The rules for texts are those of the system that this one replaces, so that what academies know
//! stays: a value is masked for what its key says it is, and enough of it is left to tell what it was.
//! That is no anonymisation. A key that says nothing lets its value through, and what is left of a long
//! name may still name somebody: a sample is for the eyes of whoever gets the payloads anyway.
//!
//! A sample shows what a program will receive, so a value keeps its JSON type: a number stays one. A
//! coordinate loses its decimals but one; the number of a record stays as it is.
//!
//! It is a function from text to text. What is not masked stays as it is spelt, `299.00` among it, and
//! keys keep their order, even those that are there twice.

use serde_json::value::RawValue;

use crate::members::Members;

/// How deep objects and lists may stand in each other: as deep as `serde_json` follows by itself. It
/// follows none here, where each level is read by itself as text, so that we must count. It is also the
/// most often that a byte is read.
const MAX_DEPTH: usize = 127;

/// What stands for what is left out.
const MASK: &str = "***";

/// Why a payload cannot be masked.
#[derive(Debug, thiserror::Error)]
pub enum Unmaskable {
    /// A part of it is no JSON, or a text in it no text.
    #[error("the payload cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It is nested too deeply.
    #[error("the payload is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// What is kept of a payload as a sample: the object that it is, masked. In an envelope, which has
/// an object `data` beside the `hook` that it is for, that is the `data`. Nothing is kept of what is no
/// object, or an empty one.
pub fn sample(payload: &RawValue) -> Result<Option<String>, Unmaskable> {
    if !is_object(payload) {
        return Ok(None);
    }
    let Members(mut members) = serde_json::from_str(payload.get())?;
    let mut kept = payload;
    if members.iter().any(|(key, _)| key == "hook") {
        let is_data = |(key, value): &&(String, &RawValue)| key == "data" && is_object(value);
        if let Some((_, data)) = members.iter().rfind(is_data) {
            kept = data;
            Members(members) = serde_json::from_str(data.get())?;
        }
    }
    if members.is_empty() {
        return Ok(None);
    }
    masked(kept).map(Some)
}

/// JSON with what is personal in it masked.
pub fn masked(json: &RawValue) -> Result<String, Unmaskable> {
    let mut masked = String::with_capacity(json.get().len());
    mask_within(json, 1, &mut masked)?;
    Ok(masked)
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Writes a value that no rule is about: an object or a list with what is in it masked, all else as it
/// is. It would stand at this depth, from 1, if it were one of the two.
fn mask_within(value: &RawValue, depth: usize, masked: &mut String) -> Result<(), Unmaskable> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{' | b'[') if depth > MAX_DEPTH => return Err(Unmaskable::TooDeep),
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text)?;
            mask_object(members, depth, masked)?;
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            masked.push('[');
            for (position, item) in items.into_iter().enumerate() {
                if position > 0 {
                    masked.push(',');
                }
                mask_within(item, depth + 1, masked)?;
            }
            masked.push(']');
        }
        _ => masked.push_str(text),
    }
    Ok(())
}

fn mask_object(
    members: Vec<(String, &RawValue)>,
    depth: usize,
    masked: &mut String,
) -> Result<(), Unmaskable> {
    masked.push('{');
    for (position, (key, value)) in members.into_iter().enumerate() {
        if position > 0 {
            masked.push(',');
        }
        masked.push_str(&serde_json::to_string(&key)?);
        masked.push(':');
        match masked_member(&key.to_lowercase(), value.get())? {
            Some(json) => masked.push_str(&json),
            None => mask_within(value, depth + 1, masked)?,
        }
    }
    masked.push('}');
    Ok(())
}

/// The JSON that stands for a member's value, of the same type; `None` when no rule is about it.
fn masked_member(key: &str, value: &str) -> Result<Option<String>, serde_json::Error> {
    match value.as_bytes().first() {
        Some(b'"') => masked_text(key, &serde_json::from_str::<String>(value)?)
            .map(|text| serde_json::to_string(&text))
            .transpose(),
        Some(b'-' | b'0'..=b'9') if is_coordinate(key) => Ok(rounded(value)),
        _ => Ok(None),
    }
}

/// The first rule that is about a text under this key.
fn masked_text(key: &str, text: &str) -> Option<String> {
    let speaks_of = |words: &[&str]| words.iter().any(|word| key.contains(word));
    Some(if speaks_of(&["email"]) && text.contains('@') {
        email(text)
    } else if speaks_of(&["phone"]) {
        phone(text)
    } else if speaks_of(&["name"]) {
        name(text)
    } else if speaks_of(&["address", "street", "location"]) {
        place(text)
    } else if matches!(key, "city" | "state" | "zip_code" | "zip") {
        name(text)
    } else if is_coordinate(key) {
        coordinate(text)
    } else if speaks_of(&["url"]) && text.starts_with("http") {
        url(text)
    } else if is_id(key) {
        id(text)
    } else if speaks_of(&["gclid", "tracking"]) {
        beginning(text, 10, 10)
    } else if speaks_of(&["comment"]) {
        comment(text)
    } else {
        return None;
    })
}

fn is_coordinate(key: &str) -> bool {
    matches!(key, "latitude" | "longitude")
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id")
}

fn email(text: &str) -> String {
    match text.split_once('@') {
        Some((local, domain)) if !domain.contains('@') => {
            format!("{}@{domain}", beginning(local, 2, 1))
        }
        _ => format!("{MASK}@example.com"),
    }
}

fn phone(text: &str) -> String {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if digits >= 4 {
        both_ends(text, 2, 4)
    } else {
        MASK.to_owned()
    }
}

fn name(text: &str) -> String {
    beginning(text, 2, 1)
}

fn place(text: &str) -> String {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    if rest.is_empty() {
        format!("{first}{MASK}")
    } else {
        format!("{first}{MASK} {}", rest.join(" "))
    }
}

fn coordinate(text: &str) -> String {
    format!("{}{MASK}", rounded(text.trim()).unwrap_or_default())
}

/// Degrees with one decimal; `None` for what is no number, or too large for one.
fn rounded(digits: &str) -> Option<String> {
    let degrees = digits
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())?;
    Some(format!("{degrees:.1}"))
}

fn url(text: &str) -> String {
    let repositories = ["/github.com/", "/gitlab.com/", "github.io"];
    if !repositories.iter().any(|part| text.contains(part)) {
        return words(text);
    }
    let mut parts: Vec<String> = text.split('/').map(str::to_owned).collect();
    if let Some(account) = parts.get_mut(3) {
        *account = beginning(account, 3, 3);
        return parts.join("/");
    }
    let last = parts.iter().rfind(|part| !part.is_empty());
    last.map_or_else(|| MASK.to_owned(), |last| text.replace(last, MASK))
}

/// Every word of four letters and digits or more, cut to its first three.
fn words(text: &str) -> String {
    let ends = |c: char| !c.is_ascii_alphanumeric();
    let mut masked = String::with_capacity(2 * text.len());
    for piece in text.split_inclusive(ends) {
        let word = piece.trim_end_matches(ends);
        let (_, end) = piece.split_at(word.len());
        if word.len() < 4 {
            masked.push_str(word);
        } else {
            masked.push_str(first(word, 3));
            masked.push_str(MASK);
        }
        masked.push_str(end);
    }
    masked
}

fn id(text: &str) -> String {
    if is_longer(text, 3) {
        both_ends(text, 1, 1)
    } else {
        MASK.to_owned()
    }
}

fn comment(text: &str) -> String {
    if is_longer(text, 20) {
        both_ends(text, 10, 10)
    } else {
        MASK.to_owned()
    }
}

/// The first characters of a text that is longer than so many; of a shorter one nothing.
fn beginning(text: &str, limit: usize, shown: usize) -> String {
    let shown = if is_longer(text, limit) { shown } else { 0 };
    format!("{}{MASK}", first(text, shown))
}

fn both_ends(text: &str, shown_first: usize, shown_last: usize) -> String {
    let left_out = text.chars().count().saturating_sub(shown_last);
    let last = text.chars().skip(left_out).collect::<String>();
    format!("{}{MASK}{last}", first(text, shown_first))
}

fn is_longer(text: &str, characters: usize) -> bool {
    text.chars().nth(characters).is_some()
}

fn first(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters);
    end.map_or(text, |(end, _)| text.split_at(end).0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn mask(json: &str) -> String {
        masked(&raw(json)).unwrap()
    }

    /// What becomes of one value under a key.
    fn of(key: &str, value: impl Into<Value>) -> Value {
        let object = json!({ key: value.into() }).to_string();
        let mut object: Value = serde_json::from_str(&mask(&object)).unwrap();
        object[key].take()
    }

    /// The recorded behaviour of the system that this one replaces, but that a number stays one.
    #[test]
    fn masked_is_what_it_was_before() {
        let before = r#"{
            "email": "jane.doe@example.com",
            "e2_email": "ab@x.com",
            "bad_email": "noat",
            "phone": "+1234567890",
            "phone2": "12",
            "first_name": "Jane",
            "name": "Al",
            "last_name": "",
            "cohort_name": "Full Stack",
            "username": "jdoe",
            "address": "123 Main St",
            "street": "Main",
            "location": "Miami, FL",
            "city": "Miami",
            "state": "FL",
            "zip_code": "33131",
            "latitude": 25.7617,
            "longitude": "-80.1918",
            "lat": "x",
            "github_url": "https://github.com/student/todo-app",
            "live_url": "https://student.github.io/todo-app",
            "meeting_url": "https://meet.google.com/abc-defg",
            "url": "/relative",
            "id": 456,
            "big_id": 12345,
            "id_bool": true,
            "user_id": "abcd",
            "gclid": "EAIaIQobChMI123",
            "gclid2": "short",
            "comment": "short",
            "client_comments": "this is a long comment indeed ok",
            "tracking_n": 5,
            "status": "ACTIVE",
            "none": null,
            "nested": {"email": "zed@x.io", "list": [{"phone": "555-1234567"}, 1, "s"]},
            "names": ["John"],
            "academy": {"id": 4, "name": "Downtown Campus", "slug": "downtown-campus"}
        }"#;
        let after = concat!(
            r#"{"email":"j***@example.com","#,
            r#""e2_email":"***@x.com","#,
            r#""bad_email":"noat","#,
            r#""phone":"+1***7890","#,
            r#""phone2":"***","#,
            r#""first_name":"J***","#,
            r#""name":"***","#,
            r#""last_name":"***","#,
            r#""cohort_name":"F***","#,
            r#""username":"j***","#,
            r#""address":"123*** Main St","#,
            r#""street":"Main***","#,
            r#""location":"Miami,*** FL","#,
            r#""city":"M***","#,
            r#""state":"***","#,
            r#""zip_code":"3***","#,
            r#""latitude":25.8,"#,
            r#""longitude":"-80.2***","#,
            r#""lat":"x","#,
            r#""github_url":"https://github.com/stu***/todo-app","#,
            r#""live_url":"https://student.github.io/tod***","#,
            r#""meeting_url":"htt***://mee***.goo***.com/abc-def***","#,
            r#""url":"/relative","#,
            r#""id":456,"#,
            r#""big_id":12345,"#,
            r#""id_bool":true,"#,
            r#""user_id":"a***d","#,
            r#""gclid":"EAIaIQobCh***","#,
            r#""gclid2":"***","#,
            r#""comment":"***","#,
            r#""client_comments":"this is a *** indeed ok","#,
            r#""tracking_n":5,"#,
            r#""status":"ACTIVE","#,
            r#""none":null,"#,
            r#""nested":{"email":"z***@x.io","list":[{"phone":"55***4567"},1,"s"]},"#,
            r#""names":["John"],"#,
            r#""academy":{"id":4,"name":"D***","slug":"downtown-campus"}}"#,
        );
        assert_eq!(mask(before), after);
        assert_eq!(sample(&raw(before)).unwrap().unwrap(), after);
    }

    /// Recorded as well.
    #[test]
    fn a_sample_is_an_object_and_of_an_envelope_its_data() {
        for (payload, wanted) in [
            (
                r#"{"id": 456, "user": {"id": 789, "first_name": "Jane", "email": "jane.doe@example.com"},
                    "created_at": "2025-01-15T09:00:00Z", "price": "299.00", "tags": ["a"]}"#,
                Some(
                    r#"{"id":456,"user":{"id":789,"first_name":"J***","email":"j***@example.com"},"created_at":"2025-01-15T09:00:00Z","price":"299.00","tags":["a"]}"#,
                ),
            ),
            (
                r#"{"hook": {"id": 1}, "data": {"a": 1}}"#,
                Some(r#"{"a":1}"#),
            ),
            (r#"{"data": [1]}"#, Some(r#"{"data":[1]}"#)),
            ("[]", None),
            ("[1, 2]", None),
            ("{}", None),
        ] {
            assert_eq!(sample(&raw(payload)).unwrap().as_deref(), wanted);
        }
    }

    #[test]
    fn what_is_no_envelope_is_kept_whole() {
        for payload in [
            r#"{"data":{"a":1},"b":2}"#,
            r#"{"hook":{"a":1},"data":[{"b":2}]}"#,
            r#"{"hook":1}"#,
        ] {
            assert_eq!(sample(&raw(payload)).unwrap().unwrap(), payload);
        }
        for payload in [
            r#"{"hook":{},"data":{}}"#,
            " { } ",
            "\"text\"",
            "7",
            "true",
            "[{\"a\":1}]",
        ] {
            assert_eq!(sample(&raw(payload)).unwrap(), None, "{payload}");
        }
    }

    #[test]
    fn what_is_not_masked_stays_as_it_is_spelt() {
        let payload = "{\"price\": 299.00,  \"big\":12345678901234567890123,\"a\":1,\"a\":2,\n\"e\":1E2,\"s\":\"\\u00e9é\",\"z\":[-0.0, {\"n\":1e-7}]}";
        let wanted = r#"{"price":299.00,"big":12345678901234567890123,"a":1,"a":2,"e":1E2,"s":"\u00e9é","z":[-0.0,{"n":1e-7}]}"#;
        assert_eq!(mask(payload), wanted);
    }

    #[test]
    fn a_coordinate_beyond_all_numbers_stays_as_it_is_spelt() {
        let payload = r#"{"latitude":-1e400,"longitude":1E1}"#;
        assert_eq!(mask(payload), r#"{"latitude":-1e400,"longitude":10.0}"#);
    }

    #[test]
    fn the_first_rule_that_applies_is_the_one() {
        for (key, value, wanted) in [
            ("email_name", json!("Jane"), json!("J***")),
            ("email_address", json!("jane@x.com"), json!("j***@x.com")),
            ("EMAIL", json!("Jane@X.com"), json!("J***@X.com")),
            ("email", json!("a@b@c"), json!("***@example.com")),
            ("email", json!("@x.com"), json!("***@x.com")),
            ("email_id", json!("abcdef"), json!("a***f")),
            ("phone_id", json!("abc"), json!("***")),
            ("phone_id", json!(123_456), json!(123_456)),
            ("name_id", json!("abcdef"), json!("a***")),
            ("location_id", json!("a b  c"), json!("a*** b c")),
            ("address", json!(" \t"), json!("***")),
            ("state", json!("Florida"), json!("F***")),
            ("state_code", json!("Florida"), json!("Florida")),
            ("zip", json!(33_131), json!(33_131)),
            ("latitude", json!("north"), json!("***")),
            ("latitude", json!(true), json!(true)),
            ("latitude", json!("1e400"), json!("***")),
            ("longitude", json!(-80), json!(-80.0)),
            ("longitude", json!(-80.1918), json!(-80.2)),
            ("longitude", json!(-0.04), json!(-0.0)),
            ("tracking_id", json!("abcdefghijklm"), json!("a***m")),
            ("utm_tracking", json!("abcdefghij"), json!("***")),
            ("tracking_url", json!("ftp://x"), json!("***")),
            ("comment_id", json!("abcde"), json!("a***e")),
            ("id", json!(false), json!(false)),
            ("id", json!(1.5), json!(1.5)),
            ("id", json!(-123), json!(-123)),
            ("id", json!(["abcdef"]), json!(["abcdef"])),
            ("ID", json!({"id": "abcdef"}), json!({"id": "a***f"})),
            ("idea", json!("abcdef"), json!("abcdef")),
            ("email", json!(null), json!(null)),
            (
                "email",
                json!(["a@b.c", {"email": "abc@d"}]),
                json!(["a@b.c", {"email": "a***@d"}]),
            ),
        ] {
            assert_eq!(of(key, value.clone()), wanted, "{key}: {value}");
        }
    }

    #[test]
    fn urls_lose_whose_they_are() {
        for (url, wanted) in [
            ("https://gitlab.com/ann/x", "https://gitlab.com/***/x"),
            ("https://gitlab.com/anna", "https://gitlab.com/ann***"),
            ("http:/anna.github.io", "http:/***"),
            ("https://github.com", "htt***://git***.com"),
            ("http://a.bc/äöüß?token=x", "htt***://a.bc/äöüß?tok***=x"),
        ] {
            assert_eq!(of("repo_url", url), wanted);
        }
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(of("name", "Éa"), "***");
        assert_eq!(of("name", "Éva"), "É***");
        assert_eq!(of("email", "éàü@x.io"), "é***@x.io");
        assert_eq!(of("id", "ééé"), "***");
        assert_eq!(of("id", "éèêë"), "é***ë");
        assert_eq!(of("phone", "☎1234"), "☎1***1234");
        assert_eq!(of("comment", "é".repeat(20)), "***");
        let wanted = format!("{0}***{0}", "é".repeat(10));
        assert_eq!(of("comment", "é".repeat(21)), wanted);
        // A letter whose lower case is another number of letters.
        assert_eq!(of("İD_NAME", "Jane"), "J***");
    }

    #[test]
    fn hostile_nesting_is_refused_and_overflows_no_stack() {
        let nested = |levels: usize| {
            let (open, close) = (r#"{"a":["#, "]}");
            format!("{}{}", open.repeat(levels / 2), close.repeat(levels / 2))
        };
        let deepest = format!(r#"{{"a":{}}}"#, nested(126));
        assert_eq!(mask(&deepest), deepest);
        // Readers follow what is kept.
        serde_json::from_str::<Value>(&deepest).unwrap();
        for json in [
            nested(128),
            nested(20_000),
            format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)),
            format!("{}1{}", r#"{"id":"#.repeat(10_000), "}".repeat(10_000)),
        ] {
            assert!(matches!(masked(&raw(&json)), Err(Unmaskable::TooDeep)));
            let payload = raw(&format!(r#"{{"hook":1,"data":{{"a":{json}}}}}"#));
            assert!(matches!(sample(&payload), Err(Unmaskable::TooDeep)));
        }
    }

    #[test]
    fn a_text_that_is_none_lets_nothing_through() {
        // Half of a pair of surrogates: JSON by its grammar, and no text.
        for json in [r#"{"name":"\ud800Jane"}"#, r#"{"\ud800name":"Jane"}"#] {
            assert!(matches!(masked(&raw(json)), Err(Unmaskable::Json(_))));
        }
    }

    /// Any JSON, with keys that rules are about and others.
    fn any_json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "http(s://github.com/|://)?[a-z/.]{0,12}".prop_map(Value::from),
            "[a-z@0-9 ]{0,30}".prop_map(Value::from),
        ];
        let key = prop_oneof![
            any::<String>(),
            "[a-z_]{0,4}(email|phone|name|address|city|latitude|url|id|_id|gclid|comment)[a-z_]{0,2}",
        ];
        scalar.prop_recursive(6, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Whether two values have the same objects, keys, lists and types.
    fn have_one_shape(before: &Value, after: &Value) -> bool {
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => {
                before.keys().eq(after.keys())
                    && before
                        .values()
                        .zip(after.values())
                        .all(|(b, a)| have_one_shape(b, a))
            }
            (Value::Array(before), Value::Array(after)) => {
                before.len() == after.len()
                    && before.iter().zip(after).all(|(b, a)| have_one_shape(b, a))
            }
            (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) => true,
            (before, after) => before == after,
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_json_of_the_same_shape(value in any_json()) {
            let before = value.to_string();
            let text = mask(&before);
            let [before, after] = [&before, &text].map(|text| serde_json::from_str(text).unwrap());
            prop_assert!(have_one_shape(&before, &after), "{value} became {text}");
            let kept = sample(&raw(&json!({"a": value}).to_string())).unwrap().unwrap();
            prop_assert_eq!(kept, format!(r#"{{"a":{text}}}"#));
        }

        #[test]
        fn no_address_survives_under_an_email_key(
            key in "[a-zA-Z_]{0,5}(email|Email|EMAIL)[a-zA-Z_]{0,5}",
            local in "[^@]{3,40}",
            rest in "[^@]{0,20}(@[^@]{0,5})?",
        ) {
            let after = of(&key, format!("{local}@{rest}"));
            let after = after.as_str().unwrap();
            let (shown, _) = after.split_once('@').unwrap();
            prop_assert!(shown.chars().count() <= 4, "{}", after);
            prop_assert!(!after.contains(&format!("{local}@")), "{}", after);
        }

        #[test]
        fn of_names_ids_and_phones_only_the_ends_are_left(text in ".{8,60}") {
            for (key, most) in [("last_name", 1), ("user_id", 2), ("phone", 6)] {
                let after = of(key, text.as_str());
                let shown = after.as_str().unwrap().chars().count() - MASK.len();
                prop_assert!(shown <= most, "{} became {}", text, after);
            }
        }
    }
}
