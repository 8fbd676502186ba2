//! What stands behind the `?` of a path: names with values, each known to whoever asks for it or refused.

use super::api::Refused;

/// See the module.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Fails for a name that is not among those that are known.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Refused> {
        let mut found = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                return Err(Refused::Malformed(format!("expected a query of {known}, found `{name}`")));
            }
            if found.iter().any(|(other, _)| *other == name) {
                return Err(Refused::Malformed(format!("expected `{name}` once in the query")));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `?name`, `?name=true` and `?name=1` say yes.
    pub fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => {
                Err(Refused::Malformed(format!("expected `{name}`, `{name}=true` or `{name}=false`, found `{other}`")))
            }
        }
    }

    /// A value that has to be what `expected` says.
    pub fn number<T: std::str::FromStr>(
        &self,
        name: &str,
        expected: &str,
        fits: impl FnOnce(&T) -> bool,
    ) -> Result<Option<T>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse().ok().filter(fits) {
            Some(value) => Ok(Some(value)),
            None => Err(Refused::Malformed(format!("expected {expected} after `{name}=`, found `{text}`"))),
        }
    }
}

/// `+` is a space, `%2F` a slash.
fn decoded(text: &str) -> Result<String, Refused> {
    let wrong = || Refused::Malformed(format!("`{text}` in the query is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
                u8::try_from(high * 16 + low).map_err(|_| wrong())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse(Some("match=status%3D5xx+path=/a&dry-run"), &["match", "dry-run"]).expect("well formed");
        assert_eq!(query.get("match"), Some("status=5xx path=/a"));
        assert_eq!((query.flag("dry-run"), query.flag("other")), (Ok(true), Ok(false)));
        assert_eq!(Query::parse(None, &[]).expect("nothing").get("match"), None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in ["mach=a", "match=%zz", "match=%f", "match=%ff", "match=a&match=b"] {
            assert!(matches!(Query::parse(Some(wrong), &["match"]), Err(Refused::Malformed(_))), "{wrong}");
        }
        let query = Query::parse(Some("limit=x&dry-run=maybe"), &["limit", "dry-run"]).expect("well formed");
        let limit = query.number::<u64>("limit", "a number", |_| true).expect_err("no number");
        assert_eq!(limit.to_string(), "expected a number after `limit=`, found `x`");
        assert!(query.flag("dry-run").is_err());
    }
}
