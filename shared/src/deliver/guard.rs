//! Where a delivery may go: only to public addresses.
//!
//! Whoever can subscribe chooses where our machines send requests, so every target is judged twice:
//! when a hook is stored, by its URL, and when a socket is opened, by the addresses that its name
//! resolves to at that moment. The second is what counts; the first spares an honest user a surprise.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, LazyLock},
};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The target is not public, or not known to be. What exactly it is must not reach its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Webhooks are only sent to public addresses.")]
pub struct NotPublic;

/// Which addresses may be called.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Arc<[SocketAddr]>,
}

impl AddressGuard {
    /// A guard that lets through what is public, and these exact pairs of address and port.
    #[must_use]
    pub fn new(allowed: Vec<SocketAddr>) -> Self {
        Self {
            allowed: allowed.into(),
        }
    }

    /// Judges a URL by its host: an address by what it is, a name by whether it is known to stay
    /// inside a machine or a network. The URL's parser decides what is an address: it reads
    /// `2130706433`, `0x7f.1` and full-width digits as the IPv4 addresses that they are.
    pub fn check(&self, url: &Url) -> Result<(), NotPublic> {
        let public = match url.host() {
            Some(Host::Ipv4(ip)) => self.admits(ip.into(), url),
            Some(Host::Ipv6(ip)) => self.admits(ip.into(), url),
            Some(Host::Domain(name)) => !is_internal_name(name),
            None => false,
        };
        if public { Ok(()) } else { Err(NotPublic) }
    }

    fn admits(&self, ip: IpAddr, url: &Url) -> bool {
        is_public(ip)
            || url
                .port_or_known_default()
                .is_some_and(|port| self.allowed.contains(&SocketAddr::new(ip, port)))
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
static INTERNAL_V4: LazyLock<Vec<Ipv4Net>> = LazyLock::new(|| {
    nets(&[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
    ])
});

/// Of IPv6 only this block is given out for global unicast (RFC 4291, IANA).
static GLOBAL_V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| nets(&["2000::/3"]));

/// What is not global in it: protocol assignments with Teredo, documentation, 6to4.
static INTERNAL_V6: LazyLock<Vec<Ipv6Net>> =
    LazyLock::new(|| nets(&["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]));

fn nets<T: std::str::FromStr>(texts: &[&str]) -> Vec<T> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
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
    GLOBAL_V6.iter().any(|net| net.contains(&ip))
        && !INTERNAL_V6.iter().any(|net| net.contains(&ip))
}

/// A resolver for the HTTP client that hands out public addresses only. A name with one address
/// that is not public is refused whole: it would be called at the next look-up.
///
/// The exceptions of an [`AddressGuard`] do not count here, since a look-up knows no port: they are
/// for targets that name an address.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !found.iter().all(|address| is_public(address.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
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

    #[test]
    fn every_block_is_read() {
        assert_eq!(
            (INTERNAL_V4.len(), INTERNAL_V6.len(), GLOBAL_V6.len()),
            (16, 4, 1)
        );
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
        assert_eq!(check(url), Err(NotPublic));
    }

    #[test]
    fn an_exception_is_one_address_and_one_port() {
        let guard = AddressGuard::new(vec!["127.0.0.1:9100".parse().unwrap()]);
        let check = |url: &str| guard.check(&url.parse().unwrap());
        assert_eq!(check("http://127.0.0.1:9100/x"), Ok(()));
        assert_eq!(check("https://127.1:9100/x"), Ok(()));
        assert_eq!(check("http://127.0.0.1:9101/x"), Err(NotPublic));
        assert_eq!(check("http://127.0.0.2:9100/x"), Err(NotPublic));
        assert_eq!(check("http://localhost:9100/x"), Err(NotPublic));
    }
}
