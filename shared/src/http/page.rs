//! Lists by pages: which part is wanted, and the envelope with the links to the other parts.
//!
//! The links keep the parameters of the request, sorted by name, with commas left readable.

use std::{convert::Infallible, net::Ipv6Addr};

use axum::{
    Json,
    extract::{FromRequestParts, OriginalUri},
    http::{header, request::Parts, uri::Authority},
};
use serde::Serialize;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
    },
};

use super::{Params, openapi};

/// The page size unless another is asked for.
const DEFAULT_LIMIT: usize = 20;

/// The largest page.
const MAX_LIMIT: usize = 1000;

/// The part of a list that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    offset: usize,
    envelope: bool,
}

impl Page {
    /// Reads `limit`, `offset` and `envelope`; a value that makes no sense is as if absent.
    #[must_use]
    pub fn of(params: &Params) -> Self {
        // One with more digits than any number here is a large one all the same.
        let number = |name| {
            let text = params.get(name)?.trim();
            let digits = text.strip_prefix('+').unwrap_or(text);
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<usize>().unwrap_or(usize::MAX))
        };
        let declined = |value: &str| {
            ["false", "no", "0", "off"].contains(&value.trim().to_ascii_lowercase().as_str())
        };
        Self {
            limit: number("limit")
                .filter(|n| *n > 0)
                .map_or(DEFAULT_LIMIT, |n| n.min(MAX_LIMIT)),
            offset: number("offset").unwrap_or(0),
            envelope: !params.get("envelope").is_some_and(declined),
        }
    }

    /// The page's rows of the whole, sorted list.
    #[must_use]
    pub fn cut<T>(self, rows: Vec<T>) -> Vec<T> {
        rows.into_iter()
            .skip(self.offset)
            .take(self.limit)
            .collect()
    }

    /// The answer with a page's rows, of `count` in all.
    pub fn answer<T: Serialize>(
        self,
        count: usize,
        results: Vec<T>,
        links: &PageLinks,
    ) -> Json<Listing<T>> {
        if !self.envelope {
            return Json(Listing::Rows(results));
        }
        let Self { limit, offset, .. } = self;
        let end = offset.saturating_add(limit);
        let more = end < count;
        let earlier = offset > 0;
        let before = offset.checked_sub(limit).filter(|offset| *offset > 0);
        Json(Listing::Page(Envelope {
            count,
            first: earlier.then(|| links.first()),
            next: more.then(|| links.page(limit, Some(end))),
            previous: earlier.then(|| links.page(limit, before)),
            last: more.then(|| links.page(limit, Some(count - limit))),
            results,
        }))
    }
}

impl IntoParams for Page {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name: &str, schema: ObjectBuilder, description: &str| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .description(Some(description))
                .schema(Some(schema))
                .build()
        };
        let number = || ObjectBuilder::new().schema_type(Type::Integer);
        let limit = number().minimum(Some(1)).maximum(Some(MAX_LIMIT));
        let limit = limit.default(Some(DEFAULT_LIMIT.into()));
        let offset = number().minimum(Some(0)).default(Some(0.into()));
        let envelope = ObjectBuilder::new().schema_type(Type::Boolean);
        let envelope = envelope.default(Some(true.into()));
        vec![
            parameter("limit", limit, "How many rows a page has."),
            parameter("offset", offset, "How many rows stand before the page."),
            parameter(
                "envelope",
                envelope,
                "`false`: the rows alone, as a bare list.",
            ),
        ]
    }
}

/// A page's answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "count": 1, "first": null, "next": null, "previous": null, "last": null,
    "results": [openapi::example::<T>()]
}))]
#[serde(untagged)]
pub enum Listing<T> {
    /// With the links to the other pages.
    Page(Envelope<T>),
    /// The rows alone.
    Rows(Vec<T>),
}

/// A page with the links to the others; null where there is none.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// How many rows there are in all.
    count: usize,
    /// The first page.
    #[schema(required)]
    first: Option<String>,
    /// The page after this one.
    #[schema(required)]
    next: Option<String>,
    /// The page before this one.
    #[schema(required)]
    previous: Option<String>,
    /// The last page.
    #[schema(required)]
    last: Option<String>,
    /// The page's rows.
    results: Vec<T>,
}

/// The URL of a list as its caller wrote it.
#[derive(Clone, Debug)]
pub struct PageLinks {
    base: String,
    params: Vec<(String, String)>,
}

impl PageLinks {
    fn first(&self) -> String {
        self.with(
            self.params
                .iter()
                .filter(|(name, _)| name != "offset")
                .cloned()
                .collect(),
        )
    }

    fn page(&self, limit: usize, offset: Option<usize>) -> String {
        let others = self
            .params
            .iter()
            .filter(|(name, _)| name != "limit" && name != "offset");
        let limit = ("limit".to_owned(), limit.to_string());
        let offset = offset.map(|offset| ("offset".to_owned(), offset.to_string()));
        self.with(others.cloned().chain([limit]).chain(offset).collect())
    }

    fn with(&self, mut params: Vec<(String, String)>) -> String {
        if params.is_empty() {
            return self.base.clone();
        }
        params.sort_by(|(a, _), (b, _)| a.cmp(b));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(params)
            .finish();
        format!("{}?{}", self.base, query.replace("%2C", ","))
    }
}

/// What stands in the API's page for the [`Origin`] of whichever API serves it.
pub const EXAMPLE_ORIGIN: &str = "https://hooks.example.com";

/// The scheme and the host at which the API was asked, as its caller wrote them, like [`EXAMPLE_ORIGIN`]; `None` if
/// they wrote no host, or one that is none. It has no character that HTML or a shell's quotes would take for theirs.
#[derive(Clone, Debug)]
pub struct Origin(pub Option<String>);

impl Origin {
    /// The headers that it depends on, for an answer's `Vary`.
    pub const HEADERS: &str = "host, x-forwarded-proto";
}

/// Whether a caller's text is a host, with or without a port, and nothing else.
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let port = authority.port_u16();
    let is_name = || {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !host.is_empty() && host.bytes().all(is_plain)
    };
    let is_address = || {
        let address = host.strip_prefix('[')?.strip_suffix(']')?;
        Some(address.parse::<Ipv6Addr>().is_ok())
    };
    // An authority may have a user before that, and after it a port that is none.
    let plain = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    plain == text && (is_name() || is_address().unwrap_or(false))
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state).await?;
        let text = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        // The gateway ends TLS and says so; on a laptop there is none.
        let scheme = match text(header::HeaderName::from_static("x-forwarded-proto")) {
            Some("https") => "https",
            _ => "http",
        };
        let host = text(header::HOST).or_else(|| uri.authority().map(Authority::as_str));
        let host = host.filter(|host| is_host(host));
        Ok(Self(host.map(|host| format!("{scheme}://{host}"))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageLinks {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state).await?;
        let Origin(origin) = Origin::from_request_parts(parts, state).await?;
        let origin = origin.as_deref().unwrap_or("http://localhost");
        let query = uri.query().unwrap_or_default();
        Ok(Self {
            base: format!("{origin}{}", uri.path()),
            params: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", 20, 0, true)]
    #[case("limit=2&offset=4", 2, 4, true)]
    #[case("limit=0", 20, 0, true)]
    #[case("limit=-3&offset=-1", 20, 0, true)]
    #[case("limit=x&offset=y", 20, 0, true)]
    #[case("limit=&offset=", 20, 0, true)]
    #[case("limit=1000", 1000, 0, true)]
    #[case("limit=100000", 1000, 0, true)]
    #[case("limit=99999999999999999999&offset=+7", 1000, 7, true)]
    #[case("limit=%2B5&offset=99999999999999999999", 5, usize::MAX, true)]
    #[case("limit=2.0&offset=1e1", 20, 0, true)]
    #[case("limit=%2B&offset=--1", 20, 0, true)]
    #[case("envelope=false", 20, 0, false)]
    #[case("envelope=No", 20, 0, false)]
    #[case("envelope=true", 20, 0, true)]
    #[case("envelope=", 20, 0, true)]
    fn odd_values_are_as_if_absent(
        #[case] query: &str,
        #[case] limit: usize,
        #[case] offset: usize,
        #[case] envelope: bool,
    ) {
        assert_eq!(
            Page::of(&Params::parse(query)),
            Page {
                limit,
                offset,
                envelope
            }
        );
    }

    #[rstest]
    #[case::a_name("hooks.academy.org", true)]
    #[case::a_name_with_a_port("my_host-1:8080", true)]
    #[case::an_address("127.0.0.1:9000", true)]
    #[case::an_address_in_brackets("[::1]:9000", true)]
    #[case::none("", false)]
    #[case::a_port_alone(":80", false)]
    #[case::a_path("academy.org/x/..", false)]
    #[case::a_fragment("academy.org/#", false)]
    #[case::a_query("academy.org?", false)]
    #[case::brackets_alone("]]]", false)]
    #[case::brackets_around_nothing("[]", false)]
    #[case::brackets_around_a_name("[academy.org]", false)]
    #[case::brackets_that_stay_open("[::1", false)]
    #[case::an_address_without_brackets("::1", false)]
    #[case::a_port_that_is_too_large("academy.org:99999", false)]
    #[case::a_port_without_digits("academy.org:", false)]
    #[case::a_port_with_a_sign("academy.org:+80", false)]
    #[case::a_user("a@academy.org", false)]
    #[case::a_user_with_a_password("a:b@academy.org", false)]
    #[case::a_scheme("http://academy.org", false)]
    #[case::a_quote("academy.org'x", false)]
    #[case::a_command("$(id)", false)]
    #[case::an_escape("academy%2eorg", false)]
    #[case::a_space("academy org", false)]
    fn a_host_is_one_and_nothing_else(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(is_host(text), is_one);
    }

    #[test]
    fn links_are_sorted_by_name_and_leave_commas_readable() {
        let links = PageLinks {
            base: "http://h/p".to_owned(),
            params: vec![
                ("x".to_owned(), "a b&,".to_owned()),
                ("offset".to_owned(), "7".to_owned()),
            ],
        };
        assert_eq!(links.first(), "http://h/p?x=a+b%26,");
        assert_eq!(
            links.page(5, Some(12)),
            "http://h/p?limit=5&offset=12&x=a+b%26,"
        );
    }
}
