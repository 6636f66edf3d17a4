//! What must hold of whatever an org, or who registers it, says about links, addresses and credentials.

use http::Method;

use super::credentials::Credentials;
use super::domain::OktaDomain;
use super::signing::SigningKey;
use super::{link, pacer};

pub(crate) use super::http::fuzzing::answer;

/// A `Link` header is divided or not; no target holds what ends one. A header a line.
pub(crate) fn links(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let next = link::next(text.lines());
    if let Some(target) = &next {
        assert!(!target.contains('>') && text.contains(target.as_str()));
        // A header that holds nothing else is understood as well.
        assert_eq!(
            link::next([format!("<{target}>; rel=\"next\"").as_str()]),
            next
        );
    }
    text.lines().for_each(|line| {
        link::promises_next(line);
    });
    next.is_some()
}

/// An address that is taken is plain: it reads back as itself, and nothing but scheme, host and port are in it.
pub(crate) fn domain(data: &[u8]) -> bool {
    let Some(domain) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.parse::<OktaDomain>().ok())
    else {
        return false;
    };
    let again: Option<OktaDomain> = domain.as_str().parse().ok();
    assert_eq!(again.as_ref(), Some(&domain));
    assert!(domain.is_tls() || domain.is_loopback());
    let plain = domain.as_str().split_once("://").map(|(_, rest)| rest);
    assert!(
        plain.is_some_and(|rest| !rest.contains(['/', '?', '#', '@'])),
        "{domain}"
    );
    assert!(!domain.first_label().is_empty());
    true
}

/// Credentials as they were sealed are read or refused, and written as they were read.
pub(crate) fn credentials(data: &[u8]) -> bool {
    let Some(found) = Credentials::from_bytes(data) else {
        return false;
    };
    let bytes = found.to_bytes();
    let again = Credentials::from_bytes(&bytes).map(|again| again.to_bytes());
    assert_eq!(again.as_deref(), Some(&*bytes));
    true
}

/// A signing key in PEM or JWK is taken or refused, without a word of it in the refusal.
pub(crate) fn signing_key(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match SigningKey::read(text, None) {
        Ok(_) => true,
        Err(error) => {
            let said = format!("{error} {error:?}");
            let secret = text.trim();
            assert!(secret.len() < 40 || !said.contains(secret));
            false
        }
    }
}

/// Every path has a bucket, whatever its query.
pub(crate) fn bucket(data: &[u8]) -> bool {
    let Ok(path) = std::str::from_utf8(data) else {
        return false;
    };
    let of = |path: &str| pacer::bucket(&Method::GET, path);
    let bare = path.split('?').next().unwrap_or_default();
    assert_eq!(of(path), of(bare));
    !bare.is_empty()
}
