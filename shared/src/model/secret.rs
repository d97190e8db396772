//! What a hook's deliveries are signed with.
//!
//! A secret is 32 random bytes, written `whsec_` and their base64, as Standard Webhooks has it. A hook
//! has one that is current and, for a day after each rotation, the one that it replaced: the owner
//! hands the new secret to its endpoints in that time, and whichever of the two an endpoint knows, it
//! can verify what it gets.
//!
//! Nothing shows a secret by accident: it has no `Display` and no `Serialize`, its `Debug` is
//! redacted, and the bytes are wiped when the last copy goes. [`Secret::expose`] is the only way to
//! the text, and its few callers are there to be counted.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rand::{TryRngCore, rand_core::OsError, rngs::OsRng};
use secrecy::{ExposeSecret, SecretBox};

/// How long a secret still signs after it was replaced.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// The most secrets that sign at the same time: a delivery's headers stay short.
pub const MAX_SECRETS: usize = 5;

/// What every secret's text begins with.
const PREFIX: &str = "whsec_";

const KEY_BYTES: usize = 32;

/// A key that deliveries are signed with. Cloning is cheap and copies no bytes.
#[derive(Clone, Debug)]
pub struct Secret(Arc<SecretBox<[u8; KEY_BYTES]>>);

/// The operating system has no random bytes to give.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness(#[from] OsError);

/// A text is no secret. It says no more, since the text may be almost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not whsec_ and the base64 of 32 bytes")]
pub struct InvalidSecret;

impl Secret {
    /// A new secret.
    ///
    /// It comes from the operating system and not from a generator in this process: few are made and
    /// they live for years, so that a system call is no price, while a generator's state could be
    /// copied along with the process.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut key = Box::new([0; KEY_BYTES]);
        OsRng.try_fill_bytes(key.as_mut_slice())?;
        Ok(Self(Arc::new(SecretBox::new(key))))
    }

    /// Reads a secret's text.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let base64 = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(base64).map_err(|_| InvalidSecret)?;
        let key: Box<[u8; KEY_BYTES]> = bytes
            .into_boxed_slice()
            .try_into()
            .map_err(|_| InvalidSecret)?;
        Ok(Self(Arc::new(SecretBox::new(key))))
    }

    /// The secret as its owner gets it and as the table holds it. For nobody else.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.key()))
    }

    /// The bytes to sign with.
    pub(crate) fn key(&self) -> &[u8; KEY_BYTES] {
        self.0.expose_secret()
    }
}

/// A secret that was replaced and still signs for a while.
#[derive(Clone, Debug)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Secret,
    /// From this time on it signs no more.
    pub expires_at: Timestamp,
}

/// The secrets of one hook.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The one that its owner is given.
    pub current: Secret,
    /// When that took the place of another; none if it is the hook's first.
    pub rotated_at: Option<Timestamp>,
    /// Those it replaced, newest first. One that has expired may be among them, and counts for
    /// nothing.
    pub previous: Vec<PreviousSecret>,
}

/// A hook was rotated so often within a day that one secret more would be too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_SECRETS} secrets sign at the same time already")]
pub struct TooManySecrets;

impl Secrets {
    /// A hook's first secret.
    #[must_use]
    pub fn first(current: Secret) -> Self {
        Self {
            current,
            rotated_at: None,
            previous: Vec::new(),
        }
    }

    /// The secrets after a rotation at `now`: `new` is current, and the one that was signs for
    /// [`SECRET_OVERLAP`] from now. Those replaced before keep the time that they were given: an
    /// endpoint that has not heard of the rotation before this one has its whole day.
    pub fn rotated(&self, new: Secret, now: Timestamp) -> Result<Self, TooManySecrets> {
        let replaced = PreviousSecret {
            secret: self.current.clone(),
            expires_at: now + SECRET_OVERLAP,
        };
        let previous: Vec<_> = std::iter::once(replaced)
            .chain(self.still_valid(now).cloned())
            .collect();
        if previous.len() >= MAX_SECRETS {
            return Err(TooManySecrets);
        }
        Ok(Self {
            current: new,
            rotated_at: Some(now),
            previous,
        })
    }

    /// Those that sign at `now`, newest first.
    pub fn valid_at(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let previous = self.still_valid(now).map(|previous| &previous.secret);
        std::iter::once(&self.current).chain(previous)
    }

    /// When the current one will sign alone; none if it does already.
    #[must_use]
    pub fn previous_expire_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.still_valid(now)
            .map(|previous| previous.expires_at)
            .max()
    }

    fn still_valid(&self, now: Timestamp) -> impl Iterator<Item = &PreviousSecret> {
        self.previous
            .iter()
            .filter(move |previous| now < previous.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::parse(&text(byte)).unwrap()
    }

    fn text(byte: u8) -> String {
        format!("whsec_{}", STANDARD.encode([byte; KEY_BYTES]))
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hour * 3_600).unwrap()
    }

    fn signing(secrets: &Secrets, now: Timestamp) -> Vec<String> {
        secrets.valid_at(now).map(Secret::expose).collect()
    }

    proptest! {
        #[test]
        fn any_32_bytes_have_one_text_and_come_back_from_it(key: [u8; KEY_BYTES]) {
            let text = format!("whsec_{}", STANDARD.encode(key));
            prop_assert_eq!(text.len(), 6 + 44);
            let secret = Secret::parse(&text).unwrap();
            prop_assert_eq!(secret.key(), &key);
            prop_assert_eq!(secret.expose(), text);
        }

        #[test]
        fn another_number_of_bytes_is_no_secret(key in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assume!(key.len() != KEY_BYTES);
            let text = format!("whsec_{}", STANDARD.encode(key));
            prop_assert_eq!(Secret::parse(&text).unwrap_err(), InvalidSecret);
        }
    }

    #[rstest]
    #[case::no_prefix("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    #[case::another_prefix("whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    #[case::no_padding("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    #[case::url_alphabet("whsec__-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    #[case::a_space("whsec_ AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    #[case::nothing("whsec_")]
    fn what_is_written_otherwise_is_no_secret(#[case] text: &str) {
        assert_eq!(Secret::parse(text).unwrap_err(), InvalidSecret);
    }

    #[test]
    fn a_random_secret_is_one_of_its_own() {
        let [one, other] = [(); 2].map(|()| Secret::random().unwrap());
        assert_ne!(one.key(), other.key());
        assert_eq!(Secret::parse(&one.expose()).unwrap().key(), one.key());
    }

    #[test]
    fn nothing_that_holds_a_secret_shows_it() {
        let secrets = Secrets::first(secret(b'A'));
        let secrets = secrets.rotated(secret(b'B'), at(0)).unwrap();
        let shown = format!("{secrets:?} {secrets:#?}");
        for byte in [b'A', b'B'] {
            assert!(!shown.contains(&text(byte)["whsec_".len()..]), "{shown}");
            assert!(!shown.contains(&format!("{byte}, {byte}")), "{shown}");
        }
        assert!(shown.contains("REDACTED"), "{shown}");
    }

    #[test]
    fn a_replaced_secret_signs_for_a_day_to_the_moment() {
        let secrets = Secrets::first(secret(1));
        assert_eq!(signing(&secrets, at(0)), [text(1)]);
        assert_eq!(secrets.previous_expire_at(at(0)), None);

        let secrets = secrets.rotated(secret(2), at(0)).unwrap();
        assert_eq!(secrets.rotated_at, Some(at(0)));
        let last = at(24) - Duration::from_nanos(1);
        for now in [at(0), at(23), last] {
            assert_eq!(signing(&secrets, now), [text(2), text(1)]);
            assert_eq!(secrets.previous_expire_at(now), Some(at(24)));
        }
        assert_eq!(signing(&secrets, at(24)), [text(2)]);
        assert_eq!(secrets.previous_expire_at(at(24)), None);
    }

    #[test]
    fn a_second_rotation_takes_nobodys_day_away() {
        let secrets = Secrets::first(secret(1));
        let secrets = secrets.rotated(secret(2), at(0)).unwrap();
        let secrets = secrets.rotated(secret(3), at(10)).unwrap();
        assert_eq!(signing(&secrets, at(10)), [text(3), text(2), text(1)]);
        assert_eq!(secrets.previous_expire_at(at(10)), Some(at(34)));
        assert_eq!(signing(&secrets, at(24)), [text(3), text(2)]);
        assert_eq!(signing(&secrets, at(34)), [text(3)]);
    }

    #[test]
    fn one_rotation_too_many_is_refused_until_a_secret_has_expired() {
        let mut secrets = Secrets::first(secret(1));
        for byte in 2..=5 {
            let hour = i64::from(byte) - 2;
            secrets = secrets.rotated(secret(byte), at(hour)).unwrap();
        }
        assert_eq!(secrets.valid_at(at(23)).count(), MAX_SECRETS);
        assert_eq!(
            secrets.rotated(secret(6), at(23)).unwrap_err(),
            TooManySecrets
        );
        let secrets = secrets.rotated(secret(6), at(24)).unwrap();
        let wanted = [6, 5, 4, 3, 2].map(text);
        assert_eq!(signing(&secrets, at(24)), wanted);
        // What has expired is gone for good.
        assert_eq!(secrets.previous.len(), 4);
    }
}
