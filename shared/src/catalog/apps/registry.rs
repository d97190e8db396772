//! Learning assets: what students read, watch and build.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::{
    AcademyIn, CatalogEvent, Fires, Required, Row,
    parts::AcademyOrKey,
    payload::{Decimal, Free, Id, PayloadType, Time},
};

pub(super) const ROWS: &[Row] = &[CatalogEvent {
    name: "asset.asset_status_updated",
    model: "registry.Asset",
    signal: "asset_status_updated",
    action: None,
    description: "Triggered when a learning asset's status changes",
    fires: Fires::Changed("status"),
    academy: AcademyIn::optional(&["academy"]),
    required: &[Required::ID, Required::MayBeNull(&["status"])],
    fills: &[],
    payload: PayloadType::of::<AssetStatusUpdated>(),
    example: r#"
{
  "id": 345,
  "slug": "build-todo-app",
  "title": "Build a Todo App",
  "lang": "en",
  "academy": {
    "id": 4,
    "name": "Downtown Campus"
  },
  "category": {
    "id": 7,
    "slug": "web-development",
    "title": "Web Development"
  },
  "asset_type": "PROJECT",
  "visibility": "PUBLIC",
  "url": "https://github.com/downtown-campus/build-todo-app",
  "readme_url": "https://github.com/downtown-campus/build-todo-app/blob/main/README.md",
  "readme": null,
  "difficulty": "EASY",
  "duration": 4,
  "description": "Create a todo application with CRUD operations",
  "status": "PUBLISHED",
  "graded": true,
  "gitpod": true,
  "interactive": false,
  "enable_table_of_content": true,
  "preview": null,
  "external": false,
  "solution_video_url": null,
  "intro_video_url": null,
  "published_at": "2025-01-14T16:00:00Z",
  "learnpack_deploy_url": null,
  "technologies": "javascript,react",
  "seo_keywords": "todo,crud"
}
"#,
}];

/// The payload of `asset.asset_status_updated`: the learning asset.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct AssetStatusUpdated {
    /// The asset's number.
    pub id: Option<Id>,
    /// Its short name.
    pub slug: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// The language that it is in.
    pub lang: Option<String>,
    /// The academy that it is of.
    pub academy: Option<AcademyOrKey>,
    /// What it is about, among the platform's categories.
    pub category: Option<Free>,
    /// What kind of asset it is, such as `PROJECT`.
    pub asset_type: Option<String>,
    /// Who can see it, such as `PUBLIC`.
    pub visibility: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// Where its text is.
    pub readme_url: Option<String>,
    /// Its text.
    pub readme: Option<String>,
    /// How hard it is, such as `EASY`.
    pub difficulty: Option<String>,
    /// How many hours it takes.
    pub duration: Option<Decimal>,
    /// What it is about.
    pub description: Option<String>,
    /// How far it is now, such as `PUBLISHED`.
    pub status: Option<String>,
    /// Whether work on it is graded.
    pub graded: Option<bool>,
    /// Whether it can be worked on in Gitpod.
    pub gitpod: Option<bool>,
    /// Whether it tests itself what students do.
    pub interactive: Option<bool>,
    /// Whether its table of contents is shown.
    pub enable_table_of_content: Option<bool>,
    /// The address of its picture.
    pub preview: Option<String>,
    /// Whether it is on another site.
    pub external: Option<bool>,
    /// Where the video of its solution is.
    pub solution_video_url: Option<String>,
    /// Where its introductory video is.
    pub intro_video_url: Option<String>,
    /// When it was published.
    pub published_at: Option<Time>,
    /// Where it can be tried out, once it is deployed.
    pub learnpack_deploy_url: Option<String>,
    /// What it teaches, with commas between them.
    pub technologies: Option<String>,
    /// The words that it is to be found by, with commas between them.
    pub seo_keywords: Option<String>,
}

#[cfg(test)]
pub(super) mod changes {
    use crate::catalog::tests::ChangeCase;

    pub(in crate::catalog) static CASES: &[ChangeCase] = &[
        ChangeCase {
            what: "an asset is made",
            model: "registry.Asset",
            before: "null",
            after: r#"{"id": 345, "status": "NOT_STARTED", "academy": {"id": 4, "name": "Downtown Campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "an asset is published",
            model: "registry.Asset",
            before: r#"{"id": 345, "status": "DRAFT", "academy": {"id": 4, "name": "Downtown Campus"}}"#,
            after: r#"{"id": 345, "status": "PUBLISHED", "academy": {"id": 4, "name": "Downtown Campus"}}"#,
            events: &["asset.asset_status_updated"],
        },
        ChangeCase {
            what: "an asset of no academy is published",
            model: "registry.Asset",
            before: r#"{"id": 345, "status": "DRAFT", "academy": null}"#,
            after: r#"{"id": 345, "status": "PUBLISHED", "academy": null}"#,
            events: &["asset.asset_status_updated"],
        },
        ChangeCase {
            what: "an asset is saved again in the same status",
            model: "registry.Asset",
            before: r#"{"id": 345, "status": "DRAFT", "title": "Todo", "academy": {"id": 4, "name": "Downtown Campus"}}"#,
            after: r#"{"id": 345, "status": "DRAFT", "title": "To-do", "academy": {"id": 4, "name": "Downtown Campus"}}"#,
            events: &[],
        },
        ChangeCase {
            what: "an asset is deleted",
            model: "registry.Asset",
            before: r#"{"id": 345, "status": "PUBLISHED", "academy": {"id": 4, "name": "Downtown Campus"}}"#,
            after: "null",
            events: &[],
        },
    ];
}
