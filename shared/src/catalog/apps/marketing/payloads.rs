//! What the payloads of leads are.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    parts::{AcademyOrKey, CityOrName, CountryOrName, UserOrId},
    payload::{Decimal, Degrees, Free, Id, Key, Time, vocabulary},
};

/// The payload of `form_entry.added` and `form_entry.changed`: a lead, who filled in a form.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct FormEntry {
    /// The number of this record.
    pub id: Option<Id>,
    /// The contact that the person is.
    pub contact: Option<Free>,
    /// The lead's number at Facebook.
    pub fb_leadgen_id: Option<Key>,
    /// The page's number at Facebook.
    pub fb_page_id: Option<Key>,
    /// The form's number at Facebook.
    pub fb_form_id: Option<Key>,
    /// The ad group's number at Facebook.
    pub fb_adgroup_id: Option<Key>,
    /// The ad's number at Facebook.
    pub fb_ad_id: Option<Key>,
    /// The person's first name.
    pub first_name: Option<String>,
    /// The person's last name.
    pub last_name: Option<String>,
    /// The person's e-mail address.
    pub email: Option<String>,
    /// The person's phone number.
    pub phone: Option<String>,
    /// The short name of the course that the person asks for.
    pub course: Option<String>,
    /// What the person wrote.
    pub client_comments: Option<String>,
    /// The place that the person asks for.
    pub location: Option<String>,
    /// The person's language.
    pub language: Option<String>,
    /// The address through which the person came.
    pub utm_url: Option<String>,
    /// The kind of link through which the person came.
    pub utm_medium: Option<String>,
    /// The campaign through which the person came.
    pub utm_campaign: Option<String>,
    /// The variant of the ad through which the person came.
    pub utm_content: Option<String>,
    /// The site through which the person came.
    pub utm_source: Option<String>,
    /// The search through which the person came.
    pub utm_term: Option<String>,
    /// Where the ad stood through which the person came.
    pub utm_placement: Option<String>,
    /// The plan that the campaign is for.
    pub utm_plan: Option<String>,
    /// What the form asked besides.
    pub custom_fields: Option<Free>,
    /// What the person downloaded.
    pub current_download: Option<String>,
    /// What shows who sent the person.
    pub referral_key: Option<String>,
    /// What Google calls the click through which the person came.
    pub gclid: Option<String>,
    /// The lead's tags, with commas between them.
    pub tags: Option<String>,
    /// The lead's automations in the CRM, with commas between them.
    pub automations: Option<String>,
    /// The person's street and number.
    pub street_address: Option<String>,
    /// The country the person is in.
    pub country: Option<CountryOrName>,
    /// The city the person is in.
    pub city: Option<CityOrName>,
    /// How far north the person is, in degrees.
    pub latitude: Option<Degrees>,
    /// How far east the person is, in degrees.
    pub longitude: Option<Degrees>,
    /// The state the person is in.
    pub state: Option<String>,
    /// The person's postal code.
    pub zip_code: Option<Key>,
    /// The language of the person's browser.
    pub browser_lang: Option<String>,
    /// The person's sex.
    pub sex: Option<String>,
    /// Whether the CRM has the lead, such as `SYNCED`.
    pub storage_status: Option<String>,
    /// More on whether the CRM has the lead.
    pub storage_status_text: Option<String>,
    /// What kind of lead it is, such as `STRONG`.
    pub lead_type: Option<String>,
    /// Whether the deal was won or lost; null while it is neither.
    pub deal_status: Option<DealStatus>,
    /// How the person feels about it, such as `GOOD`.
    pub sentiment: Option<String>,
    /// The academy that the lead is of.
    pub academy: Option<AcademyOrKey>,
    /// The app that the lead came from.
    pub lead_generation_app: Option<Free>,
    /// The user that the person is; null while there is none.
    pub user: Option<UserOrId>,
    /// The cohort that the CRM expects the person in.
    pub ac_expected_cohort: Option<Key>,
    /// When that cohort begins.
    pub ac_expected_cohort_date: Option<String>,
    /// The contact's number in the CRM.
    pub ac_contact_id: Option<Key>,
    /// The deal's number in the CRM.
    pub ac_deal_id: Option<Key>,
    /// The deal's place in the CRM.
    pub ac_deal_location: Option<String>,
    /// The deal's course in the CRM.
    pub ac_deal_course: Option<String>,
    /// The number in the CRM of who sees to the deal.
    pub ac_deal_owner_id: Option<Key>,
    /// The name of who sees to the deal.
    pub ac_deal_owner_full_name: Option<String>,
    /// What the deal is worth.
    pub ac_deal_amount: Option<Decimal>,
    /// The currency of that: `USD`.
    pub ac_deal_currency_code: Option<String>,
    /// When the deal was won.
    pub won_at: Option<Time>,
    /// What the lead is known by across systems.
    pub attribution_id: Option<String>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
}

/// The payload of `form_entry.new_deal` and `form_entry.won_or_lost`: the lead whose deal it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Deal {
    /// The number of this record.
    pub id: Option<Id>,
    /// What the lead is known by across systems.
    pub attribution_id: Option<String>,
    /// The person's first name.
    pub first_name: Option<String>,
    /// The person's last name.
    pub last_name: Option<String>,
    /// The person's sex.
    pub sex: Option<String>,
    /// The person's e-mail address.
    pub email: Option<String>,
    /// The short name of the course that the person asks for.
    pub course: Option<String>,
    /// The person's phone number.
    pub phone: Option<String>,
    /// Whether the deal is won or lost; null when it is neither.
    pub deal_status: Option<DealStatus>,
    /// What the person downloaded.
    pub current_download: Option<String>,
    /// The contact that the person is.
    pub contact: Option<Free>,
    /// What the person wrote.
    pub client_comments: Option<String>,
    /// The place that the person asks for.
    pub location: Option<String>,
    /// The person's language.
    pub language: Option<String>,
    /// What Google calls the click through which the person came.
    pub gclid: Option<String>,
    /// The ad's number at Facebook.
    pub fb_ad_id: Option<Key>,
    /// The ad group's number at Facebook.
    pub fb_adgroup_id: Option<Key>,
    /// The form's number at Facebook.
    pub fb_form_id: Option<Key>,
    /// The lead's number at Facebook.
    pub fb_leadgen_id: Option<Key>,
    /// The page's number at Facebook.
    pub fb_page_id: Option<Key>,
    /// The address through which the person came.
    pub utm_url: Option<String>,
    /// The kind of link through which the person came.
    pub utm_medium: Option<String>,
    /// The campaign through which the person came.
    pub utm_campaign: Option<String>,
    /// The site through which the person came.
    pub utm_source: Option<String>,
    /// The variant of the ad through which the person came.
    pub utm_content: Option<String>,
    /// Where the ad stood through which the person came.
    pub utm_placement: Option<String>,
    /// The search through which the person came.
    pub utm_term: Option<String>,
    /// The plan that the campaign is for.
    pub utm_plan: Option<String>,
    /// What shows who sent the person.
    pub referral_key: Option<String>,
    /// The lead's tags, with commas between them.
    pub tags: Option<String>,
    /// The lead's automations in the CRM, with commas between them.
    pub automations: Option<String>,
    /// Whether the CRM has the lead, such as `SYNCED`.
    pub storage_status: Option<String>,
    /// More on whether the CRM has the lead.
    pub storage_status_text: Option<String>,
    /// The country the person is in.
    pub country: Option<CountryOrName>,
    /// The state the person is in.
    pub state: Option<String>,
    /// The city the person is in.
    pub city: Option<CityOrName>,
    /// The person's street and number.
    pub street_address: Option<String>,
    /// How far north the person is, in degrees.
    pub latitude: Option<Degrees>,
    /// How far east the person is, in degrees.
    pub longitude: Option<Degrees>,
    /// The person's postal code.
    pub zip_code: Option<Key>,
    /// The cohort that the CRM expects the person in.
    pub ac_expected_cohort: Option<Key>,
    /// The language of the person's browser.
    pub browser_lang: Option<String>,
    /// What kind of lead it is, such as `STRONG`.
    pub lead_type: Option<String>,
    /// When the record was made.
    pub created_at: Option<Time>,
    /// When the record was last saved.
    pub updated_at: Option<Time>,
    /// When the deal was won.
    pub won_at: Option<Time>,
    /// How the person feels about it, such as `GOOD`.
    pub sentiment: Option<String>,
    /// The deal's place in the CRM.
    pub ac_deal_location: Option<String>,
    /// The deal's course in the CRM.
    pub ac_deal_course: Option<String>,
    /// The name of who sees to the deal.
    pub ac_deal_owner_full_name: Option<String>,
    /// The number in the CRM of who sees to the deal.
    pub ac_deal_owner_id: Option<Key>,
    /// The contact's number in the CRM.
    pub ac_contact_id: Option<Key>,
    /// The deal's number in the CRM.
    pub ac_deal_id: Option<Key>,
    /// What the deal is worth.
    pub ac_deal_amount: Option<Decimal>,
    /// The currency of that: `USD`.
    pub ac_deal_currency_code: Option<String>,
    /// When that cohort begins.
    pub ac_expected_cohort_date: Option<String>,
    /// The cohort that the deal is about.
    pub cohort: Option<Free>,
    /// Whether the deal was won.
    pub is_won: Option<bool>,
    /// What the form asked besides.
    pub custom_fields: Option<Free>,
    /// The app that the lead came from.
    pub lead_generation_app: Option<Free>,
}

vocabulary! {
    /// Whether a deal was won or lost.
    DealStatus {
        /// Converted to a paying student.
        Won = "WON",
        /// Did not convert.
        Lost = "LOST",
    }
}
