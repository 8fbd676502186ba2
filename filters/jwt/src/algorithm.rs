//! The algorithms that a token may be signed with.

use serde::de::{self, Deserialize, Deserializer};

/// An algorithm by its name in the header of a token. `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

/// What a provider accepts unless it says otherwise: signatures that only the provider can make, and that are checked well
/// within a hook's 5 ms. An HMAC is made and checked with the same key, so that whoever reads it could make tokens; ES384 takes
/// longer than a hook has without a word. Both must be asked for.
pub const DEFAULT: [Algorithm; 8] = [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, EdDsa];

const NAMES: [(&str, Algorithm); 13] = [
    ("RS256", Rs256),
    ("RS384", Rs384),
    ("RS512", Rs512),
    ("PS256", Ps256),
    ("PS384", Ps384),
    ("PS512", Ps512),
    ("ES256", Es256),
    ("ES384", Es384),
    ("EdDSA", EdDsa),
    // The name that RFC 9864 gives it.
    ("Ed25519", EdDsa),
    ("HS256", Hs256),
    ("HS384", Hs384),
    ("HS512", Hs512),
];

impl Algorithm {
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Algorithm::named(&name).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            de::Error::custom(format!("expected one of {}, found \"{name}\"", known.join(", ")))
        })
    }
}
