//! One rule: whose bodies, and what is done to them.

use matching::Matcher;
use regex::bytes::{Regex, RegexBuilder};
use tamis_sdk::prelude::*;

use crate::config::{self, MediaType, Message, OnUnfit};
use crate::literals::{Literals, Stream};

/// What is longer is a text of its own, not a word in one.
const FIND_BYTES_MAX: usize = 1024;
const WITH_BYTES_MAX: usize = 1024;
/// Each expression reads the whole body once.
const REPLACEMENTS_MAX: usize = 100;
/// Compiled, and what it remembers while it runs: of an instance's 16 MiB.
const REGEX_BYTES_MAX: usize = 1024 * 1024;
/// `read_body` of the proxy gives no more.
const BODY_BYTES: std::ops::RangeInclusive<u32> = 1..=16 * 1024 * 1024;

#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub of: Message,
    pub literals: Literals,
    pub body_bytes_max: u32,
    pub count_max: usize,
    pub on_compressed: OnUnfit,
    pub on_too_large: OnUnfit,
    pub ask_for_plain: bool,
    matches: Matcher,
    types: Vec<MediaType>,
    expressions: Vec<(Regex, Vec<u8>)>,
}

impl Rule {
    /// Paths of errors are relative to the rule.
    pub fn build(position: usize, rule: config::Rule) -> Result<Self, ConfigError> {
        let count = rule.replace.0.len();
        if !(1..=REPLACEMENTS_MAX).contains(&count) {
            return Err(ConfigError::at("replace", format!("expected 1 to {REPLACEMENTS_MAX}, found {count}")));
        }
        if !BODY_BYTES.contains(&rule.body_bytes_max) {
            let why = format!("expected {} to {}, found {}", BODY_BYTES.start(), BODY_BYTES.end(), rule.body_bytes_max);
            return Err(ConfigError::at("body-bytes-max", why));
        }
        let (mut literals, mut expressions) = (Vec::new(), Vec::new());
        for (position, replacement) in rule.replace.0.into_iter().enumerate() {
            let at = |key: &str, why: String| ConfigError::at(format_args!("replace[{position}]{key}"), why);
            if replacement.with.len() > WITH_BYTES_MAX {
                return Err(at(".with", format!("expected at most {WITH_BYTES_MAX} bytes, found {}", replacement.with.len())));
            }
            match (replacement.find, replacement.regex) {
                (Some(find), None) if (1..=FIND_BYTES_MAX).contains(&find.len()) => literals.push((find, replacement.with)),
                (Some(find), None) => {
                    return Err(at(".find", format!("expected 1 to {FIND_BYTES_MAX} bytes, found {}", find.len())));
                }
                (None, Some(regex)) => {
                    let regex = expression(&regex, rule.ignore_case).map_err(|why| at(".regex", why))?;
                    expressions.push((regex, replacement.with.into_bytes()));
                }
                (found, _) => {
                    let found = if found.is_some() { "both" } else { "neither" };
                    return Err(at("", format!("expected one of `find` and `regex`, found {found}")));
                }
            }
        }
        Ok(Rule {
            name: rule.name.map_or_else(|| position.to_string(), |name| name.0),
            of: rule.of,
            literals: Literals::new(literals, rule.ignore_case).map_err(|why| ConfigError::at("replace", why))?,
            body_bytes_max: rule.body_bytes_max,
            count_max: rule.count_max,
            on_too_large: rule.on_too_large,
            ask_for_plain: rule.ask_for_plain,
            matches: rule.matches,
            types: if rule.types.0.is_empty() { config::text() } else { rule.types.0 },
            on_compressed: rule.on_compressed,
            expressions,
        })
    }

    pub fn is_for(&self, request: &Request) -> bool {
        self.matches.holds(request)
    }

    /// Whether bodies are rewritten while they pass. An expression must see the whole.
    pub fn streams(&self) -> bool {
        self.expressions.is_empty()
    }

    /// Whether bodies of this type are searched.
    pub fn reads(&self, content_type: Option<&HeaderValue>) -> bool {
        let Some(kind) = content_type else { return false };
        let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        self.types.iter().any(|known| known.fits(kind, !self.streams()))
    }

    /// The whole body rewritten, and how many times something was replaced: the texts first, then one expression after the
    /// other. `None`: it becomes longer than twice what the rule reads.
    pub fn rewrite(&self, body: Vec<u8>) -> Option<(Vec<u8>, usize)> {
        let most = 2 * self.body_bytes_max as usize;
        let mut stream = Stream::default();
        let mut body = match self.literals.is_empty() {
            true => body,
            false => stream.pass(&self.literals, &body, true, self.count_max),
        };
        let mut count = stream.replaced;
        for (expression, with) in &self.expressions {
            let (rewritten, more) = replaced(expression, with, &body, self.count_max.saturating_sub(count), most)?;
            (body, count) = (rewritten.unwrap_or(body), count + more);
        }
        (body.len() <= most).then_some((body, count))
    }
}

/// The body with so many replacements at most, if there are any; `None`: it becomes longer than `most`.
fn replaced(regex: &Regex, with: &[u8], body: &[u8], count_max: usize, most: usize) -> Option<(Option<Vec<u8>>, usize)> {
    let (mut out, mut at, mut count) = (Vec::new(), 0, 0);
    // Finding out where the groups are takes several times as long as finding the whole.
    if with.contains(&b'$') {
        for groups in regex.captures_iter(body).take(count_max) {
            let Some(whole) = groups.get(0) else { continue };
            out.extend_from_slice(&body[at..whole.start()]);
            groups.expand(with, &mut out);
            (at, count) = (whole.end(), count + 1);
            if out.len() > most {
                return None;
            }
        }
    } else {
        for whole in regex.find_iter(body).take(count_max) {
            out.extend_from_slice(&body[at..whole.start()]);
            out.extend_from_slice(with);
            (at, count) = (whole.end(), count + 1);
            if out.len() > most {
                return None;
            }
        }
    }
    if count == 0 {
        return Some((None, 0));
    }
    out.extend_from_slice(&body[at..]);
    Some((Some(out), count))
}

/// Over bytes: classes are those of ASCII, and a letter outside of it is several of them.
fn expression(text: &str, ignore_case: bool) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).case_insensitive(ignore_case).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX);
    builder.build().map_err(|error| format!("expected a regular expression, found \"{text}\": {error}"))
}
