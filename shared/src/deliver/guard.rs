//! Where a delivery may go: only to public addresses.
//!
//! Whoever can subscribe chooses where our machines send requests, so every target is judged twice:
//! when a hook is stored, by its URL, and when a socket is opened, by the addresses that its name
//! resolves to at that moment. The second is what counts; the first spares an honest user a surprise.
//!
//! Between the second judgement and the socket there is no other look-up: the guard is the HTTP
//! client's resolver, so that the addresses which were judged are the ones that are called, and a
//! name that changes its mind between two attempts is judged anew for each connection.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolving};
use tokio::time::timeout;
use url::{Host, Url};

use super::resolve::{Found, LookupError, Resolve};

/// How long a name is waited for: less than a connection may take to open, so that its owner learns
/// that it is the name that does not answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);

/// The target is not public, or not known to be. What exactly it is must not reach its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Webhooks are only sent to public addresses.{0}")]
pub struct NotPublic(&'static str);

/// Which addresses may be called.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Arc<[SocketAddr]>,
    hint: &'static str,
}

impl AddressGuard {
    /// A guard that lets through what is public, and these exact pairs of address and port.
    #[must_use]
    pub fn new(allowed: Vec<SocketAddr>) -> Self {
        Self {
            allowed: allowed.into(),
            hint: "",
        }
    }

    /// The same guard, which adds this to its refusals: what whoever runs it can do about them.
    #[must_use]
    pub fn hinting(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Judges a URL by its scheme and its host: an address by what it is, a name by whether it is
    /// known to stay inside a machine or a network. The URL's parser decides what is an address: it
    /// reads `2130706433`, `0x7f.1` and full-width digits as the IPv4 addresses that they are, but
    /// for web schemes only, which is why no other passes.
    pub fn check(&self, url: &Url) -> Result<(), NotPublic> {
        let port = url.port_or_known_default();
        let public = match url.host() {
            _ if !["http", "https"].contains(&url.scheme()) => false,
            Some(Host::Ipv4(ip)) => self.admits(ip.into(), port),
            Some(Host::Ipv6(ip)) => self.admits(ip.into(), port),
            Some(Host::Domain(name)) => !is_internal_name(name),
            None => false,
        };
        if public {
            Ok(())
        } else {
            Err(NotPublic(self.hint))
        }
    }

    fn admits(&self, ip: IpAddr, port: Option<u16>) -> bool {
        is_public(ip) || port.is_some_and(|port| self.allowed.contains(&SocketAddr::new(ip, port)))
    }
}

/// Names that stay inside by rule: RFC 6761 (`localhost`), RFC 6762 (`local`), and the name that
/// ICANN keeps out of the public root for private use (`internal`).
fn is_internal_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let top = name.rsplit('.').next().unwrap_or_default();
    ["localhost", "local", "internal"].contains(&top)
}

/// The IPv4 blocks that are not global unicast (IANA's registry of special-purpose addresses, and
/// 168.63.129.16, the host of every Azure machine).
const INTERNAL_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v4([168, 63, 129, 16], 32),
];

/// Of IPv6 only `2000::/3` is given out for global unicast (RFC 4291, IANA).
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0], 3);

/// What is not global in it: protocol assignments with Teredo, documentation, 6to4.
const INTERNAL_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0], 23),
    v6([0x2001, 0xdb8], 32),
    v6([0x2002, 0], 16),
    v6([0x3fff, 0], 20),
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b]: [u16; 2], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), bits)
}

/// Whether an address is global unicast. An IPv6 address that carries an IPv4 one (mapped,
/// translated, 6to4, Teredo) is not, whatever it carries: a host that is reached through it can be
/// reached by its IPv4 address.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !INTERNAL_V4.iter().any(|net| net.contains(&ip))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    GLOBAL_V6.contains(&ip) && !INTERNAL_V6.iter().any(|net| net.contains(&ip))
}

tokio::task_local! {
    /// The port that a look-up is for: a resolver is told the name alone.
    static PORT: Option<u16>;
}

/// Makes an exchange with this URL, so that the look-ups in it can use the guard's exceptions for
/// the URL's port.
pub(super) async fn bound_for<F: Future>(url: &Url, exchange: F) -> F::Output {
    PORT.scope(url.port_or_known_default(), exchange).await
}

/// A resolver for the HTTP client that judges the answers of another one, the system's unless a test
/// has its own. A name with one address that is refused is refused whole: that one would be called
/// at the next look-up.
#[derive(Clone)]
pub struct GuardedResolver {
    guard: AddressGuard,
    inner: Arc<dyn Resolve>,
}

impl GuardedResolver {
    /// A resolver that hands out of `inner`'s answers what `guard` admits.
    #[must_use]
    pub fn new(guard: AddressGuard, inner: impl Resolve + 'static) -> Self {
        Self {
            guard,
            inner: Arc::new(inner),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: &str) -> BoxFuture<'static, Found> {
        // Without a port no exception counts, which is the case for a connection that the client
        // goes on opening when its exchange has found another.
        let port = PORT.try_with(|port| *port).ok().flatten();
        let guard = self.guard.clone();
        let looking = self.inner.resolve(name);
        async move {
            let found = timeout(LOOKUP_TIMEOUT, looking).await;
            let found = found.unwrap_or(Err(LookupError::Unanswered))?;
            if found.is_empty() {
                return Err(LookupError::NoAddress);
            }
            match found.iter().find(|ip| !guard.admits(**ip, port)) {
                Some(ip) => Err(LookupError::LeadsInside(*ip)),
                None => Ok(found),
            }
        }
        .boxed()
    }
}

/// As the HTTP client asks for addresses. Port 0 stands for the URL's: one of our own would be
/// preferred to it, unjudged.
impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = Resolve::resolve(self, name.as_str());
        Box::pin(async move {
            let vetted = looking.await?.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(vetted) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn check(url: &str) -> Result<(), NotPublic> {
        AddressGuard::default().check(&url.parse().unwrap())
    }

    #[rstest]
    #[case("https://a.com")]
    #[case("https://8.8.8.8")]
    #[case("https://172.32.0.1")]
    #[case("https://[2606:4700::1111]")]
    #[case("https://localhost.a.com")]
    #[case("https://mylocal")]
    fn public_hosts_pass(#[case] url: &str) {
        assert_eq!(check(url), Ok(()));
    }

    #[rstest]
    #[case("gopher://127.0.0.1")]
    #[case("ftp://a.com")]
    #[case("http://localhost:3000")]
    #[case("http://LOCALHOST.")]
    #[case("http://a.localhost")]
    #[case("http://printer.local")]
    #[case("http://metadata.google.internal.")]
    #[case("http://0.0.0.0")]
    #[case("http://10.0.0.1")]
    #[case("http://100.64.0.1")]
    #[case("http://127.0.0.1")]
    #[case("http://127.1")]
    #[case("http://2130706433")]
    #[case("http://0x7f.1")]
    #[case("http://0177.0.0.1")]
    #[case("http://１２７.0.0.1")]
    #[case("http://%31%32%37.0.0.1")]
    #[case("http://169.254.169.254/latest")]
    #[case("http://172.16.0.1")]
    #[case("http://192.0.0.8")]
    #[case("http://192.0.2.1")]
    #[case("http://192.88.99.1")]
    #[case("http://192.168.1.1")]
    #[case("http://198.18.0.1")]
    #[case("http://198.51.100.1")]
    #[case("http://203.0.113.1")]
    #[case("http://224.0.0.1")]
    #[case("http://255.255.255.255")]
    #[case("http://168.63.129.16")]
    #[case("http://[::]")]
    #[case("http://[::1]")]
    #[case("http://[::ffff:8.8.8.8]")]
    #[case("http://[::ffff:127.0.0.1]")]
    #[case("http://[::8.8.8.8]")]
    #[case("http://[::ffff:0:8.8.8.8]")]
    #[case("http://[64:ff9b::8.8.8.8]")]
    #[case("http://[64:ff9b:1::1]")]
    #[case("http://[100::1]")]
    #[case("http://[2001::1]")]
    #[case("http://[2001:db8::1]")]
    #[case("http://[2002:808:808::1]")]
    #[case("http://[3fff::1]")]
    #[case("http://[5f00::1]")]
    #[case("http://[fc00::1]")]
    #[case("http://[fe80::1]")]
    #[case("http://[fec0::1]")]
    #[case("http://[ff02::1]")]
    fn everything_else_is_refused(#[case] url: &str) {
        assert_eq!(check(url), Err(NotPublic("")));
    }

    #[test]
    fn an_exception_is_one_address_and_one_port() {
        let guard = AddressGuard::new(vec!["127.0.0.1:9100".parse().unwrap()]);
        let check = |url: &str| guard.check(&url.parse().unwrap());
        assert_eq!(check("http://127.0.0.1:9100/x"), Ok(()));
        assert_eq!(check("https://127.1:9100/x"), Ok(()));
        assert_eq!(check("http://127.0.0.1:9101/x"), Err(NotPublic("")));
        assert_eq!(check("http://127.0.0.2:9100/x"), Err(NotPublic("")));
        assert_eq!(check("http://localhost:9100/x"), Err(NotPublic("")));
    }
}
