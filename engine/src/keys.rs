//! Wraps and unwraps keys, and derives one key per purpose.
//!
//! A [`KeyProvider`] holds the key-encryption key. [`seal_envelope`] seals a small secret (credentials, a domain's
//! keys) under a fresh data key that the provider wraps. [`DomainKeys`] are a domain's identity key (content ids,
//! hashed names; never rotated) and its data keys by epoch, from which the chunk key and the record key are derived.
//! [`StateKey`] seals what the daemon keeps of its own.
//!
//! All sealing is XChaCha20-Poly1305 with a random 24-byte nonce written in front of the sealed bytes, so that no
//! counter has to survive a crash; the associated data say what the bytes are and whose, so that nothing sealed can
//! be put in another's place. Keys are wiped from memory when dropped; memory is not locked.
//!
//! # Formats
//!
//! Envelope, version 1: `ORGKENV\x01`, the wrapped key's length (2 bytes, little-endian), the wrapped key, then nonce
//! (24) and sealed bytes. The file provider's wrapped key: `0x01`, nonce (24), sealed key.
//! State, version 1: `ORGKSTA\x01`, nonce (24), sealed bytes.
//! Domain keys (inside an envelope), version 1: `0x01`, identity key (32), number of epochs (4), then each epoch's
//! number (4) and data key (32), oldest first. Associated data of both sealings of the envelope: `orgkeep domain keys 1`, domain.
//!
//! From a data key, BLAKE3's `derive_key` makes the chunk key (context `orgkeep 2026-11 chunk key`) and the record key (`orgkeep
//! 2026-11 record key`). From the identity key it makes the key of content ids and digests (`orgkeep 2026-11 content id key`), which are
//! the first 16 bytes of keyed BLAKE3, and the key of what the index may not hold in the clear (`orgkeep 2026-11 index sealing key`).

use std::fmt;
use std::path::PathBuf;

use chacha20poly1305::aead::{Aead, AeadInOut, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::id::{ContentId, DomainId};

mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

pub use file::{CredentialProvider, FileProvider};

/// The length of every key, in bytes.
pub const KEY_BYTES: usize = 32;
/// What stands before sealed bytes.
pub(crate) const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const ENVELOPE_MAGIC: &[u8; 8] = b"ORGKENV\x01";
const STATE_MAGIC: &[u8; 8] = b"ORGKSTA\x01";
const DOMAIN_KEYS_VERSION: u8 = 1;

/// Why a key could not be had, or sealed bytes could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no key where the provider looks.
    #[error("there is no key-encryption key at {}", .path.display())]
    Missing {
        /// Where the key was looked for.
        path: PathBuf,
    },
    /// Others than the owner can read the key.
    #[error("others can read the key-encryption key at {} (mode {mode:o})", .path.display())]
    Exposed {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key belongs to another user.
    #[error("the key-encryption key at {} belongs to another user (uid {uid})", .path.display())]
    ForeignOwner {
        /// The key's file.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// The key's file does not hold a key.
    #[error("{} does not hold a key of {KEY_BYTES} bytes", .path.display())]
    NotAKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The provider could not be reached or read.
    #[error("the key provider cannot be used: {what} failed")]
    Unavailable {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The bytes were not sealed with this key for this purpose, or were changed since.
    #[error(
        "the sealed bytes do not open with this key: they were changed, or sealed with another key or for another purpose"
    )]
    DoesNotOpen,
    /// The format is not known to this program.
    #[error("sealed bytes of unknown format {version}")]
    UnknownVersion {
        /// The version that was found.
        version: u8,
    },
    /// The bytes are no sealed bytes at all.
    #[error("not sealed bytes")]
    NotSealed,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    NoRandomness,
}

impl KeyError {
    /// What the operator can do about it, as one sentence; `None` if nothing is known to help.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { path } => Some(format!(
                "Put the key back at {} from your copy of it.",
                path.display()
            )),
            Self::Exposed { path, .. } => Some(format!(
                "Run `chmod 600 {}`, and consider the key known to others.",
                path.display()
            )),
            Self::ForeignOwner { path, .. } => Some(format!(
                "Make {} belong to the daemon's user or to root.",
                path.display()
            )),
            Self::NotAKey { path } => Some(format!(
                "Write 32 random bytes, or their hex or base64 text, to {}.",
                path.display()
            )),
            Self::Unavailable { .. } => {
                Some("Check the key provider, then run it again.".to_owned())
            }
            Self::DoesNotOpen => Some(
                "Check that the key provider holds the same key as when this was written."
                    .to_owned(),
            ),
            Self::UnknownVersion { .. } => Some("Use the newer program that wrote it.".to_owned()),
            Self::NotSealed | Self::NoRandomness => None,
        }
    }
}

impl From<getrandom::Error> for KeyError {
    fn from(_: getrandom::Error) -> Self {
        Self::NoRandomness
    }
}

/// What there is to say about a key provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderInfo {
    /// Its name in the configuration (`file`, `systemd-credential`).
    pub name: &'static str,
    /// What the operator should know, as a sentence.
    pub warning: Option<String>,
}

/// Who holds the key-encryption key.
pub trait KeyProvider: Send + Sync + fmt::Debug {
    /// What there is to say about it. Does not reach out.
    fn describe(&self) -> ProviderInfo;

    /// Wraps a key, bound to `aad`.
    ///
    /// # Errors
    ///
    /// When the provider cannot be used.
    fn wrap(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Unwraps a key that was wrapped with the same `aad`.
    ///
    /// # Errors
    ///
    /// When the provider cannot be used, or the key was wrapped by another or for another purpose.
    fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError>;
}

/// A key for one purpose.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

pub(crate) fn random_key() -> Result<Key, KeyError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(key.as_mut_slice())?;
    Ok(key)
}

/// Seals `plain`; gives nonce and sealed bytes.
pub(crate) fn seal(key: &Key, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut out = Vec::with_capacity(NONCE_BYTES + plain.len() + TAG_BYTES);
    out.extend_from_slice(&[0; NONCE_BYTES]);
    out.extend_from_slice(plain);
    seal_in_place(key, aad, &mut out, 0)?;
    Ok(out)
}

/// Seals what stands in `blob` from `at` on, where [`NONCE_BYTES`] are left for the nonce before what is to be sealed: nothing is
/// copied. What stands before is left as it is.
pub(crate) fn seal_in_place(
    key: &Key,
    aad: &[u8],
    blob: &mut Vec<u8>,
    at: usize,
) -> Result<(), KeyError> {
    let sealed = blob.get_mut(at..).unwrap_or_default();
    let (place, plain) = sealed
        .split_first_chunk_mut::<NONCE_BYTES>()
        .ok_or(KeyError::NotSealed)?;
    getrandom::fill(place)?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(*place), aad, plain.into())
        .map_err(|_| KeyError::DoesNotOpen)?;
    blob.extend_from_slice(&tag);
    Ok(())
}

/// Opens what [`seal`] gave.
pub(crate) fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (nonce, sealed) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(KeyError::NotSealed)?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    cipher
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad })
        .map(Zeroizing::new)
        .map_err(|_| KeyError::DoesNotOpen)
}

/// Whether the bytes begin like an envelope or like what a [`StateKey`] sealed.
pub(crate) fn looks_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(ENVELOPE_MAGIC) || bytes.starts_with(STATE_MAGIC)
}

/// Takes a known magic off; an unknown version of it is refused by its number.
fn strip_magic<'a>(bytes: &'a [u8], magic: &[u8; 8]) -> Result<&'a [u8], KeyError> {
    let (found, rest) = bytes.split_first_chunk::<8>().ok_or(KeyError::NotSealed)?;
    if found == magic {
        return Ok(rest);
    }
    match (found, magic) {
        ([name @ .., version], [wanted @ .., _]) if name == wanted => {
            Err(KeyError::UnknownVersion { version: *version })
        }
        _ => Err(KeyError::NotSealed),
    }
}

/// Seals a small secret under a fresh data key that the provider wraps; `aad` says what it is and whose.
///
/// # Errors
///
/// When the provider cannot be used.
pub fn seal_envelope(
    provider: &dyn KeyProvider,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let data_key = random_key()?;
    let wrapped = provider.wrap(aad, data_key.as_slice())?;
    let length = u16::try_from(wrapped.len()).map_err(|_| KeyError::NotSealed)?;
    let mut out = ENVELOPE_MAGIC.to_vec();
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&wrapped);
    out.extend_from_slice(&seal(&data_key, aad, plaintext)?);
    Ok(out)
}

/// Opens what [`seal_envelope`] gave.
///
/// # Errors
///
/// When the provider cannot be used, or the bytes were changed or sealed for another purpose.
pub fn open_envelope(
    provider: &dyn KeyProvider,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let rest = strip_magic(sealed, ENVELOPE_MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(KeyError::NotSealed)?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (wrapped, payload) = rest.split_at_checked(length).ok_or(KeyError::NotSealed)?;
    let data_key = to_key(&provider.unwrap(aad, wrapped)?)?;
    open(&data_key, aad, payload)
}

fn to_key(bytes: &[u8]) -> Result<Key, KeyError> {
    let bytes: &[u8; KEY_BYTES] = bytes.try_into().map_err(|_| KeyError::NotSealed)?;
    Ok(Zeroizing::new(*bytes))
}

fn derive(key: &Key, context: &str) -> Key {
    Zeroizing::new(blake3::derive_key(context, key.as_slice()))
}

/// The key of what the daemon keeps of its own: plans, reports, errors, audit details.
pub struct StateKey {
    root: Key,
    seal: Key,
    name: Key,
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(..)")
    }
}

impl StateKey {
    const WRAP_AAD: &[u8] = b"orgkeep state key 1";

    fn from_root(root: Key) -> Self {
        Self {
            seal: derive(&root, "orgkeep 2026-11 state sealing key"),
            name: derive(&root, "orgkeep 2026-11 state name key"),
            root,
        }
    }

    /// A fresh random key.
    ///
    /// # Errors
    ///
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        random_key().map(Self::from_root)
    }

    /// The key in the envelope in which it is kept.
    ///
    /// # Errors
    ///
    /// When the provider cannot be used.
    pub fn wrap(&self, provider: &dyn KeyProvider) -> Result<Vec<u8>, KeyError> {
        seal_envelope(provider, Self::WRAP_AAD, self.root.as_slice())
    }

    /// The key from the envelope in which it is kept.
    ///
    /// # Errors
    ///
    /// When the provider cannot be used, or the envelope does not open.
    pub fn unwrap(provider: &dyn KeyProvider, wrapped: &[u8]) -> Result<Self, KeyError> {
        to_key(&open_envelope(provider, Self::WRAP_AAD, wrapped)?).map(Self::from_root)
    }

    /// Seals bytes; `aad` says what they are.
    ///
    /// # Errors
    ///
    /// When the operating system gives no randomness.
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut out = STATE_MAGIC.to_vec();
        out.extend_from_slice(&seal(&self.seal, aad, plain)?);
        Ok(out)
    }

    /// Opens what [`seal`](Self::seal) gave for the same `aad`.
    ///
    /// # Errors
    ///
    /// When the bytes were changed, or sealed with another key or for another purpose.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        open(&self.seal, aad, strip_magic(sealed, STATE_MAGIC)?)
    }

    /// A keyed hash by which a name can be looked up without being kept in the clear.
    #[must_use]
    pub fn name_hash(&self, text: &str) -> [u8; 16] {
        keyed_hash(&self.name, text.as_bytes())
    }
}

fn keyed_hash<const N: usize>(key: &Key, bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    blake3::Hasher::new_keyed(key)
        .update(bytes)
        .finalize_xof()
        .fill(&mut out);
    out
}

/// The keys of one epoch, as they are used.
pub(crate) struct EpochKeys {
    pub(crate) number: u32,
    data: Key,
    pub(crate) chunk: Key,
    pub(crate) record: Key,
}

/// A domain's keys: the identity key and the data keys by epoch.
pub struct DomainKeys {
    identity: Key,
    content: Key,
    name: Key,
    epochs: Vec<EpochKeys>,
}

impl fmt::Debug for DomainKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainKeys({} epochs)", self.epochs.len())
    }
}

impl DomainKeys {
    /// Fresh random keys, in epoch 1.
    ///
    /// # Errors
    ///
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::from_parts(random_key()?, vec![(1, random_key()?)]))
    }

    fn from_parts(identity: Key, epochs: Vec<(u32, Key)>) -> Self {
        let epochs = epochs
            .into_iter()
            .map(|(number, data)| EpochKeys {
                number,
                chunk: derive(&data, "orgkeep 2026-11 chunk key"),
                record: derive(&data, "orgkeep 2026-11 record key"),
                data,
            })
            .collect();
        Self {
            content: derive(&identity, "orgkeep 2026-11 content id key"),
            name: derive(&identity, "orgkeep 2026-11 index sealing key"),
            identity,
            epochs,
        }
    }

    fn aad(domain: DomainId) -> Vec<u8> {
        let mut aad = b"orgkeep domain keys 1".to_vec();
        aad.extend_from_slice(domain.as_bytes());
        aad
    }

    /// The keys in the envelope in which the store keeps them.
    ///
    /// # Errors
    ///
    /// When the provider cannot be used.
    pub fn wrap(&self, domain: DomainId, provider: &dyn KeyProvider) -> Result<Vec<u8>, KeyError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(40 + 36 * self.epochs.len()));
        plain.push(DOMAIN_KEYS_VERSION);
        plain.extend_from_slice(self.identity.as_slice());
        plain.extend_from_slice(
            &u32::try_from(self.epochs.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        for epoch in &self.epochs {
            plain.extend_from_slice(&epoch.number.to_le_bytes());
            plain.extend_from_slice(epoch.data.as_slice());
        }
        seal_envelope(provider, &Self::aad(domain), &plain)
    }

    /// The keys from the envelope in which the store keeps them.
    ///
    /// # Errors
    ///
    /// When the provider cannot be used, or the envelope does not open.
    pub fn unwrap(
        domain: DomainId,
        provider: &dyn KeyProvider,
        wrapped: &[u8],
    ) -> Result<Self, KeyError> {
        let plain = open_envelope(provider, &Self::aad(domain), wrapped)?;
        let (&version, rest) = plain.split_first().ok_or(KeyError::NotSealed)?;
        if version != DOMAIN_KEYS_VERSION {
            return Err(KeyError::UnknownVersion { version });
        }
        let (identity, rest) = rest
            .split_at_checked(KEY_BYTES)
            .ok_or(KeyError::NotSealed)?;
        let (_, mut rest) = rest.split_first_chunk::<4>().ok_or(KeyError::NotSealed)?;
        let mut epochs = Vec::new();
        while let Some((number, after)) = rest.split_first_chunk::<4>() {
            let (data, after) = after
                .split_at_checked(KEY_BYTES)
                .ok_or(KeyError::NotSealed)?;
            epochs.push((u32::from_le_bytes(*number), to_key(data)?));
            rest = after;
        }
        if epochs.is_empty() {
            return Err(KeyError::NotSealed);
        }
        Ok(Self::from_parts(to_key(identity)?, epochs))
    }

    /// The same keys, and those of a new epoch for what is sealed from now on. The identity key stays.
    ///
    /// # Errors
    ///
    /// When the operating system gives no randomness.
    pub fn rotated(&self) -> Result<Self, KeyError> {
        let number = self.epochs.last().map_or(1, |last| last.number + 1);
        let mut epochs: Vec<(u32, Key)> = self
            .epochs
            .iter()
            .map(|epoch| (epoch.number, epoch.data.clone()))
            .collect();
        epochs.push((number, random_key()?));
        Ok(Self::from_parts(self.identity.clone(), epochs))
    }

    /// The number of the newest epoch.
    #[must_use]
    pub fn newest_epoch(&self) -> u32 {
        self.epochs.last().map_or(0, |last| last.number)
    }

    /// Whether these are the same keys of the same epochs.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let epochs = |keys: &Self| -> Vec<(u32, Key)> {
            let both = keys.epochs.iter();
            both.map(|epoch| (epoch.number, epoch.data.clone()))
                .collect()
        };
        self.identity == other.identity && epochs(self) == epochs(other)
    }

    /// The same keys once more.
    pub(crate) fn copy(&self) -> Self {
        let epochs = self
            .epochs
            .iter()
            .map(|epoch| (epoch.number, epoch.data.clone()))
            .collect();
        Self::from_parts(self.identity.clone(), epochs)
    }

    /// The keys that new packs and records are sealed with.
    pub(crate) fn newest(&self) -> Option<&EpochKeys> {
        self.epochs.last()
    }

    /// The keys of an epoch.
    pub(crate) fn epoch(&self, number: u32) -> Option<&EpochKeys> {
        self.epochs.iter().find(|epoch| epoch.number == number)
    }

    /// The content id of a canonical body.
    #[must_use]
    pub fn content_id(&self, body: &[u8]) -> ContentId {
        ContentId::from_bytes(keyed_hash(&self.content, body))
    }

    /// Seals what the index keeps but may not hold in the clear; `what` says what it is.
    pub(crate) fn seal_for_index(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal(&self.name, what.as_bytes(), plain)
    }

    /// Opens what [`seal_for_index`](Self::seal_for_index) gave.
    pub(crate) fn open_for_index(
        &self,
        what: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        open(&self.name, what.as_bytes(), sealed)
    }

    /// A keyed hash by which equal observations are known.
    pub(crate) fn digest(&self, bytes: &[u8]) -> [u8; 16] {
        keyed_hash(&self.content, bytes)
    }
}
