//! Who there is: academies, users, and the principal behind a request.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{OneOfBuilder, Schema},
    },
};

/// An academy of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Academy {
    /// Its number.
    pub id: u64,
    /// Its short name: the user who acts for it has the same one.
    pub slug: String,
    /// Its name.
    pub name: String,
}

/// How somebody names an academy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AcademyRef {
    /// By its slug.
    Slug(String),
    /// By its number.
    Id(u64),
}

impl AcademyRef {
    /// The slug, if it is one that an academy can have.
    #[must_use]
    pub fn valid_slug(&self) -> Option<&str> {
        match self {
            Self::Slug(slug) => Some(slug.as_str()).filter(|slug| check_name(slug).is_ok()),
            Self::Id(_) => None,
        }
    }
}

impl fmt::Display for AcademyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slug(slug) => slug.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl PartialSchema for AcademyRef {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .description(Some("An academy: its slug, or its number."))
            .item(String::schema())
            .item(u64::schema())
            .into()
    }
}

impl ToSchema for AcademyRef {}

/// A user of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name it is known by.
    pub username: String,
    /// Whether it manages the whole platform.
    pub is_superuser: bool,
    /// Whether its tokens are accepted.
    pub is_active: bool,
    /// Whether it may publish events.
    pub can_publish: bool,
}

impl User {
    /// Whether it may publish events.
    #[must_use]
    pub fn may_publish(&self) -> bool {
        self.can_publish || self.is_superuser
    }
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: User,
    /// The academy it acts for, when there is one of its name.
    pub academy: Option<Academy>,
}

impl Principal {
    /// Whether it may make and change subscriptions.
    #[must_use]
    pub fn may_subscribe(&self) -> bool {
        self.academy.is_some() || self.user.is_superuser
    }
}

/// Why a text is no name for an academy or a user.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no name: 1 to 150 characters, letters, digits and any of . _ + - @, no other ones"
)]
pub struct InvalidName(String);

/// Holds a slug or a user name to the characters that can be typed in a URL and in a key; `*` and
/// `#`, which have a meaning in keys, are not among them.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let fits = (1..=150).contains(&name.chars().count());
    let allowed = |c: char| c.is_alphanumeric() || "._+-@".contains(c);
    if fits && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(InvalidName(name.to_owned()))
    }
}
