//! What must hold of any bytes that are taken for keys or for a sealed envelope.

use zeroize::Zeroizing;

use super::file::parse_key;
use super::{
    DomainKeys, KEY_BYTES, Key, KeyError, KeyProvider, ProviderInfo, StateKey, open_envelope,
    seal_envelope,
};
use crate::id::DomainId;

const DOMAIN: DomainId = DomainId::from_bytes([3; 8]);
const AAD: &[u8] = b"fuzzing";

/// Keys that are always the same.
pub(crate) fn keys() -> DomainKeys {
    DomainKeys::from_parts(
        Zeroizing::new([1; KEY_BYTES]),
        vec![(1, Zeroizing::new([2; KEY_BYTES]))],
    )
}

/// Wraps every key into the same bytes.
#[derive(Debug)]
struct Fixed;

impl Fixed {
    fn key() -> Key {
        Zeroizing::new([5; KEY_BYTES])
    }
}

impl KeyProvider for Fixed {
    fn describe(&self) -> ProviderInfo {
        ProviderInfo {
            name: "fixed",
            warning: None,
        }
    }

    fn wrap(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        super::seal(&Self::key(), aad, plaintext)
    }

    fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        super::open(&Self::key(), aad, wrapped)
    }
}

/// What stands in the envelope of a domain's keys is read or refused; keys that were read do the same when they are wrapped anew.
pub(crate) fn domain(data: &[u8]) -> bool {
    let Ok(sealed) = seal_envelope(&Fixed, &DomainKeys::aad(DOMAIN), data) else {
        return false;
    };
    let Ok(keys) = DomainKeys::unwrap(DOMAIN, &Fixed, &sealed) else {
        return false;
    };
    let again = keys
        .wrap(DOMAIN, &Fixed)
        .and_then(|wrapped| DomainKeys::unwrap(DOMAIN, &Fixed, &wrapped));
    let same = again.is_ok_and(|again| {
        again.content_id(data) == keys.content_id(data)
            && again.newest().map(|epoch| (epoch.number, *epoch.chunk))
                == keys.newest().map(|epoch| (epoch.number, *epoch.chunk))
    });
    assert!(same, "wrapping changes no key");
    true
}

/// Bytes that nobody sealed do not open, whatever they look like. What they would hold, sealed, opens for its purpose alone.
pub(crate) fn envelope(data: &[u8]) -> bool {
    assert!(open_envelope(&Fixed, AAD, data).is_err());
    assert!(StateKey::unwrap(&Fixed, data).is_err());
    assert!(StateKey::from_root(Fixed::key()).open(AAD, data).is_err());
    let Ok(sealed) = seal_envelope(&Fixed, AAD, data) else {
        return false;
    };
    let opened = open_envelope(&Fixed, AAD, &sealed);
    assert!(opened.is_ok_and(|opened| opened.as_slice() == data));
    assert!(open_envelope(&Fixed, b"another", &sealed).is_err());
    true
}

/// A key file's text is 32 bytes, as they are or in hex or base64.
pub(crate) fn file(data: &[u8]) -> bool {
    let found = parse_key(data);
    assert!(data.len() != KEY_BYTES || found.is_some());
    found.is_some()
}
