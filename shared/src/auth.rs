//! Who is asking: a token in, a principal out.
//!
//! `Authorization: Token <key>`, the keyword in any case. A token is looked up by its digest, so that
//! neither the table nor the time that a comparison takes says anything about it.

use jiff::Timestamp;

use crate::{
    clock,
    model::{Principal, User},
    store::{Identities, StoreError, TokenDigest},
};

/// Why a request has no principal.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No `Authorization` header, or one of another scheme.
    #[error("Authentication credentials were not provided.")]
    Missing,
    /// The scheme without a key.
    #[error("Invalid token header. No credentials provided.")]
    NoKey,
    /// More than one key.
    #[error("Invalid token header. Token string should not contain spaces.")]
    Spaces,
    /// A key that is no text.
    #[error("Invalid token header. Token string should not contain invalid characters.")]
    NotText,
    /// Nobody has this token.
    #[error("Invalid or Inactive Token")]
    Unknown,
    /// The token's time is over.
    #[error("Token expired at {time}", time = clock::whole_second(*.0))]
    Expired(Timestamp),
    /// The token's user is not active.
    #[error("Invalid or inactive user")]
    InactiveUser,
    /// It could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The name of the user whose token an `Authorization` header's value has. Whether that user is [`active`] is
/// still to be seen.
pub async fn token_owner(
    identities: &Identities,
    header: Option<&[u8]>,
    now: Timestamp,
) -> Result<String, AuthError> {
    let digest = TokenDigest::of(token(header)?);
    let token = identities.token(&digest).await?.ok_or(AuthError::Unknown)?;
    match token.expires_at.filter(|time| *time <= now) {
        Some(expires_at) => Err(AuthError::Expired(expires_at)),
        None => Ok(token.username),
    }
}

/// The principal that a token's owner is.
pub async fn principal(identities: &Identities, username: &str) -> Result<Principal, AuthError> {
    let (user, academy) = identities.user_and_academy(username).await?;
    let user = active(user)?;
    Ok(Principal { user, academy })
}

/// The user whose token it is, if there is one that is active.
pub fn active(user: Option<User>) -> Result<User, AuthError> {
    user.filter(|user| user.is_active)
        .ok_or(AuthError::InactiveUser)
}

/// The key in an `Authorization` header's value.
fn token(header: Option<&[u8]>) -> Result<&str, AuthError> {
    let header = header.ok_or(AuthError::Missing)?;
    let mut words = header
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    match words.next() {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"token") => {}
        _ => return Err(AuthError::Missing),
    }
    let key = words.next().ok_or(AuthError::NoKey)?;
    if words.next().is_some() {
        return Err(AuthError::Spaces);
    }
    std::str::from_utf8(key).map_err(|_| AuthError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_holds_one_key_after_the_keyword_in_any_case() {
        assert_eq!(token(Some(b"Token abc")).unwrap(), "abc");
        assert_eq!(token(Some(b"tOKEN   abc ")).unwrap(), "abc");
        for none in [None, Some(&b""[..]), Some(b"Bearer abc"), Some(b"Tokenabc")] {
            assert!(matches!(token(none), Err(AuthError::Missing)));
        }
        assert!(matches!(token(Some(b"Token ")), Err(AuthError::NoKey)));
        assert!(matches!(token(Some(b"Token a b")), Err(AuthError::Spaces)));
        assert!(matches!(
            token(Some(b"Token \xff")),
            Err(AuthError::NotText)
        ));
    }
}
