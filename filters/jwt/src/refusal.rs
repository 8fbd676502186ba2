//! Why a request is refused, and what the client is told (RFC 6750).

use tamis_sdk::prelude::*;

/// What gRPC calls "unauthenticated", "permission denied" and "invalid argument".
const GRPC_UNAUTHENTICATED: u32 = 16;
const GRPC_PERMISSION_DENIED: u32 = 7;
const GRPC_INVALID_ARGUMENT: u32 = 3;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Missing,
    SeveralTokens,
    TooLong,
    Malformed,
    Algorithm,
    Critical,
    Type,
    UnknownKey,
    Signature,
    Issuer,
    Audience,
    NoExpiry,
    Expired,
    NotYet,
    TooOld,
    /// The scopes that are missing, with spaces between them.
    Scope(String),
    Claims,
}

/// The kinds of answers that there are for them.
enum Kind {
    Missing,
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl Refusal {
    /// One word for notes and metrics.
    pub fn word(&self) -> &'static str {
        self.told().0
    }

    fn told(&self) -> (&'static str, Kind, &'static str) {
        match self {
            Refusal::Missing => ("missing", Kind::Missing, "a token is needed"),
            Refusal::SeveralTokens => ("several-tokens", Kind::InvalidRequest, "expected one token, found several"),
            Refusal::TooLong => ("too-long", Kind::InvalidToken, "the token is too long"),
            Refusal::Malformed => ("malformed", Kind::InvalidToken, "the token is not a signed JSON Web Token"),
            Refusal::Algorithm => ("algorithm", Kind::InvalidToken, "the token is signed with an algorithm that is not accepted"),
            Refusal::Critical => ("critical", Kind::InvalidToken, "the token asks for extensions that are not understood"),
            Refusal::Type => ("type", Kind::InvalidToken, "the token is of a type that is not accepted"),
            Refusal::UnknownKey => ("unknown-key", Kind::InvalidToken, "the token is signed with a key that is not known"),
            Refusal::Signature => ("signature", Kind::InvalidToken, "the signature of the token is wrong"),
            Refusal::Issuer => ("issuer", Kind::InvalidToken, "the token is from an issuer that is not accepted"),
            Refusal::Audience => ("audience", Kind::InvalidToken, "the token is for another audience"),
            Refusal::NoExpiry => ("no-expiry", Kind::InvalidToken, "the token does not say when it expires"),
            Refusal::Expired => ("expired", Kind::InvalidToken, "the token has expired"),
            Refusal::NotYet => ("not-yet", Kind::InvalidToken, "the token is not valid yet"),
            Refusal::TooOld => ("too-old", Kind::InvalidToken, "the token was issued too long ago"),
            Refusal::Scope(_) => ("scope", Kind::InsufficientScope, "the token does not have the scope that is needed"),
            Refusal::Claims => ("claims", Kind::InsufficientScope, "the token does not have the claims that are needed"),
        }
    }

    /// The answer. What it says is fixed text: nothing of the token comes back.
    pub fn reply(&self, realm: Option<&str>, grpc: bool) -> Reply {
        let (_, kind, text) = self.told();
        let (status, code, error) = match kind {
            Kind::Missing => (StatusCode::UNAUTHORIZED, GRPC_UNAUTHENTICATED, None),
            Kind::InvalidRequest => (StatusCode::BAD_REQUEST, GRPC_INVALID_ARGUMENT, Some("invalid_request")),
            Kind::InvalidToken => (StatusCode::UNAUTHORIZED, GRPC_UNAUTHENTICATED, Some("invalid_token")),
            Kind::InsufficientScope => (StatusCode::FORBIDDEN, GRPC_PERMISSION_DENIED, Some("insufficient_scope")),
        };
        if grpc {
            return Reply::grpc(code, text);
        }
        let mut attributes: Vec<String> = realm.map(|realm| format!("realm=\"{realm}\"")).into_iter().collect();
        if let Some(error) = error {
            attributes.push(format!("error=\"{error}\", error_description=\"{text}\""));
        }
        if let Refusal::Scope(missing) = self {
            attributes.push(format!("scope=\"{missing}\""));
        }
        let challenge = format!("Bearer {}", attributes.join(", "));
        Reply::new(status).header("www-authenticate", challenge.trim_end()).text(&format!("{text}\n"))
    }
}
