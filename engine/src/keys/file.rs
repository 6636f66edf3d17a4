//! Key providers that read a key-encryption key from a file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{KEY_BYTES, Key, KeyError, KeyProvider, ProviderInfo, open, random_key, seal, to_key};
use crate::durable;
use crate::id::unhex;

const WRAPPED_VERSION: u8 = 1;
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// A key-encryption key in a file of 32 bytes, mode 0600, made when it is first needed to wrap something.
#[derive(Debug, Clone)]
pub struct FileProvider {
    path: PathBuf,
    beside_data: bool,
}

impl FileProvider {
    /// The provider for the key at `path`; nothing is read or made yet.
    ///
    /// `beside_data` says that the key stands on the disk it protects, which the provider then warns of.
    #[must_use]
    pub fn open_or_create(path: &Path, beside_data: bool) -> Self {
        Self {
            path: path.to_owned(),
            beside_data,
        }
    }

    fn key(&self) -> Result<Key, KeyError> {
        let mut file = File::open(&self.path).map_err(|source| missing_or(source, &self.path))?;
        let metadata = file
            .metadata()
            .map_err(|source| unavailable(&self.path, source))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(KeyError::Exposed {
                path: self.path.clone(),
                mode: metadata.mode() & 0o777,
            });
        }
        if metadata.uid() != 0 && metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(KeyError::ForeignOwner {
                path: self.path.clone(),
                uid: metadata.uid(),
            });
        }
        let bytes = read_small(&mut file).map_err(|source| unavailable(&self.path, source))?;
        to_key(&bytes).map_err(|_| KeyError::NotAKey {
            path: self.path.clone(),
        })
    }

    fn create(&self) -> Result<Key, KeyError> {
        let key = random_key()?;
        let made = self
            .path
            .parent()
            .map_or(Ok(()), durable::create_private_dir)
            .and_then(|()| durable::write_durably(&self.path, key.as_slice()));
        made.map_err(|source| unavailable(&self.path, source))?;
        Ok(key)
    }
}

impl KeyProvider for FileProvider {
    fn describe(&self) -> ProviderInfo {
        let warning = self.beside_data.then(|| {
            format!(
                "The key-encryption key {} stands on the disk that it protects: move it to another, or use systemd-credential.",
                self.path.display()
            )
        });
        ProviderInfo {
            name: "file",
            warning,
        }
    }

    fn wrap(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = match self.key() {
            Err(KeyError::Missing { .. }) => self.create()?,
            found => {
                let key = found?;
                // Nothing may be wrapped by a key that a loss of power could take away.
                durable::sync_entries(&self.path, 2)
                    .map_err(|source| unavailable(&self.path, source))?;
                key
            }
        };
        wrap_with(&key, aad, plaintext)
    }

    fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        unwrap_with(&self.key()?, aad, wrapped)
    }
}

/// A key-encryption key that systemd hands to the service (`LoadCredential=`, `LoadCredentialEncrypted=`).
///
/// The credential is 32 bytes, or their text in hex or base64.
#[derive(Debug, Clone)]
pub struct CredentialProvider {
    path: PathBuf,
}

impl CredentialProvider {
    /// The provider for the credential `name` in `directory` (the service's `$CREDENTIALS_DIRECTORY`).
    #[must_use]
    pub fn new(directory: &Path, name: &str) -> Self {
        Self {
            path: directory.join(name),
        }
    }

    fn key(&self) -> Result<Key, KeyError> {
        let mut file = File::open(&self.path).map_err(|source| missing_or(source, &self.path))?;
        let bytes = read_small(&mut file).map_err(|source| unavailable(&self.path, source))?;
        parse_key(&bytes).ok_or_else(|| KeyError::NotAKey {
            path: self.path.clone(),
        })
    }
}

impl KeyProvider for CredentialProvider {
    fn describe(&self) -> ProviderInfo {
        ProviderInfo {
            name: "systemd-credential",
            warning: None,
        }
    }

    fn wrap(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        wrap_with(&self.key()?, aad, plaintext)
    }

    fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        unwrap_with(&self.key()?, aad, wrapped)
    }
}

pub(super) fn parse_key(bytes: &[u8]) -> Option<Key> {
    if bytes.len() == KEY_BYTES {
        return to_key(bytes).ok();
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if let Some(key) = unhex::<KEY_BYTES>(&Zeroizing::new(text.to_ascii_lowercase())) {
        return Some(Zeroizing::new(key));
    }
    let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
    to_key(&decoded).ok()
}

fn wrap_with(key: &Key, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut out = vec![WRAPPED_VERSION];
    out.extend_from_slice(&seal(key, aad, plaintext)?);
    Ok(out)
}

fn unwrap_with(key: &Key, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match wrapped.split_first() {
        Some((&WRAPPED_VERSION, sealed)) => open(key, aad, sealed),
        Some((&version, _)) => Err(KeyError::UnknownVersion { version }),
        None => Err(KeyError::NotSealed),
    }
}

fn read_small(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES * 2));
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn missing_or(source: io::Error, path: &Path) -> KeyError {
    let there = fs::symlink_metadata(path).is_ok();
    if source.kind() == io::ErrorKind::NotFound && !there {
        KeyError::Missing {
            path: path.to_owned(),
        }
    } else {
        unavailable(path, source)
    }
}

fn unavailable(path: &Path, source: io::Error) -> KeyError {
    KeyError::Unavailable {
        what: format!("using {}", path.display()),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::super::{DomainKeys, StateKey, open_envelope, seal_envelope};
    use super::*;
    use crate::id::{DomainId, hex};

    #[test]
    fn the_key_is_made_on_the_first_wrap_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/kek");
        let provider = FileProvider::open_or_create(&path, true);
        assert!(matches!(
            provider.unwrap(b"a", b"\x01"),
            Err(KeyError::Missing { .. })
        ));
        assert!(!path.exists());
        let wrapped = provider.wrap(b"a", b"secret").unwrap();
        assert_eq!(metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            metadata(path.parent().unwrap()).unwrap().mode() & 0o777,
            0o700
        );
        assert_eq!(
            provider.unwrap(b"a", &wrapped).unwrap().as_slice(),
            b"secret"
        );
        assert!(matches!(
            provider.unwrap(b"b", &wrapped),
            Err(KeyError::DoesNotOpen)
        ));
        assert!(provider.describe().warning.is_some());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kek");
        let provider = FileProvider::open_or_create(&path, false);
        let wrapped = provider.wrap(b"a", b"secret").unwrap();
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            provider.unwrap(b"a", &wrapped),
            Err(KeyError::Exposed { mode: 0o640, .. })
        ));
        assert!(matches!(
            provider.wrap(b"a", b"secret"),
            Err(KeyError::Exposed { .. })
        ));
    }

    #[test]
    fn a_credential_is_bytes_or_text() {
        let dir = tempfile::tempdir().unwrap();
        let provider = CredentialProvider::new(dir.path(), "kek");
        assert!(matches!(
            provider.wrap(b"a", b"b"),
            Err(KeyError::Missing { .. })
        ));
        let key = [7u8; 32];
        let mut wrapped = None;
        for text in [
            key.to_vec(),
            hex(&key).into_bytes(),
            format!("{}\n", STANDARD.encode(key)).into_bytes(),
        ] {
            File::create(dir.path().join("kek"))
                .unwrap()
                .write_all(&text)
                .unwrap();
            let wrapped = wrapped.get_or_insert_with(|| provider.wrap(b"a", b"secret").unwrap());
            assert_eq!(
                provider.unwrap(b"a", wrapped).unwrap().as_slice(),
                b"secret"
            );
        }
        File::create(dir.path().join("kek"))
            .unwrap()
            .write_all(b"short")
            .unwrap();
        assert!(matches!(
            provider.wrap(b"a", b"b"),
            Err(KeyError::NotAKey { .. })
        ));
    }

    #[test]
    fn envelopes_open_only_whole_and_for_their_purpose() {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::open_or_create(&dir.path().join("kek"), false);
        let sealed = seal_envelope(&provider, b"aad", b"secret").unwrap();
        assert_eq!(
            open_envelope(&provider, b"aad", &sealed)
                .unwrap()
                .as_slice(),
            b"secret"
        );
        assert!(open_envelope(&provider, b"other", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open_envelope(&provider, b"aad", &changed).is_err(), "{at}");
            assert!(
                open_envelope(&provider, b"aad", &sealed[..at]).is_err(),
                "{at}"
            );
        }
        let mut newer = sealed;
        newer[7] = 9;
        assert!(matches!(
            open_envelope(&provider, b"aad", &newer),
            Err(KeyError::UnknownVersion { version: 9 })
        ));
    }

    #[test]
    fn state_and_domain_keys_come_back_from_their_envelopes() {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::open_or_create(&dir.path().join("kek"), false);
        let state = StateKey::generate().unwrap();
        let again = StateKey::unwrap(&provider, &state.wrap(&provider).unwrap()).unwrap();
        assert_eq!(
            again
                .open(b"plan", &state.seal(b"plan", b"x").unwrap())
                .unwrap()
                .as_slice(),
            b"x"
        );
        assert!(
            again
                .open(b"report", &state.seal(b"plan", b"x").unwrap())
                .is_err()
        );
        assert_eq!(state.name_hash("a"), again.name_hash("a"));
        assert_ne!(state.name_hash("a"), state.name_hash("b"));

        let domain = DomainId::from_bytes([1; 8]);
        let keys = DomainKeys::generate().unwrap();
        let wrapped = keys.wrap(domain, &provider).unwrap();
        let again = DomainKeys::unwrap(domain, &provider, &wrapped).unwrap();
        assert_eq!(keys.content_id(b"x"), again.content_id(b"x"));
        let sealed = keys.seal_for_index("a name", b"x").unwrap();
        assert_eq!(
            again.open_for_index("a name", &sealed).unwrap().as_slice(),
            b"x"
        );
        assert!(again.open_for_index("another", &sealed).is_err());
        assert!(DomainKeys::unwrap(DomainId::from_bytes([2; 8]), &provider, &wrapped).is_err());
        assert_ne!(
            DomainKeys::generate().unwrap().content_id(b"x"),
            keys.content_id(b"x")
        );
    }
}
