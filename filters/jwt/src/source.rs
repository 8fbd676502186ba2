//! Where in a request a token stands.

use matching::change::Name;
use matching::value;
use tamis_sdk::prelude::*;

use crate::refusal::Refusal;

/// One place that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// `authorization: Bearer …`.
    Bearer,
    Header(Header),
    Cookie(String),
    Query(String),
}

/// A field whose value is the token, behind a prefix if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    pub name: Name,
    #[serde(default)]
    pub prefix: String,
}

const AUTHORIZATION: &str = "authorization";

impl Source {
    /// The token that stands there. Several of them are a mistake: whoever comes later may read another one than this.
    pub fn find(&self, request: &Request) -> Result<Option<String>, Refusal> {
        let mut found = match self {
            Source::Bearer => prefixed(request, AUTHORIZATION, "bearer "),
            Source::Header(header) => prefixed(request, &header.name.0, &header.prefix),
            Source::Cookie(name) => cookies(request).into_iter().filter_map(|cookie| pair(&cookie, name)).collect(),
            Source::Query(name) => {
                let query = request.query().unwrap_or_default();
                value::parameters(&query, name).map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
            }
        };
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(Refusal::SeveralTokens),
        }
    }

    /// Takes the token out of the request, and leaves what else is there.
    pub fn strip(&self, request: &mut Request) {
        match self {
            Source::Bearer => strip_header(request, AUTHORIZATION, "bearer "),
            Source::Header(header) => strip_header(request, &header.name.0, &header.prefix),
            Source::Cookie(name) => {
                let all = cookies(request);
                let kept: Vec<&str> = all.iter().map(String::as_str).filter(|cookie| pair(cookie, name).is_none()).collect();
                match (kept.len() == all.len(), kept.is_empty()) {
                    (true, _) => {}
                    (false, true) => request.remove_header("cookie"),
                    (false, false) => told(request.set_header("cookie", kept.join("; "))),
                }
            }
            Source::Query(name) => {
                let Some(query) = request.query() else { return };
                let kept: Vec<&str> = query.split('&').filter(|part| value::parameters(part, name).next().is_none()).collect();
                let path = request.path();
                let target = if kept.is_empty() { path } else { format!("{path}?{}", kept.join("&")) };
                told(request.set_target(&target));
            }
        }
    }
}

fn told(result: Result<(), Refused>) {
    if let Err(why) = result {
        log::warn!("the token stays in the request: {why}");
    }
}

/// Each value that begins with the prefix, in any case, without it.
fn prefixed(request: &Request, name: &str, prefix: &str) -> Vec<String> {
    request.headers(name).iter().filter_map(|value| behind(value, prefix)).collect()
}

fn behind(value: &HeaderValue, prefix: &str) -> Option<String> {
    let (head, token) = value.as_bytes().split_at_checked(prefix.len())?;
    let token = head.eq_ignore_ascii_case(prefix.as_bytes()).then_some(token.trim_ascii())?;
    // What is no text is no token either, and must be refused, not overlooked.
    Some(String::from_utf8_lossy(token).into_owned())
}

fn strip_header(request: &mut Request, name: &str, prefix: &str) {
    let values = request.headers(name);
    let kept: Vec<&HeaderValue> = values.iter().filter(|value| behind(value, prefix).is_none()).collect();
    if kept.len() == values.len() {
        return;
    }
    request.remove_header(name);
    for value in kept {
        told(request.add_header(name, value));
    }
}

fn cookies(request: &Request) -> Vec<String> {
    let lines = request.headers("cookie");
    let texts: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect();
    texts.iter().flat_map(|line| line.split(';')).map(|cookie| cookie.trim().to_owned()).collect()
}

/// The value of `name=value`.
fn pair(text: &str, name: &str) -> Option<String> {
    text.split_once('=').filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}
