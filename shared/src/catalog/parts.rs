//! What the payloads of several apps have in common.

use serde::Deserialize;
use utoipa::ToSchema;

use super::payload::{Free, Id, Key, Name, Time, related};

/// A person, as far as the event tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct User {
    /// The user's number.
    pub id: Option<Id>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// When the user last logged in.
    pub last_login: Option<Time>,
}

/// An academy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Academy {
    /// The academy's number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Where it is.
    pub street_address: Option<String>,
    /// The city it is in.
    pub city: Option<CityOrName>,
    /// The country it is in.
    pub country: Option<CountryOrName>,
    /// The address of its logo.
    pub logo_url: Option<String>,
    /// Whether its cohorts are hidden before they start.
    pub is_hidden_on_prework: Option<bool>,
    /// The currency that it charges in.
    pub main_currency: Option<Free>,
}

/// A city.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct City {
    /// Its number.
    pub id: Option<Id>,
    /// Its name.
    pub name: Option<String>,
    /// The country it is in.
    pub country: Option<CountryOrName>,
}

/// A country.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Country {
    /// What it is known by on the platform.
    pub id: Option<String>,
    /// Its code: `us`.
    pub code: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// A cohort: students who learn together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Cohort {
    /// Its number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// When it begins.
    pub kickoff_date: Option<Time>,
    /// When it ends; null for one that never does.
    pub ending_date: Option<Time>,
    /// How far it is: a cohort's stage, such as `STARTED`.
    pub stage: Option<String>,
    /// The academy it is at.
    pub academy: Option<AcademyOrKey>,
    /// Whether it is open to students of other academies.
    pub available_as_saas: Option<bool>,
    /// Links that its students are shown.
    pub shortcuts: Option<Free>,
    /// The syllabus that it follows.
    pub syllabus_version: Option<Free>,
    /// The cohorts that it is made of.
    pub micro_cohorts: Option<Vec<Free>>,
}

related! {
    /// A user, or the user's number alone.
    UserOrId = Id | User
}

related! {
    /// An academy, or its number or short name alone.
    AcademyOrKey = Key | Academy
}

related! {
    /// A cohort, or its number alone.
    CohortOrId = Id | Cohort
}

related! {
    /// A city, or its name alone.
    CityOrName = Name | City
}

related! {
    /// A country, or its name alone.
    CountryOrName = Name | Country
}
