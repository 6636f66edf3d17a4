//! Client assertions for `private_key_jwt`, signed by an RSA or EC key in any of the forms it comes in.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::OktaError;
use crate::id::hex;

/// How long an assertion is valid, in seconds. Okta takes at most an hour.
const ASSERTION_SECONDS: i64 = 300;

/// A private key that signs assertions.
pub(super) struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
    key_id: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

/// The members of a private JWK that are used; all base64url.
#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

const OID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

fn unusable(why: &'static str) -> OktaError {
    OktaError::InvalidKey { why }
}

impl SigningKey {
    /// Reads PEM or a JWK.
    ///
    /// # Errors
    ///
    /// [`OktaError::InvalidKey`] without any part of the key.
    pub(super) fn read(text: &str, key_id: Option<&str>) -> Result<Self, OktaError> {
        let text = text.trim();
        let mut key = if text.starts_with('{') {
            Self::from_jwk(text)?
        } else {
            Self::from_pem(text)?
        };
        if let Some(key_id) = key_id {
            key.key_id = Some(key_id.to_owned());
        }
        // Signing once tells whether the key is whole.
        key.assertion("probe", "probe", Timestamp::UNIX_EPOCH)?;
        Ok(key)
    }

    fn from_pem(text: &str) -> Result<Self, OktaError> {
        let (label, der) = pem(text)?;
        match label.as_str() {
            "RSA PRIVATE KEY" => Ok(Self::rsa(&der)),
            "EC PRIVATE KEY" => {
                let curve = curve_in(&der)?;
                Ok(Self::ec(&pkcs8_ec(curve, &der), curve))
            }
            "PRIVATE KEY" if contains(&der, OID_EC_PUBLIC_KEY) => {
                let curve = curve_in(&der)?;
                Ok(Self::ec(&der, curve))
            }
            "PRIVATE KEY" => {
                let key = EncodingKey::from_rsa_pem(text.as_bytes())
                    .map_err(|_| unusable("it is neither an RSA nor an EC key"))?;
                Ok(Self {
                    key,
                    algorithm: Algorithm::RS256,
                    key_id: None,
                })
            }
            "ENCRYPTED PRIVATE KEY" => Err(unusable("it is encrypted with a passphrase")),
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {
                Err(unusable("it is the public part"))
            }
            _ => Err(unusable("it is no private key in PEM")),
        }
    }

    fn from_jwk(text: &str) -> Result<Self, OktaError> {
        let jwk: PrivateJwk =
            serde_json::from_str(text).map_err(|_| unusable("the JWK cannot be read"))?;
        let mut key = match jwk.kty.as_str() {
            "RSA" => {
                let parts = [
                    &jwk.n, &jwk.e, &jwk.d, &jwk.p, &jwk.q, &jwk.dp, &jwk.dq, &jwk.qi,
                ];
                let mut body = integer(&[0]);
                for part in parts {
                    body.extend(integer(&decoded(part.as_deref())?));
                }
                Self::rsa(&sequence(&body))
            }
            "EC" => {
                let curve = match jwk.crv.as_deref() {
                    Some("P-256") => OID_P256,
                    Some("P-384") => OID_P384,
                    _ => return Err(unusable("its curve is not P-256 or P-384")),
                };
                let mut point = vec![0, 4];
                point.extend_from_slice(&decoded(jwk.x.as_deref())?);
                point.extend_from_slice(&decoded(jwk.y.as_deref())?);
                let mut body = integer(&[1]);
                body.extend(tagged(0x04, &decoded(jwk.d.as_deref())?));
                body.extend(tagged(0xa1, &tagged(0x03, &point)));
                Self::ec(&pkcs8_ec(curve, &sequence(&body)), curve)
            }
            _ => return Err(unusable("it is neither an RSA nor an EC key")),
        };
        key.algorithm = match (jwk.alg.as_deref(), key.algorithm) {
            (Some("RS384"), Algorithm::RS256) => Algorithm::RS384,
            (Some("RS512"), Algorithm::RS256) => Algorithm::RS512,
            (_, by_key) => by_key,
        };
        key.key_id = jwk.kid;
        Ok(key)
    }

    fn rsa(pkcs1: &[u8]) -> Self {
        Self {
            key: EncodingKey::from_rsa_der(pkcs1),
            algorithm: Algorithm::RS256,
            key_id: None,
        }
    }

    fn ec(pkcs8: &[u8], curve: &[u8]) -> Self {
        let algorithm = if curve == OID_P256 {
            Algorithm::ES256
        } else {
            Algorithm::ES384
        };
        Self {
            key: EncodingKey::from_ec_der(pkcs8),
            algorithm,
            key_id: None,
        }
    }

    /// A fresh assertion for one request to `audience`, which must be exactly the URL that is called.
    ///
    /// # Errors
    ///
    /// [`OktaError::InvalidKey`] if the key does not sign.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<String, OktaError> {
        let mut nonce = [0u8; 16];
        getrandom::fill(&mut nonce)?;
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.key_id);
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: audience,
            iat: now.as_second(),
            exp: now.as_second().saturating_add(ASSERTION_SECONDS),
            jti: hex(&nonce),
        };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_| unusable("it does not sign"))
    }
}

fn decoded(member: Option<&str>) -> Result<Zeroizing<Vec<u8>>, OktaError> {
    member
        .and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| unusable("the JWK lacks a private member"))
}

/// The label and the bytes of the first PEM block.
fn pem(text: &str) -> Result<(String, Zeroizing<Vec<u8>>), OktaError> {
    let refused = || unusable("it is neither PEM nor a JWK");
    let (_, rest) = text.split_once("-----BEGIN ").ok_or_else(refused)?;
    let (label, rest) = rest.split_once("-----").ok_or_else(refused)?;
    let (body, _) = rest.split_once("-----END ").ok_or_else(refused)?;
    let digits: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    let der = STANDARD.decode(digits.as_bytes()).map_err(|_| refused())?;
    Ok((label.to_owned(), Zeroizing::new(der)))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn curve_in(der: &[u8]) -> Result<&'static [u8], OktaError> {
    [OID_P256, OID_P384]
        .into_iter()
        .find(|curve| contains(der, curve))
        .ok_or_else(|| unusable("its curve is not P-256 or P-384"))
}

/// Wraps an EC private key (RFC 5915) as PKCS#8.
fn pkcs8_ec(curve: &[u8], sec1: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut algorithm = tagged(0x06, OID_EC_PUBLIC_KEY);
    algorithm.extend(tagged(0x06, curve));
    let mut body = integer(&[0]);
    body.extend(sequence(&algorithm));
    body.extend(tagged(0x04, sec1));
    Zeroizing::new(sequence(&body))
}

fn sequence(body: &[u8]) -> Vec<u8> {
    tagged(0x30, body)
}

/// A non-negative DER integer from big-endian bytes.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    let mut body = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_none_or(|first| *first >= 0x80) {
        body.push(0);
    }
    body.extend_from_slice(digits);
    tagged(0x02, &body)
}

fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length: Vec<u8> = body
                .len()
                .to_be_bytes()
                .into_iter()
                .skip_while(|byte| *byte == 0)
                .collect();
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(0));
            out.extend(length);
        }
    }
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests;
