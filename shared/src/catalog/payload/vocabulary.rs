//! Open vocabularies: texts of which some are known, such as statuses. The platform adds to them, so
//! a text that is not known is kept as it is and is no mistake.

/// Declares a vocabulary: an enum with a variant for each word that is known, in the document's order,
/// and `Other` for those that are not.
macro_rules! vocabulary {
    ($(#[doc = $doc:literal])+ $name:ident {
        $($(#[doc = $meaning:literal])+ $word:ident = $text:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $meaning])+ $word,)+
            /// A word that this release does not know.
            Other(String),
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$word,)+
                    _ => Self::Other(text),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::catalog::payload::vocabulary::schema(
                    concat!($($doc,)+),
                    &[$(($text, concat!($($meaning,)+)),)+],
                )
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

pub(crate) use vocabulary;

use utoipa::openapi::{
    RefOr,
    schema::{ObjectBuilder, Schema, Type},
};

/// A text, with the words that are known and what they mean.
pub(crate) fn schema(description: &str, words: &[(&str, &str)]) -> RefOr<Schema> {
    let known: Vec<_> = words
        .iter()
        .map(|(word, meaning)| format!("`{word}` ({})", meaning.trim().trim_end_matches('.')))
        .collect();
    let description = format!(
        "{} Known so far: {}. There may be others.",
        description.trim(),
        known.join(", ")
    );
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .examples(words.iter().map(|(word, _)| serde_json::json!(word)))
        .into()
}
