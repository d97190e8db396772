//! TLS for all clients: of AWS, of endpoints, and the command's of the API. What the system trusts is read
//! once: that is most of what a function does at its start.
//!
//! Mozilla's roots are trusted beside the system's, since Lambda's system has lacked some that large CDNs use.
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` name all that is trusted: where one is set, neither the system's nor
//! Mozilla's roots count.

use std::sync::LazyLock;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, TrustAnchor},
};
use webpki_roots::TLS_SERVER_ROOTS;

use crate::config;

/// The configuration of all clients. A clone is cheap, and resumes the others' sessions.
pub(crate) static CLIENTS: LazyLock<Tls> = LazyLock::new(Tls::new);

/// How a client speaks TLS: with those whom the system or Mozilla trusts, or whom `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name.
#[must_use]
pub fn client_config() -> ClientConfig {
    CLIENTS.config.clone()
}

/// How clients speak TLS.
pub(crate) struct Tls {
    /// With HTTP/1.1 on it.
    pub(crate) config: ClientConfig,
    /// Whether anybody is trusted: nobody is where `SSL_CERT_FILE` and `SSL_CERT_DIR` name nobody.
    pub(crate) trusts: bool,
}

impl Tls {
    fn new() -> Self {
        // An error says that this process has a provider already, which is as good.
        let _ = ring::default_provider().install_default();
        let roots = roots();
        let trusts = !roots.is_empty();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config, trusts }
    }
}

fn roots() -> RootCertStore {
    let beside = if config::names_certificates() {
        &[]
    } else {
        TLS_SERVER_ROOTS
    };
    trusting(certificates(), beside)
}

/// Roots of which most are on both lists: to have one twice is cheaper than to look for it.
fn trusting(
    certificates: Vec<CertificateDer<'static>>,
    beside: &[TrustAnchor<'static>],
) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    tracing::debug!(added, ignored, "certificates of the system");
    roots.extend(beside.iter().cloned());
    roots
}

/// The certificates that the system trusts, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
///
/// Linux has them in one file, and often in a folder besides, each in a file of its own. To read them
/// there as well would take as long again and find the same. Other systems have stores of their own, which
/// are asked.
fn certificates() -> Vec<CertificateDer<'static>> {
    let bundle = if cfg!(target_os = "linux") && !config::names_certificates() {
        openssl_probe::probe().cert_file
    } else {
        None
    };
    let loaded = bundle
        .map(|file| rustls_native_certs::load_certs_from_paths(Some(&file), None))
        .filter(|loaded| !loaded.certs.is_empty())
        .unwrap_or_else(rustls_native_certs::load_native_certs);
    for error in &loaded.errors {
        tracing::warn!(%error, "certificates of the system cannot be read");
    }
    loaded.certs
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use rstest::rstest;

    use super::*;

    use crate::deliver::{
        client::{ClientError, DeliveryClient},
        guard::AddressGuard,
    };

    fn certificate() -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key);
        certificate.unwrap().into()
    }

    fn is_trusted(roots: &RootCertStore, root: &TrustAnchor) -> bool {
        roots.roots.contains(root)
    }

    #[test]
    fn a_root_that_the_system_lacks_is_trusted_beside_its_own() {
        let own = certificate();
        let roots = trusting(vec![own.clone()], TLS_SERVER_ROOTS);
        let lacking = TLS_SERVER_ROOTS.iter();
        assert!(lacking.clone().all(|root| is_trusted(&roots, root)));
        let mut only = RootCertStore::empty();
        only.add(own).unwrap();
        assert!(is_trusted(&roots, &only.roots[0]));
        assert_eq!(roots.len(), lacking.len() + 1);
    }

    #[test]
    fn without_a_variable_mozillas_roots_are_trusted() {
        passes(&mut alone("mozillas_roots_are_trusted"));
    }

    #[test]
    #[ignore = "without_a_variable_mozillas_roots_are_trusted runs it"]
    fn mozillas_roots_are_trusted() {
        let roots = roots();
        assert!(TLS_SERVER_ROOTS.iter().all(|root| is_trusted(&roots, root)));
    }

    /// What a process of its own is told, whose environment names one certificate.
    #[test]
    #[ignore = "the_environment_names_who_is_trusted runs it"]
    fn one_is_trusted() {
        assert_eq!(roots().len(), 1);
    }

    #[rstest]
    #[case::a_file("SSL_CERT_FILE", "only.pem")]
    #[case::a_folder("SSL_CERT_DIR", ".")]
    fn the_environment_names_who_is_trusted(#[case] variable: &str, #[case] what: &str) {
        let folder = tempfile::tempdir().unwrap();
        let text = STANDARD.encode(certificate());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        std::fs::write(folder.path().join("only.pem"), pem).unwrap();
        passes(alone("one_is_trusted").env(variable, folder.path().join(what)));
    }

    #[test]
    fn a_file_without_a_certificate_trusts_nobody_and_no_client_starts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        passes(alone("no_client_starts").env("SSL_CERT_FILE", file.path()));
    }

    #[test]
    #[ignore = "a_file_without_a_certificate_trusts_nobody_and_no_client_starts runs it"]
    fn no_client_starts() {
        let client = DeliveryClient::new(AddressGuard::new(Vec::new()));
        assert!(matches!(client, Err(ClientError::NobodyTrusted)));
    }

    /// A test in a process of its own, whose environment names no certificates.
    fn alone(test: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--ignored", &format!("tls::tests::{test}")])
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR");
        command
    }

    fn passes(test: &mut Command) {
        let ended = test.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }

    #[test]
    fn without_that_it_is_the_system_that_says_so() {
        passes(&mut alone("the_bundle_is_of_the_system"));
    }

    /// All of it may be more: a folder can have certificates in it that are no authority's.
    #[test]
    #[ignore = "without_that_it_is_the_system_that_says_so runs it"]
    fn the_bundle_is_of_the_system() {
        let mut all = RootCertStore::empty();
        all.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let all = all.subjects();
        let bundle = trusting(certificates(), &[]).subjects();
        assert_eq!(bundle.is_empty(), all.is_empty());
        let is_in_all = |name: &[u8]| all.iter().any(|other| other.as_ref() == name);
        assert!(bundle.iter().all(|name| is_in_all(name.as_ref())));
    }
}
