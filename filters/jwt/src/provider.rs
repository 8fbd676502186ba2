//! Who issues tokens, and what is asked of them.

use tamis_sdk::{ConfigError, Setup, log};

use crate::algorithm::{self, Algorithm};
use crate::claims::{Claims, Path, among, seconds, text};
use crate::config;
use crate::jwk;
use crate::key::{Key, Material};
use crate::refusal::Refusal;
use crate::source::Source;
use crate::token::Token;

/// A token that does not name its key may be of any of several. So much is tried, in microseconds of the five milliseconds that
/// a hook has, and one key in any case.
const TRIES_US_MAX: u64 = 3000;

#[derive(Debug)]
pub struct Provider {
    pub name: String,
    pub from: Vec<Source>,
    pub forward: bool,
    /// Names of notes and of fields, and the claims that they are for.
    pub notes: Vec<(String, Path)>,
    pub headers: Vec<(String, Path)>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    keys: Vec<Key>,
    leeway: f64,
    needs_expiry: bool,
    age_max: Option<f64>,
    kinds: Vec<String>,
    pub token_bytes_max: usize,
}

/// What remains of a token that was verified.
#[derive(Debug)]
pub struct Verified {
    /// Seconds since the epoch at which its time is over.
    pub until: f64,
    /// In the order of the provider's.
    pub notes: Vec<Option<String>>,
    pub headers: Vec<Option<String>>,
    /// For each rule, why a request with this token is refused.
    pub refused: Vec<Option<Refusal>>,
}

impl Provider {
    /// Paths of errors are relative to the provider.
    pub fn build(name: String, config: config::Provider, setup: &Setup) -> Result<Self, ConfigError> {
        let keys = keys(&name, &config, setup)?;
        let algorithms = match config.algorithms.0.is_empty() {
            true => algorithm::DEFAULT.to_vec(),
            false => config.algorithms.0,
        };
        // The secret is the last of the keys.
        let secret = keys.last().filter(|_| config.secret.is_some());
        if secret.is_some_and(|secret| !algorithms.iter().any(|algorithm| secret.fits(*algorithm))) {
            let why = "expected a secret of at least 32 bytes for HS256, 48 for HS384 or 64 for HS512, one of them among the \
                       `algorithms`, found one that can verify nothing";
            return Err(ConfigError::at("secret.input", why));
        }
        if config.token_bytes_max == 0 {
            return Err(ConfigError::at("token-bytes-max", "expected at least 1, found 0"));
        }
        let from = if config.from.0.is_empty() { vec![Source::Bearer] } else { config.from.0 };
        Ok(Provider {
            name,
            from,
            forward: config.forward,
            notes: config.notes.into_iter().collect(),
            headers: config.headers.into_iter().map(|(name, path)| (name.0, path)).collect(),
            issuers: config.issuer.0,
            audiences: config.audience.0,
            algorithms,
            keys,
            leeway: config.leeway.as_secs_f64(),
            needs_expiry: config.needs_expiry,
            age_max: config.age_max.map(|age| age.as_secs_f64()),
            kinds: config.kind.0.iter().map(|kind| media_type(kind)).collect(),
            token_bytes_max: config.token_bytes_max,
        })
    }

    /// What the token claims, if it is good at this time. What is cheap to see is looked at first; the signature comes last, and
    /// nothing of the token is used before.
    pub fn verify(&self, text: &str, now: f64) -> Result<(Claims, f64), Refusal> {
        let token = Token::parse(text)?;
        if !self.algorithms.contains(&token.algorithm) {
            return Err(Refusal::Algorithm);
        }
        if !self.kinds.is_empty() && !token.kind.as_deref().is_some_and(|kind| self.kinds.contains(&media_type(kind))) {
            return Err(Refusal::Type);
        }
        self.issued_here(&token.claims)?;
        let until = self.until(&token.claims, now)?;
        self.signed(&token)?;
        Ok((token.claims, until))
    }

    /// What is kept of the claims of a token.
    pub fn kept(&self, claims: &Claims, until: f64, refused: Vec<Option<Refusal>>) -> Verified {
        let values = |list: &[(String, Path)]| list.iter().map(|(_, path)| path.find(claims).and_then(text)).collect();
        Verified { until, notes: values(&self.notes), headers: values(&self.headers), refused }
    }

    fn issued_here(&self, claims: &Claims) -> Result<(), Refusal> {
        let issuer = claims.get("iss").and_then(|issuer| issuer.as_str());
        if !self.issuers.is_empty() && !issuer.is_some_and(|issuer| self.issuers.iter().any(|known| known == issuer)) {
            return Err(Refusal::Issuer);
        }
        let for_us = |known: &String| match claims.get("aud") {
            Some(serde_json::Value::String(audience)) => audience == known,
            Some(list @ serde_json::Value::Array(_)) => among(list, known),
            _ => false,
        };
        match self.audiences.is_empty() || self.audiences.iter().any(for_us) {
            true => Ok(()),
            false => Err(Refusal::Audience),
        }
    }

    /// Until when the token is good, leeway included.
    fn until(&self, claims: &Claims, now: f64) -> Result<f64, Refusal> {
        let time = |name: &str| seconds(claims, name).map_err(|()| Refusal::Malformed);
        let (expires, begins, issued) = (time("exp")?, time("nbf")?, time("iat")?);
        if expires.is_none() && self.needs_expiry {
            return Err(Refusal::NoExpiry);
        }
        let expires = expires.map_or(f64::INFINITY, |expires| expires + self.leeway);
        if now >= expires {
            return Err(Refusal::Expired);
        }
        if [begins, issued].into_iter().flatten().any(|from| now + self.leeway < from) {
            return Err(Refusal::NotYet);
        }
        let Some(age_max) = self.age_max else { return Ok(expires) };
        let old = issued.map(|issued| issued + age_max + self.leeway).filter(|old| now < *old).ok_or(Refusal::TooOld)?;
        Ok(expires.min(old))
    }

    fn signed(&self, token: &Token<'_>) -> Result<(), Refusal> {
        let fits = |key: &&Key| key.fits(token.algorithm);
        let named = |key: &&Key| key.id.is_some() && key.id == token.key_id;
        // A key without a name may be the one that the token speaks of; a token that names none may be of any key.
        let unnamed = |key: &&Key| key.id.is_none() || token.key_id.is_none();
        let (mut left, mut tried) = (TRIES_US_MAX, false);
        let candidates = |which: &dyn Fn(&&Key) -> bool| self.keys.iter().filter(fits).filter(which).collect::<Vec<_>>();
        let mut keys = candidates(&named);
        if keys.is_empty() {
            keys = candidates(&unnamed);
        }
        for key in keys {
            if tried && key.cost_us() > left {
                break;
            }
            (left, tried) = (left.saturating_sub(key.cost_us()), true);
            if key.verifies(token.algorithm, token.signed, &token.signature) {
                return Ok(());
            }
        }
        Err(if tried { Refusal::Signature } else { Refusal::UnknownKey })
    }
}

/// RFC 7515, 4.1.9: `application/` may be left out, and case makes no difference.
fn media_type(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix("application/").unwrap_or(&kind).to_owned()
}

fn keys(name: &str, config: &config::Provider, setup: &Setup) -> Result<Vec<Key>, ConfigError> {
    if config.jwks.is_none() && config.keys.is_empty() && config.secret.is_none() {
        return Err(ConfigError::new("expected one of `jwks`, `keys` and `secret`, found none"));
    }
    let input = |key: &str, input: &str| {
        let content = setup.input(input);
        content.ok_or_else(|| {
            ConfigError::at(key, format!("expected an input of the filter, found \"{input}\", which it does not have"))
        })
    };
    let mut keys = Vec::new();
    for (position, key) in config.keys.iter().enumerate() {
        let at = || format!("keys[{position}]");
        match Key::try_from(key.clone()) {
            Ok(key) => keys.push(key),
            Err(jwk::Unusable::Other(why) | jwk::Unusable::Broken(why)) => return Err(ConfigError::at(at(), why)),
        }
    }
    if let Some(set) = &config.jwks {
        let (found, left_out) = jwk::set(input("jwks", set)?).map_err(|why| ConfigError::at("jwks", why))?;
        for why in left_out {
            log::warn!("a key of the provider `{name}` is left out: {why}");
        }
        keys.extend(found);
    }
    if let Some(secret) = &config.secret {
        let material = input("secret.input", &secret.input)?.trim_ascii_end().to_vec();
        keys.push(Key { id: secret.kid.clone(), only: None, material: Material::Secret(material) });
    }
    Ok(keys)
}
