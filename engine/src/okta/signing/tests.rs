//! Keys in every form they come in sign assertions that their public part verifies.

use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

use super::*;

const AUDIENCE: &str = "https://acme.okta.com/oauth2/v1/token";

fn verified(key: &SigningKey, public: &DecodingKey) -> Value {
    let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
    let text = key.assertion("0oaclient", AUDIENCE, now).unwrap();
    let mut validation = Validation::new(key.algorithm);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(&text, public, &validation)
        .unwrap()
        .claims
}

/// The elements of a DER sequence.
fn elements(mut der: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let split = |der: &[u8]| -> (usize, usize) {
        match der[1] {
            short @ 0..0x80 => (2, usize::from(short)),
            long => {
                let count = usize::from(long & 0x7f);
                (
                    2 + count,
                    der[2..2 + count]
                        .iter()
                        .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                )
            }
        }
    };
    let (start, length) = split(der);
    der = &der[start..start + length];
    while !der.is_empty() {
        let (start, length) = split(der);
        found.push(der[start..start + length].to_vec());
        der = &der[start + length..];
    }
    found
}

fn pem_of(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

#[test]
fn ec_keys_sign_in_pkcs8_sec1_and_jwk() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let point = pair.public_key_raw();
    let public = DecodingKey::from_ec_der(point);
    let sec1 = elements(&pair.serialize_der())[2].clone();
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let d = elements(&sec1)[1].clone();
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "d": encoded(&d), "x": encoded(&point[1..33]), "y": encoded(&point[33..])});
    // The curve is not always named within the key itself: then nothing tells which it is.
    let mut named = integer(&[1]);
    named.extend(tagged(0x04, &d));
    named.extend(tagged(0xa0, &tagged(0x06, OID_P256)));
    named.extend(tagged(0xa1, &tagged(0x03, &[&[0][..], point].concat())));
    for text in [
        pair.serialize_pem(),
        pem_of("EC PRIVATE KEY", &sequence(&named)),
        jwk.to_string(),
    ] {
        let key = SigningKey::read(&text, None).unwrap();
        let claims = verified(&key, &public);
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("0oaclient"), &json!("0oaclient"))
        );
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            300
        );
        assert_ne!(claims["jti"], verified(&key, &public)["jti"]);
    }
    assert_eq!(
        SigningKey::read(&jwk.to_string(), None)
            .unwrap()
            .key_id
            .as_deref(),
        Some("k1")
    );
    assert_eq!(
        SigningKey::read(&jwk.to_string(), Some("k2"))
            .unwrap()
            .key_id
            .as_deref(),
        Some("k2")
    );
}

#[test]
fn rsa_keys_sign_in_pkcs8_pkcs1_and_jwk() {
    let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .unwrap();
    let pkcs1 = elements(&pair.serialize_der())[2].clone();
    let parts = elements(&pkcs1);
    let encoded = |at: usize| {
        let digits: Vec<u8> = parts[at]
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect();
        URL_SAFE_NO_PAD.encode(digits)
    };
    let public = DecodingKey::from_rsa_components(&encoded(1), &encoded(2)).unwrap();
    let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    let mut jwk = json!({"kty": "RSA", "alg": "RS256"});
    for (at, name) in (1..).zip(names) {
        jwk[name] = json!(encoded(at));
    }
    for text in [
        pair.serialize_pem(),
        pem_of("RSA PRIVATE KEY", &pkcs1),
        jwk.to_string(),
    ] {
        let key = SigningKey::read(&text, Some("kid")).unwrap();
        assert_eq!(verified(&key, &public)["aud"], AUDIENCE);
    }
}

#[test]
fn what_is_no_private_key_is_refused_without_showing_it() {
    for bad in [
        "",
        "s3cret",
        "{\"kty\":\"RSA\",\"n\":\"s3cret\"}",
        "{s3cret",
        "{\"kty\":\"oct\",\"k\":\"s3cret\"}",
        "-----BEGIN PUBLIC KEY-----\ns3cret\n-----END PUBLIC KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nczNjcmV0\n-----END ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nczNjcmV0\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----",
    ] {
        let Err(error) = SigningKey::read(bad, None) else {
            panic!("{bad} was taken")
        };
        assert_eq!(error.code(), "invalid_private_key");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
