//! A target: the URL that a delivery is POSTed to.
//!
//! Here stands what a target must look like; which hosts may be called is the address guard's to
//! say. The text is read by the same parser that the HTTP client uses, so that both see the same host.
//!
//! The text is kept as it was typed. Where a path or a query cannot be sent as it was typed, it is shown as
//! it is sent: letters that are not ASCII, and an apostrophe in a query, which the parser encodes in web
//! schemes, and which the client sends as the parser has it.

use serde::{Deserialize, Serialize};
use url::{Host, Position, Url};

/// The longest target, in characters: what automation tools sign is long.
pub const MAX_TARGET_CHARS: usize = 2_048;

/// Why a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// No `http` or `https` URL with a full host name or an address.
    #[error("Enter a valid URL.")]
    Url,
    /// A user name or a password in it would end in logs and lists.
    #[error("Enter a URL without a user name or password.")]
    Credentials,
    /// As it is sent, it is longer than [`MAX_TARGET_CHARS`].
    #[error("Ensure this field has no more than {MAX_TARGET_CHARS} characters.")]
    Long,
}

/// An `http` or `https` URL with a host that could be public, and no credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    text: String,
    url: Url,
}

impl Target {
    /// Reads a target, which must be trimmed already.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        // Before parsing: the parser drops tabs and line breaks without a word, and takes a
        // backslash for a slash, where other readers of the same text see another host.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidTarget::Url);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidTarget::Url)?;
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(InvalidTarget::Url);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() || authority.contains('\\') {
            return Err(InvalidTarget::Url);
        }
        let url = Url::parse(text).map_err(|_| InvalidTarget::Url)?;
        if authority.contains('@') {
            return Err(InvalidTarget::Credentials);
        }
        if url.port() == Some(0) {
            return Err(InvalidTarget::Url);
        }
        match url.host() {
            Some(Host::Domain(name)) if is_host_name(name) => {}
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => {}
            _ => return Err(InvalidTarget::Url),
        }
        let (authority, rest) = text.split_at(scheme.len() + "://".len() + authority.len());
        let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
        // An empty path is sent as a slash, which nobody needs to be shown.
        let has_path = !rest.is_empty() && !rest.starts_with('?');
        let path = if has_path { url.path() } else { "" };
        let query = &url[Position::AfterPath..Position::AfterQuery];
        let text = format!("{authority}{path}{query}{fragment}");
        if text.chars().count() > MAX_TARGET_CHARS {
            return Err(InvalidTarget::Long);
        }
        Ok(Self { text, url })
    }

    /// The target as it was typed, with its path and query as they are sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The target as the HTTP client sees it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.text
    }
}

/// Whether a name (lower case and in ASCII, as the parser leaves it) is `localhost` or has the
/// shape of a host in the public name system: at least two labels of letters, digits and inner
/// hyphens (RFC 1123), the last of which is no number.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name == "localhost" {
        return true;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let Some((rest, top)) = name.rsplit_once('.') else {
        return false;
    };
    name.len() <= 253
        && rest.split('.').all(is_label)
        && is_label(top)
        && top.len() >= 2
        && (top.starts_with("xn--") || top.chars().all(|c| c.is_ascii_alphabetic() || c == '-'))
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://a.com")]
    #[case("https://a.com/x")]
    #[case("HTTPS://A.COM/x")]
    #[case("http://a.com:8443/x?y=1#z")]
    #[case("https://a.com./x")]
    #[case("https://münchen.de/x")]
    #[case("https://xn--mnchen-3ya.de/x")]
    #[case("https://8.8.8.8/x")]
    #[case("https://[2606:4700::1111]:8080/x")]
    #[case("http://localhost:3000/hook")]
    #[case("https://a.com/a@b")]
    #[case("https://a.com?x=1")]
    #[case("https://a.com?")]
    #[case("https://a.com/?q=(x)&{y}=[1|2]%27+%C3%A9")]
    #[case("https://a.com/don't/%7Ex/~x;v=(1)*!$")]
    #[case("https://a.com/x#é'")]
    fn a_target_is_kept_as_it_was_typed(#[case] text: &str) {
        assert_eq!(Target::parse(text).unwrap().as_str(), text);
    }

    #[rstest]
    #[case("https://a.com/é", "https://a.com/%C3%A9")]
    #[case("https://a.com?é=\"'\"", "https://a.com?%C3%A9=%22%27%22")]
    #[case("https://a.com/it's?it's", "https://a.com/it's?it%27s")]
    #[case("HTTPS://A.com/x/../y/./z", "HTTPS://A.com/y/z")]
    #[case("https://a.com/x\\y?x\\y", "https://a.com/x/y?x\\y")]
    #[case("https://münchen.de/<x>", "https://münchen.de/%3Cx%3E")]
    fn what_cannot_be_sent_as_it_was_typed_is_shown_as_it_is_sent(
        #[case] typed: &str,
        #[case] shown: &str,
    ) {
        assert_eq!(Target::parse(typed).unwrap().as_str(), shown);
    }

    #[test]
    fn what_is_sent_may_be_as_long_as_what_is_typed() {
        let long = |count: usize, c: &str| format!("https://a.com/{}", c.repeat(count));
        let most = MAX_TARGET_CHARS - "https://a.com/".len();
        assert!(Target::parse(&long(most, "x")).is_ok());
        assert_eq!(
            Target::parse(&long(most + 1, "x")),
            Err(InvalidTarget::Long)
        );
        assert_eq!(
            Target::parse(&long(most / 6 + 1, "é")),
            Err(InvalidTarget::Long)
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_is_sent_and_stays_as_it_is(
            path in "(/[!-~é\u{202e}]{0,12}){0,3}",
            query in "(\\?[!-~é\u{202e}]{0,20})?",
        ) {
            if let Ok(target) = Target::parse(&format!("https://a.com{path}{query}")) {
                let again = Target::parse(target.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&target));
                // As the HTTP client makes it.
                let sent: Uri = target.url().as_str().parse().unwrap();
                prop_assert_eq!(sent.host(), target.url().host_str());
                let shown = target.as_str().split('#').next().unwrap();
                let shown = shown.replacen("a.com?", "a.com/?", 1);
                let shown = if shown == "https://a.com" { "https://a.com/" } else { &shown };
                prop_assert_eq!(sent.to_string(), shown);
            }
        }
    }

    #[rstest]
    #[case("not-a-url")]
    #[case("//a.com/x")]
    #[case("https:a.com")]
    #[case("https:/a.com")]
    #[case("https:///a.com")]
    #[case("https://")]
    #[case("ftp://a.com/x")]
    #[case("javascript:alert(1)")]
    #[case("gopher://127.0.0.1")]
    #[case("https://intranet/x")]
    #[case("https://a_b.com/x")]
    #[case("https://-a.com/x")]
    #[case("https://a..com/x")]
    #[case("https://a.b.1x/x")]
    #[case("https://a.com:0/x")]
    #[case("https://a.com:99999/x")]
    #[case("https://a.com:x/x")]
    #[case("https://a.com /x")]
    #[case("https://a.\tcom/x")]
    #[case("https://a.com/\u{7f}")]
    #[case("https://a.com\\@10.0.0.1/")]
    #[case("https://[::1/x")]
    #[case("https://1.2.3.4.5/x")]
    #[case("https://256.1.1.1/x")]
    fn what_cannot_be_called_is_no_url(#[case] text: &str) {
        assert_eq!(Target::parse(text), Err(InvalidTarget::Url));
    }

    #[rstest]
    #[case("https://user:pw@a.com/x")]
    #[case("https://user@a.com/x")]
    #[case("https://@a.com/x")]
    #[case("https://:@a.com/x")]
    fn credentials_are_refused_as_such(#[case] text: &str) {
        assert_eq!(Target::parse(text), Err(InvalidTarget::Credentials));
    }
}
