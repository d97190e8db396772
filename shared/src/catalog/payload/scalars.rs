//! What payloads are made of, below the objects.
//!
//! The platform writes its payloads in Python: a number that is exact there must stay exact, so money
//! is never read into a floating-point number here.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, marker::PhantomData};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{
        self, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::MapAccessDeserializer,
    },
};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{
            KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
        },
    },
};

/// Schemas by their names, as utoipa gathers them.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// The largest number that a record can have: that of the platform's database.
const MAX_ID: u64 = i64::MAX.unsigned_abs();

/// The number of a record on the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(pub u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record's number")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                match number {
                    0..=MAX_ID => Ok(Id(number)),
                    _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }
        }
        deserializer.deserialize_u64(Whole)
    }
}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0))
            .maximum(Some(MAX_ID))
            .description(Some("The number of a record on the platform."))
            .into()
    }
}

impl ToSchema for Id {}

/// A moment: ISO-8601 with an offset from UTC, `2025-01-20T15:30:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Moment;
        impl Visitor<'_> for Moment {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2025-01-20T15:30:00Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                let parsed = text.parse().map(Time);
                parsed.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Moment)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment: ISO-8601 with an offset from UTC."))
            .into()
    }
}

impl ToSchema for Time {}

/// An exact number, such as an amount of money: a JSON number, or a text that is one (`"299.00"`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal(Box<str>);

impl Decimal {
    /// The number as it was written: `299.00`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.trim_matches('"')
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let written = json.get();
        let text = written
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        if is_number(text.unwrap_or(written)) {
            return Ok(Self(written.into()));
        }
        let found = match written.bytes().next() {
            Some(b'{') => Unexpected::Map,
            Some(b'[') => Unexpected::Seq,
            Some(b't' | b'f') => Unexpected::Bool(written == "true"),
            Some(b'n') => Unexpected::Unit,
            _ => Unexpected::Str(written),
        };
        Err(de::Error::invalid_type(found, &"a decimal number"))
    }
}

/// Whether this is a number as JSON writes them.
fn is_number(text: &str) -> bool {
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok_and(|json| json.get() == text);
    is_json && text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

impl PartialSchema for Decimal {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::String]))
            .pattern(Some(r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"))
            .description(Some(
                "An exact number: a JSON number, or a text that is one. Do not read money into a \
                 floating-point number.",
            ))
            .into()
    }
}

impl ToSchema for Decimal {}

/// How far north or east something is, in degrees: a JSON number, or a text. A sample has such a text
/// masked, so that a text may be no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degrees;

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = Degrees;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("degrees: a number, or a text")
            }

            fn visit_i64<E>(self, _: i64) -> Result<Degrees, E> {
                Ok(Degrees)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Degrees, E> {
                Ok(Degrees)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Degrees, E> {
                Ok(Degrees)
            }

            fn visit_str<E>(self, _: &str) -> Result<Degrees, E> {
                Ok(Degrees)
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

impl PartialSchema for Degrees {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::String]))
            .description(Some(
                "Degrees: a JSON number, or a text, which a sample has masked (`-80.2***`).",
            ))
            .into()
    }
}

impl ToSchema for Degrees {}

/// Any JSON, but for the fields called `token` in it, which are never sent: whoever reads a webhook
/// could act with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free;

impl<'de> Deserialize<'de> for Free {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Free;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }

            fn visit_unit<E>(self) -> Result<Free, E> {
                Ok(Free)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Free, E> {
                Ok(Free)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Free, E> {
                Ok(Free)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Free, E> {
                Ok(Free)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Free, E> {
                Ok(Free)
            }

            fn visit_str<E>(self, _: &str) -> Result<Free, E> {
                Ok(Free)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Free, A::Error> {
                while list.next_element::<Free>()?.is_some() {}
                Ok(Free)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Free, A::Error> {
                while let Some(name) = fields.next_key::<Cow<'_, str>>()? {
                    if name.eq_ignore_ascii_case("token") {
                        fields.next_value::<IgnoredAny>()?;
                    } else {
                        fields.next_value::<Free>()?;
                    }
                }
                Ok(Free)
            }
        }
        deserializer.deserialize_any(Anything)
    }
}

impl PartialSchema for Free {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Any JSON."))
            .into()
    }
}

impl ToSchema for Free {}

/// What a record is called, where that stands for the record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Name(pub String);

/// What a record is found by: its number, or a text such as its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Its number.
    Number(u64),
    /// A text.
    Text(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or text that a record is found by")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Key, E> {
                Ok(Key::Number(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

impl PartialSchema for Key {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Integer, Type::String]))
            .minimum(Some(0))
            .description(Some(
                "What a record is found by: its number, or a text such as its name.",
            ))
            .into()
    }
}

impl ToSchema for Key {}

/// A record within another: its number or name alone, or the record itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Related<K, T> {
    /// What it is found by: an [`Id`], a [`Name`] or a [`Key`].
    Key(K),
    /// The record.
    Whole(T),
}

impl<'de, K: Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for Related<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<K, T>(PhantomData<(K, T)>);
        impl<'de, K: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Either<K, T> {
            type Value = Related<K, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record, or what it is found by")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                K::deserialize(number.into_deserializer()).map(Related::Key)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                K::deserialize(text.into_deserializer()).map(Related::Key)
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Related::Whole)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// Declares a type that is [`Related`]. It has a name of its own because schemas go by names.
macro_rules! related {
    ($(#[doc = $doc:literal])+ $name:ident = $key:ty | $whole:ty) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $crate::catalog::payload::Related<$key, $whole>);

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::catalog::payload::either::<$key, $whole>(concat!($($doc,)+))
            }
        }

        impl utoipa::ToSchema for $name {
            fn schemas(schemas: &mut $crate::catalog::payload::Schemas) {
                $crate::catalog::payload::with_parts::<$key>(schemas);
                $crate::catalog::payload::with_parts::<$whole>(schemas);
            }
        }
    };
}

pub(crate) use related;

/// A value of one of two types.
pub(crate) fn either<K: ToSchema, T: ToSchema>(description: &str) -> RefOr<Schema> {
    OneOfBuilder::new()
        .description(Some(description.trim()))
        .item(Ref::from_schema_name(K::name()))
        .item(Ref::from_schema_name(T::name()))
        .into()
}

/// Adds the schema of a type and those that it refers to.
pub(crate) fn with_parts<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
