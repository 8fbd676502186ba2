//! Where the answer to a copy differs from the one that the client got.

use serde_json::{Map, Value, json};
use tamis_sdk::Mirrored;
use tamis_sdk::prelude::*;

use crate::body::BodyHash;
use crate::rule::{Asked, Compare, Rule};
use crate::{Shadow, pairs};

/// A path or a value of a field in a pair that is kept.
const SHOWN_BYTES_MAX: usize = 256;

/// One thing in which two answers differ.
#[derive(Debug, PartialEq)]
struct Difference {
    /// `status`, `body`, or the name of a field.
    what: String,
    primary: Value,
    copy: Value,
}

impl Shadow {
    pub(crate) fn judge(&self, rule: &Rule, asked: &Asked<'_>, outcome: &Outcome) {
        let Some(compare) = &rule.compare else { return };
        let compared = |result: &str| self.counts.compared.add(&[&rule.name, result], 1.0);
        // A copy that was not sent or has no answer; an exchange that was cut off, or that the proxy had to answer itself.
        let copy = outcome.mirrored(asked.mirror).filter(|copy| copy.status.is_some());
        let (Some(copy), Some(_), None) = (copy, outcome.response(), outcome.failure()) else { return compared("no-answer") };
        let differences = self.differences(compare, asked, &copy, outcome);
        if differences.is_empty() {
            return compared("same");
        }
        compared("different");
        for difference in &differences {
            self.counts.differences.add(&[&rule.name, &difference.what], 1.0);
        }
        if let Some(store) = &compare.store {
            pairs::keep(store, &rule.name, compare.keep, pair(&differences, &copy, outcome));
        }
    }

    fn differences(&self, compare: &Compare, asked: &Asked<'_>, copy: &Mirrored, outcome: &Outcome) -> Vec<Difference> {
        let mut found = Vec::new();
        let (primary_status, copy_status) = (code(outcome.status()), code(copy.status));
        if compare.status && primary_status != copy_status {
            found.push(Difference { what: "status".to_owned(), primary: primary_status, copy: copy_status });
        }
        for name in &compare.headers {
            let primary = outcome.response().map(|response| response.headers(name)).unwrap_or_default();
            let copied = outcome.mirrored_headers(asked.mirror, name);
            if primary != copied {
                found.push(Difference { what: name.clone(), primary: shown(&primary), copy: shown(&copied) });
            }
        }
        if compare.body {
            let note = outcome.notes().get(&self.body_note);
            let primary = note.and_then(|note| BodyHash::read(&note)).and_then(BodyHash::whole);
            if let Some(primary) = primary.filter(|primary| *primary != copy.body_hash) {
                let (primary, copy) = (format!("{primary:016x}").into(), format!("{:016x}", copy.body_hash).into());
                found.push(Difference { what: "body".to_owned(), primary, copy });
            }
        }
        found
    }
}

fn code(status: Option<StatusCode>) -> Value {
    status.map(|status| status.as_u16()).into()
}

/// Values of a field as text.
fn shown(values: &[HeaderValue]) -> Value {
    values.iter().map(|value| cut(&String::from_utf8_lossy(value.as_bytes()))).collect()
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(SHOWN_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// What an operator is shown. The query is left out: it is where secrets are.
fn pair(differences: &[Difference], copy: &Mirrored, outcome: &Outcome) -> Value {
    let request = outcome.request();
    let side = |value: fn(&Difference) -> &Value| -> Value {
        differences.iter().map(|difference| (difference.what.clone(), value(difference).clone())).collect::<Map<_, _>>().into()
    };
    json!({
        "at-ms": clock::now().as_millis() as u64,
        "request-id": cut(&request.id()),
        "method": cut(request.method().as_str()),
        "path": cut(&request.path()),
        "primary": side(|difference| &difference.primary),
        "copy": side(|difference| &difference.copy),
        "primary-us": outcome.duration().as_micros() as u64,
        "copy-us": copy.duration.as_micros() as u64,
    })
}
