use serde::de::DeserializeOwned;

use super::*;

fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn a_record_s_number_is_whole_and_not_negative() {
    assert_eq!(read("0"), Ok(Id(0)));
    assert_eq!(read("9223372036854775807"), Ok(Id(MAX_ID)));
    for json in [
        "-1",
        "1.0",
        "1e3",
        r#""1""#,
        "true",
        "null",
        "[1]",
        "9223372036854775808",
        "18446744073709551616",
    ] {
        assert!(read::<Id>(json).is_err(), "{json}");
    }
}

#[test]
fn a_moment_has_an_offset() {
    let moment = read::<Time>(r#""2025-01-20T15:30:00Z""#);
    assert!(moment.is_ok());
    for json in [
        r#""2025-01-20T15:30:00.000000Z""#,
        r#""2025-01-20T16:30:00+01:00""#,
        r#""2025-01-20T10:30:00-05:00""#,
    ] {
        assert_eq!(read::<Time>(json), moment, "{json}");
    }
    for json in [
        r#""2025-01-20T15:30:00""#,
        r#""2025-01-20""#,
        r#""2025-02-30T15:30:00Z""#,
        r#""""#,
        "1737387000",
        "null",
    ] {
        assert!(read::<Time>(json).is_err(), "{json}");
    }
}

#[test]
fn an_exact_number_keeps_its_spelling() {
    for number in [
        "0",
        "-0.00",
        "299.00",
        "1e3",
        "1E-3",
        "12345678901234567890.10",
        "1e999",
    ] {
        for json in [number.to_owned(), format!(r#""{number}""#)] {
            let decimal = read::<Decimal>(&json).expect(number);
            assert_eq!(decimal.as_str(), number);
        }
    }
    for json in [
        r#""""#,
        r#""1,50""#,
        r#""1.""#,
        r#"".5""#,
        r#""+1""#,
        r#""01""#,
        r#"" 1""#,
        r#""NaN""#,
        r#""\u0031""#,
        r#""null""#,
        r#""[1]""#,
        "null",
        "true",
        "[1]",
        "{}",
    ] {
        assert!(read::<Decimal>(json).is_err(), "{json}");
    }
}

#[test]
fn anything_is_any_json() {
    for json in [
        "null",
        "true",
        "-1",
        "18446744073709551616",
        "1.5",
        r#""text""#,
        "[1, [null], {}]",
        r#"{"a": {"token": {"b": 1}}, "a": [], "\u0074oken": 1}"#,
    ] {
        assert_eq!(read(json), Ok(Free), "{json}");
    }
    assert!(read::<Free>(r#"{"a": }"#).is_err());
}

#[test]
fn a_key_is_a_number_or_a_text() {
    assert_eq!(read("7788"), Ok(Key::Number(7788)));
    assert_eq!(read(r#""7788""#), Ok(Key::Text("7788".to_owned())));
    for json in ["-1", "1.5", "null", "true", "[]", "{}"] {
        assert!(read::<Key>(json).is_err(), "{json}");
    }
}

#[test]
fn a_related_record_is_what_it_is_found_by_or_itself() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Thing {
        id: Id,
        price: Option<Decimal>,
    }
    type ById = Related<Id, Thing>;
    type ByName = Related<Name, Thing>;
    assert_eq!(read::<ById>("5"), Ok(Related::Key(Id(5))));
    let name = Name("five".to_owned());
    assert_eq!(read::<ByName>(r#""five""#), Ok(Related::Key(name)));
    // Within it, too, numbers keep their spelling.
    let price = Some(Decimal("5.00".into()));
    let thing = Thing { id: Id(5), price };
    assert_eq!(
        read::<ById>(r#"{"id": 5, "price": 5.00}"#),
        Ok(Related::Whole(thing))
    );
    for json in ["true", "null", "-5", "1.5", "[5]", r#""five""#, "{}"] {
        assert!(read::<ById>(json).is_err(), "{json}");
    }
    assert!(read::<ByName>("5").is_err());
}
