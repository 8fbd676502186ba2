//! JSON Web Keys (RFC 7517), one and sets of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::{BoxedUint, RsaPublicKey};
use serde::Deserialize;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::key::{Key, Material};

/// A set of more keys would rather be a mistake, and a token without a key's name could be tried with all of them.
pub const KEYS_MAX: usize = 100;

/// A shorter RSA key is none (RFC 7518, 3.3); a longer one takes too much of a hook's CPU time.
pub const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=4096;

/// One key as JSON has it, which may be a secret and is never shown. Members that are not known are ignored, as the RFC wants it.
#[derive(Clone, Deserialize)]
pub struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// Why a key is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// It is for something else than checking signatures, or of a kind that is not known: a set may well have such.
    Other(String),
    /// It says that it is for this and is not.
    Broken(String),
}

/// The keys of a set that can be used, and what is said of the others. No text at all is an empty set: that is what
/// `tamis check` has in the place of what would be fetched.
pub fn set(text: &[u8]) -> Result<(Vec<Key>, Vec<String>), String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }

    if text.trim_ascii().is_empty() {
        return Ok((Vec::new(), vec!["the set is empty".to_owned()]));
    }
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("expected a JSON Web Key Set, found {error}"))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("expected at most {KEYS_MAX} keys, found {}", set.keys.len()));
    }
    let (mut keys, mut left_out) = (Vec::new(), Vec::new());
    for (position, key) in set.keys.into_iter().enumerate() {
        let read = Jwk::deserialize(key).map_err(|error| Unusable::Broken(error.to_string()));
        match read.and_then(Key::try_from) {
            Ok(key) => keys.push(key),
            Err(Unusable::Other(why) | Unusable::Broken(why)) => left_out.push(format!("keys[{position}]: {why}")),
        }
    }
    Ok((keys, left_out))
}

impl TryFrom<Jwk> for Key {
    type Error = Unusable;

    fn try_from(jwk: Jwk) -> Result<Self, Unusable> {
        if let Some(purpose) = jwk.purpose.as_ref().filter(|purpose| *purpose != "sig") {
            return Err(Unusable::Other(format!("expected `use` to be \"sig\", found \"{purpose}\"")));
        }
        if let Some(operations) = jwk.key_ops.as_ref().filter(|operations| !operations.iter().any(|word| word == "verify")) {
            return Err(Unusable::Other(format!("expected `key_ops` with \"verify\", found {operations:?}")));
        }
        let only = match &jwk.alg {
            Some(name) => {
                let other = || Unusable::Other(format!("expected an algorithm of signatures, found `alg` \"{name}\""));
                Some(Algorithm::named(name).ok_or_else(other)?)
            }
            None => None,
        };
        let key = Key { id: jwk.kid.clone(), only, material: jwk.material()? };
        match only {
            Some(only) if !key.fits(only) => {
                let alg = jwk.alg.unwrap_or_default();
                Err(Unusable::Broken(format!("expected a key for the `alg` \"{alg}\", found one of another kind or too short")))
            }
            _ => Ok(key),
        }
    }
}

impl Jwk {
    fn material(&self) -> Result<Material, Unusable> {
        let curve = self.crv.as_deref().unwrap_or_default();
        match (self.kty.as_str(), curve) {
            ("RSA", _) => self.rsa().map(Material::Rsa),
            ("EC", "P-256") => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&self.point::<32>()?);
                key.map(Material::P256).map_err(|_| not_on("P-256"))
            }
            ("EC", "P-384") => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&self.point::<48>()?);
                key.map(Material::P384).map_err(|_| not_on("P-384"))
            }
            ("OKP", "Ed25519") => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&coordinate::<32>("x", &self.x)?);
                let key = key.ok().filter(|key| !key.is_weak());
                key.map(Material::Ed25519).ok_or_else(|| not_on("Ed25519"))
            }
            ("oct", _) => Ok(Material::Secret(bytes("k", &self.k)?)),
            ("EC" | "OKP", curve) => {
                Err(Unusable::Other(format!("expected P-256, P-384 or Ed25519, found the curve \"{curve}\"")))
            }
            (kind, _) => Err(Unusable::Other(format!("expected `kty` RSA, EC, OKP or oct, found \"{kind}\""))),
        }
    }

    fn rsa(&self) -> Result<RsaPublicKey, Unusable> {
        let modulus = BoxedUint::from_be_slice_vartime(&bytes("n", &self.n)?);
        let exponent = BoxedUint::from_be_slice_vartime(&bytes("e", &self.e)?);
        let bits = modulus.bits_vartime();
        if !RSA_BITS.contains(&bits) {
            let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
            return Err(Unusable::Broken(format!("expected an RSA key of {least} to {most} bits, found {bits}")));
        }
        RsaPublicKey::new(modulus, exponent).map_err(|error| Unusable::Broken(format!("expected an RSA key, found: {error}")))
    }

    /// A point in the form of SEC 1, uncompressed.
    fn point<const N: usize>(&self) -> Result<Vec<u8>, Unusable> {
        let mut point = vec![4];
        point.extend(coordinate::<N>("x", &self.x)?);
        point.extend(coordinate::<N>("y", &self.y)?);
        Ok(point)
    }
}

fn not_on(curve: &str) -> Unusable {
    Unusable::Broken(format!("expected a point of {curve}, found another one"))
}

fn coordinate<const N: usize>(name: &str, text: &Option<String>) -> Result<[u8; N], Unusable> {
    let bytes = bytes(name, text)?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| Unusable::Broken(format!("expected `{name}` of {N} bytes, found {found}")))
}

fn bytes(name: &str, text: &Option<String>) -> Result<Vec<u8>, Unusable> {
    let Some(text) = text else { return Err(Unusable::Broken(format!("missing member `{name}`"))) };
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    bytes.map_err(|_| Unusable::Broken(format!("expected `{name}` in base64url, found something else")))
}
