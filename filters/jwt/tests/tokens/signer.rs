//! Signs tokens, as an issuer would.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::SignatureEncoding;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use rsa::{BoxedUint, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Issues tokens with a key of each kind; each key has a name.
pub struct Issuer {
    rsa: RsaPrivateKey,
    p256: p256::ecdsa::SigningKey,
    p384: p384::ecdsa::SigningKey,
    ed25519: ed25519_dalek::SigningKey,
    secret: [u8; 64],
}

impl Issuer {
    /// Another seed, other keys; the RSA key is the one of RFC 7515, A.2, because making one takes long.
    pub fn new(seed: u8) -> Self {
        let rsa: Value = serde_json::from_str(include_str!("../rsa.json")).unwrap();
        let number = |name: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(rsa[name].as_str().unwrap()).unwrap();
            BoxedUint::from_be_slice_vartime(&bytes)
        };
        let primes = vec![number("p"), number("q")];
        Issuer {
            rsa: RsaPrivateKey::from_components(number("n"), number("e"), number("d"), primes).unwrap(),
            p256: p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap(),
            p384: p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap(),
            ed25519: ed25519_dalek::SigningKey::from_bytes(&[seed; 32]),
            secret: [seed; 64],
        }
    }

    /// The key for an algorithm, as JSON has it; its name is the algorithm's.
    pub fn jwk(&self, algorithm: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &algorithm[..2] {
            "RS" | "PS" => {
                let rsa: Value = serde_json::from_str(include_str!("../rsa.json")).unwrap();
                json!({ "kty": "RSA", "n": rsa["n"], "e": rsa["e"] })
            }
            "ES" => {
                let point = match algorithm {
                    "ES256" => self.p256.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
                    _ => self.p384.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
                };
                let (x, y) = point[1..].split_at((point.len() - 1) / 2);
                let curve = if algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
            }
            "Ed" => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(self.ed25519.verifying_key().as_bytes()) }),
            _ => json!({ "kty": "oct", "k": text(&self.secret) }),
        };
        key["kid"] = json!(algorithm);
        key
    }

    /// A token with these claims, whose header names the key.
    pub fn token(&self, algorithm: &str, claims: Value) -> String {
        self.with_header(json!({ "alg": algorithm, "kid": algorithm, "typ": "JWT" }), algorithm, claims)
    }

    /// A token with this header, whatever it is signed with.
    pub fn with_header(&self, header: Value, algorithm: &str, claims: Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let rsa = || self.rsa.clone();
        match algorithm {
            "RS256" => rsa::pkcs1v15::SigningKey::<Sha256>::new(rsa()).sign(text).to_vec(),
            "RS384" => rsa::pkcs1v15::SigningKey::<Sha384>::new(rsa()).sign(text).to_vec(),
            "RS512" => rsa::pkcs1v15::SigningKey::<Sha512>::new(rsa()).sign(text).to_vec(),
            "PS256" => rsa::pss::SigningKey::<Sha256>::new(rsa()).sign_prehash(&Sha256::digest(text)).unwrap().to_vec(),
            "PS384" => rsa::pss::SigningKey::<Sha384>::new(rsa()).sign_prehash(&Sha384::digest(text)).unwrap().to_vec(),
            "PS512" => rsa::pss::SigningKey::<Sha512>::new(rsa()).sign_prehash(&Sha512::digest(text)).unwrap().to_vec(),
            "ES256" => {
                let signature: p256::ecdsa::Signature = self.p256.sign(text);
                signature.to_vec()
            }
            "ES384" => {
                let signature: p384::ecdsa::Signature = self.p384.sign(text);
                signature.to_vec()
            }
            "EdDSA" => self.ed25519.sign(text).to_vec(),
            "HS256" => self.mac::<Hmac<Sha256>>(text),
            "HS384" => self.mac::<Hmac<Sha384>>(text),
            "HS512" => self.mac::<Hmac<Sha512>>(text),
            other => panic!("nobody signs with {other}"),
        }
    }

    fn mac<M: Mac + KeyInit>(&self, text: &[u8]) -> Vec<u8> {
        <M as KeyInit>::new_from_slice(&self.secret).unwrap().chain_update(text).finalize().into_bytes().to_vec()
    }
}
