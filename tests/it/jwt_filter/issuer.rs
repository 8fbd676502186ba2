//! Signs tokens with another library than the filter verifies them with.

use std::time::SystemTime;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// An hour's worth of claims.
pub fn claims(issuer: &str, subject: &str) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    json!({ "iss": issuer, "sub": subject, "iat": now, "exp": now + 3600 })
}

pub fn token(header: Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", base64url(&signature))
}

pub struct Rsa(RsaKey);

impl Rsa {
    pub fn generate() -> Self {
        Rsa(RsaKey::generate(KeySize::Rsa2048).unwrap())
    }

    /// As DER has it.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    pub fn jwk(&self, name: &str) -> Value {
        // SEQUENCE { INTEGER of 257 bytes, the first of them zero; INTEGER 65537 }
        let modulus = self.public()[9..265].to_vec();
        json!({ "kty": "RSA", "kid": name, "n": base64url(&modulus), "e": "AQAB" })
    }

    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.with(&signature::RSA_PKCS1_SHA256, text)
    }

    pub fn sign_pss(&self, text: &[u8]) -> Vec<u8> {
        self.with(&signature::RSA_PSS_SHA256, text)
    }

    fn with(&self, padding: &'static dyn signature::RsaEncoding, text: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(padding, &SystemRandom::new(), text, &mut signature).unwrap();
        signature
    }
}

pub struct Ecdsa(EcdsaKeyPair);

impl Ecdsa {
    pub fn generate() -> Self {
        Ecdsa(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn jwk(&self, name: &str) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": name, "use": "sig", "x": base64url(&point[1..33]), "y": base64url(&point[33..]) })
    }

    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()
    }
}

pub struct Hmac(hmac::Key);

impl Hmac {
    pub fn new(secret: &[u8]) -> Self {
        Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, text).as_ref().to_vec()
    }
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        text.extend((0..=group.len()).map(|letter| char::from(LETTERS[(bits >> (18 - 6 * letter)) as usize & 63])));
    }
    text
}
