//! What a failed exchange came to: its class for the hook's owner, and its cause for the operator.

use std::{
    error::Error,
    fmt::{self, Display, Write},
    io,
};

use hyper_util::client::legacy::{self, connect::Connected};
use rustls::CertificateError;

use super::resolve::LookupError;
use crate::model::{Outcome, TlsFailure};

/// The most of a cause that is logged, in characters. Some of it may be the endpoint's to choose: a
/// certificate with thousands of names is quoted whole.
const LOGGED_CHARS: usize = 300;

/// The outcome of an exchange that brought no answer.
pub(super) fn outcome(error: &reqwest::Error) -> Outcome {
    causes(error).find_map(of_cause).unwrap_or_else(|| {
        if error.is_timeout() {
            Outcome::TimedOut
        } else if error.is_connect() {
            Outcome::ConnectionRefused
        } else {
            Outcome::ConnectionClosed
        }
    })
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(error) = cause.downcast_ref::<LookupError>() {
        Some(match error {
            LookupError::LeadsInside(_) => Outcome::NameRefused,
            _ => Outcome::Unresolved,
        })
    } else if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        Some(Outcome::Tls(tls_failure(error)))
    } else if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        error.is_parse().then_some(Outcome::Protocol)
    } else {
        let error = cause.downcast_ref::<io::Error>()?;
        is_end(error.kind()).then_some(Outcome::ConnectionClosed)
    }
}

fn tls_failure(error: &rustls::Error) -> TlsFailure {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsFailure::Expired
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFailure::WrongName
            }
            _ => TlsFailure::Untrusted,
        },
        _ => TlsFailure::Protocol,
    }
}

/// Whether a connection ended before it brought an answer. What came may have been the beginning of
/// one, but no more than that.
pub(super) fn is_broken_off(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            error.is_incomplete_message()
        } else {
            let error = cause.downcast_ref::<io::Error>();
            error.is_some_and(|error| is_end(error.kind()))
        }
    })
}

fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            // TLS that was not closed in its own way.
            | io::ErrorKind::UnexpectedEof
    )
}

/// The connection on which an exchange failed, if it had one.
pub(super) fn connection(error: &reqwest::Error) -> Option<&Connected> {
    causes(error).find_map(|cause| cause.downcast_ref::<legacy::Error>()?.connect_info())
}

/// Logs the cause for the operator; the owner of the hook gets the outcome's own words. The innermost
/// cause says most. It has no URL in it, which may hold a secret of its owner.
pub(super) fn log(outcome: Outcome, error: &(dyn Error + 'static)) {
    let cause = causes(error).last().unwrap_or(error);
    tracing::info!(?outcome, cause = %Shortened(cause), "no answer");
}

/// An error and its causes, to the innermost.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        // What an I/O error wraps is not its source, but in its place.
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

/// What somebody else may have written, as far as it is logged: in printable ASCII.
struct Shortened<T>(T);

impl<T: Display> Display for Shortened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut short = Short(String::new());
        let whole = write!(short, "{}", self.0).is_ok();
        f.write_str(&short.0)?;
        f.write_str(if whole { "" } else { "..." })
    }
}

/// Takes so much, and then no more.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.len() == LOGGED_CHARS {
                return Err(fmt::Error);
            }
            let printable = c == ' ' || c.is_ascii_graphic();
            self.0.push(if printable { c } else { '?' });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::ServerName;

    use super::*;

    proptest! {
        #[test]
        fn a_cause_is_one_short_line_of_ascii(text in any::<String>(), times in 1_usize..100) {
            let cause = Shortened(text.repeat(times)).to_string();
            prop_assert!(cause.len() <= LOGGED_CHARS + 3);
            prop_assert!(cause.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn a_certificate_with_thousands_of_names_is_one_short_line() {
        let error = rustls::Error::from(CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("endpoint.example").unwrap(),
            presented: vec!["DnsName(\"x.example\")".to_owned(); 5_000],
        });
        assert!(error.to_string().len() > 100_000);
        let cause = Shortened(&error).to_string();
        assert_eq!(cause.len(), LOGGED_CHARS + 3);
        assert!(cause.contains("endpoint.example"), "{cause}");
    }

    #[test]
    fn a_short_cause_is_whole_and_a_long_one_says_that_it_is_not() {
        assert_eq!(Shortened("no such name").to_string(), "no such name");
        let long = "x".repeat(LOGGED_CHARS);
        assert_eq!(Shortened(&long).to_string(), long);
        assert_eq!(
            Shortened(format!("{long}x")).to_string(),
            format!("{long}...")
        );
    }
}
