//! What the org gave us to prove who we are.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::OktaError;
use super::signing::SigningKey;

/// How requests are authorized. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An API service integration: client id and secret.
    ClientSecret {
        /// The client id.
        client_id: String,
        /// Its secret.
        secret: SecretString,
    },
    /// A service app with a key pair.
    PrivateKey {
        /// The client id.
        client_id: String,
        /// The private key: PEM (PKCS#8, PKCS#1, EC) or a private JWK.
        key: SecretString,
        /// The key's id; needed where the app has several keys. A JWK's own `kid` is taken if none is given.
        key_id: Option<String>,
    },
    /// An admin's API token.
    ApiToken(SecretString),
}

/// The form in which credentials are sealed: JSON with a version, so that old registrations stay readable.
#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u8,
    #[serde(flatten)]
    secret: SealedSecret,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum SealedSecret {
    ClientSecret {
        client_id: String,
        secret: String,
    },
    PrivateKey {
        client_id: String,
        key: String,
        key_id: Option<String>,
    },
    ApiToken {
        token: String,
    },
}

impl Drop for Sealed {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        match &mut self.secret {
            SealedSecret::ClientSecret { secret, .. } => secret.zeroize(),
            SealedSecret::PrivateKey { key, .. } => key.zeroize(),
            SealedSecret::ApiToken { token } => token.zeroize(),
        }
    }
}

const VERSION: u8 = 1;

impl Credentials {
    /// Checks what can be checked without the org: that the key can be read.
    ///
    /// # Errors
    ///
    /// [`OktaError::InvalidKey`].
    pub fn validate(&self) -> Result<(), OktaError> {
        if let Self::PrivateKey { key, key_id, .. } = self {
            SigningKey::read(key.expose_secret(), key_id.as_deref())?;
        }
        Ok(())
    }

    /// Whether it is an API token, which knows no scopes.
    #[must_use]
    pub fn is_api_token(&self) -> bool {
        matches!(self, Self::ApiToken(_))
    }

    /// The client id, where there is one.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::ClientSecret { client_id, .. } | Self::PrivateKey { client_id, .. } => {
                Some(client_id)
            }
            Self::ApiToken(_) => None,
        }
    }

    /// The bytes to seal. Only a sealed envelope may hold them.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let secret = match self {
            Self::ClientSecret { client_id, secret } => SealedSecret::ClientSecret {
                client_id: client_id.clone(),
                secret: secret.expose_secret().to_owned(),
            },
            Self::PrivateKey {
                client_id,
                key,
                key_id,
            } => SealedSecret::PrivateKey {
                client_id: client_id.clone(),
                key: key.expose_secret().to_owned(),
                key_id: key_id.clone(),
            },
            Self::ApiToken(token) => SealedSecret::ApiToken {
                token: token.expose_secret().to_owned(),
            },
        };
        // Strings and an integer always serialise.
        Zeroizing::new(
            serde_json::to_vec(&Sealed {
                version: VERSION,
                secret,
            })
            .unwrap_or_default(),
        )
    }

    /// Reads what [`Credentials::to_bytes`] wrote; `None` if it is something else or of an unknown version.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let sealed: Sealed = serde_json::from_slice(bytes).ok()?;
        if sealed.version != VERSION {
            return None;
        }
        Some(match &sealed.secret {
            SealedSecret::ClientSecret { client_id, secret } => Self::ClientSecret {
                client_id: client_id.clone(),
                secret: secret.clone().into(),
            },
            SealedSecret::PrivateKey {
                client_id,
                key,
                key_id,
            } => Self::PrivateKey {
                client_id: client_id.clone(),
                key: key.clone().into(),
                key_id: key_id.clone(),
            },
            SealedSecret::ApiToken { token } => Self::ApiToken(token.clone().into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_read_back_and_are_not_shown() {
        let all = [
            Credentials::ClientSecret {
                client_id: "0oa1".to_owned(),
                secret: "s3cret".into(),
            },
            Credentials::PrivateKey {
                client_id: "0oa2".to_owned(),
                key: "s3cret".into(),
                key_id: None,
            },
            Credentials::ApiToken("s3cret".into()),
        ];
        for credentials in all {
            let bytes = credentials.to_bytes();
            let again = Credentials::from_bytes(&bytes).unwrap();
            assert_eq!(again.to_bytes(), bytes);
            assert_eq!(again.client_id(), credentials.client_id());
            assert!(!format!("{again:?}").contains("s3cret"));
        }
        assert!(
            Credentials::from_bytes(br#"{"version":9,"kind":"api_token","token":"x"}"#).is_none()
        );
        assert!(Credentials::from_bytes(b"").is_none());
    }
}
