//! Keys, and what is signed with them.

use ed25519_dalek::Signature as EdSignature;
use ed25519_dalek::VerifyingKey as EdKey;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::algorithm::Algorithm;

/// A key that signatures are checked with. Its kind says which algorithms it is for, never the token: an RSA key is no secret
/// for an HMAC, whatever a token asks for.
#[derive(Debug, Clone)]
pub struct Key {
    /// The name by which tokens speak of it.
    pub id: Option<String>,
    /// The only algorithm that it may be used with; none: each that its kind is for.
    pub only: Option<Algorithm>,
    pub material: Material,
}

#[derive(Clone)]
pub enum Material {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(EdKey),
    Secret(Vec<u8>),
}

/// A secret is never shown.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Material::Rsa(_) => "Rsa",
            Material::P256(_) => "P256",
            Material::P384(_) => "P384",
            Material::Ed25519(_) => "Ed25519",
            Material::Secret(_) => "Secret",
        })
    }
}

impl Key {
    /// Whether a signature of this algorithm can be checked with it.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let kind = match &self.material {
            Material::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Material::P256(_) => algorithm == Es256,
            Material::P384(_) => algorithm == Es384,
            Material::Ed25519(_) => algorithm == EdDsa,
            // RFC 7518, 3.2: a key at least as long as the hash.
            Material::Secret(secret) => match algorithm {
                Hs256 => secret.len() >= 32,
                Hs384 => secret.len() >= 48,
                Hs512 => secret.len() >= 64,
                _ => false,
            },
        };
        kind && self.only.is_none_or(|only| only == algorithm)
    }

    /// What a check costs in Wasm on a machine of today, in microseconds (README.md has the measure): RSA by the square of its
    /// length.
    pub fn cost_us(&self) -> u64 {
        match &self.material {
            Material::Rsa(key) => (key.size() as u64 * key.size() as u64) / 110,
            Material::P256(_) => 900,
            Material::P384(_) => 4500,
            Material::Ed25519(_) => 120,
            Material::Secret(_) => 5,
        }
    }

    /// Whether this is the algorithm's signature of the text, made with the other half of this key.
    pub fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa(key) => rsa(key, algorithm, signed, signature),
            Material::P256(key) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| key.verify(signed, &signature).is_ok())
            }
            Material::P384(key) => {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| key.verify(signed, &signature).is_ok())
            }
            // The strict check: no signature has a second form, no key is a weak one.
            Material::Ed25519(key) => {
                EdSignature::from_slice(signature).is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok())
            }
            Material::Secret(secret) => match algorithm {
                Algorithm::Hs256 => same::<Hmac<Sha256>>(secret, signed, signature),
                Algorithm::Hs384 => same::<Hmac<Sha384>>(secret, signed, signature),
                Algorithm::Hs512 => same::<Hmac<Sha512>>(secret, signed, signature),
                _ => false,
            },
        }
    }
}

fn rsa(key: &RsaPublicKey, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
    let checked = match algorithm {
        Algorithm::Rs256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(signed), signature),
        Algorithm::Rs384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(signed), signature),
        Algorithm::Rs512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(signed), signature),
        // RFC 7518, 3.5: the salt is as long as the hash.
        Algorithm::Ps256 => key.verify(Pss::<Sha256>::new(), &Sha256::digest(signed), signature),
        Algorithm::Ps384 => key.verify(Pss::<Sha384>::new(), &Sha384::digest(signed), signature),
        Algorithm::Ps512 => key.verify(Pss::<Sha512>::new(), &Sha512::digest(signed), signature),
        _ => return false,
    };
    checked.is_ok()
}

/// Compares in a time that does not depend on where the two differ.
fn same<M: Mac + KeyInit>(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(signed).verify_slice(signature).is_ok())
}
