//! What a token says, before anybody has verified it (RFC 7515, 7519).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::refusal::Refusal;

/// A token taken apart. Nothing in it is to be believed until its signature is verified.
#[derive(Debug)]
pub struct Token<'a> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    pub kind: Option<String>,
    pub claims: Map<String, Value>,
    /// What is signed: header and claims as they came.
    pub signed: &'a [u8],
    pub signature: Vec<u8>,
}

/// The members that matter. A member that occurs twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

impl<'a> Token<'a> {
    /// Three parts in base64url: an encrypted token has five, one without signature has two.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(Refusal::Malformed)?;
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Refusal::Malformed)?;
        // An extension that must be understood, and none is (RFC 7515, 4.1.11); `b64` changes what is signed (RFC 7797).
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Refusal::Critical);
        }
        let algorithm = Algorithm::named(&header.alg).ok_or(Refusal::Algorithm)?;
        let claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| Refusal::Malformed)?;
        let signature = decoded(signature)?;
        Ok(Token { algorithm, key_id: header.kid, kind: header.typ, claims, signed: signed.as_bytes(), signature })
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}
