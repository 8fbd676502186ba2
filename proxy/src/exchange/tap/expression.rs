//! Which exchanges somebody wants to see: terms that all have to hold, such as `cluster=users status=5xx|429 path=/v1/*`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::trail::What;
use super::super::{Exchange, Over};

/// What an expression may have; longer ones are a mistake rather than a wish.
const TERMS_MAX: usize = 32;
const KEYS: &str = "listener, cluster, route, method, host, path, status, filter, reason, source";

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("expected one of {KEYS} before `=`, found `{0}`")]
    Key(String),
    #[error("expected a value after `{0}=`")]
    Empty(String),
    #[error("expected a status such as `503` or `5xx` after `status=`, found `{0}`")]
    Status(String),
    #[error("expected an address or a network after `source=`, found `{0}`")]
    Source(String),
    #[error("expected at most {TERMS_MAX} terms")]
    Long,
}

/// See the module. One without terms matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expression(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Listener(Vec<Pattern>),
    Cluster(Vec<Pattern>),
    Route(Vec<Pattern>),
    Method(Vec<Pattern>),
    Host(Vec<Pattern>),
    Path(Vec<Pattern>),
    Status(Vec<Statuses>),
    Filter(Vec<Pattern>),
    Reason(Vec<Pattern>),
    Source(Vec<IpNet>),
    /// Anywhere in the method, the host or the path; lower case.
    Text(String),
}

/// A text, perhaps with `*` at one end or at both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    open_start: bool,
    open_end: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Statuses {
    from: u16,
    to: u16,
}

impl Pattern {
    fn new(text: &str) -> Self {
        let (text, open_end) = text.strip_suffix('*').map_or((text, false), |text| (text, true));
        let (text, open_start) = text.strip_prefix('*').map_or((text, false), |text| (text, true));
        Self { text: text.to_owned(), open_start, open_end }
    }

    fn matches(&self, found: &str) -> bool {
        match (self.open_start, self.open_end) {
            (false, false) => found == self.text,
            (false, true) => found.starts_with(&self.text),
            (true, false) => found.ends_with(&self.text),
            (true, true) => found.contains(&self.text),
        }
    }
}

impl Statuses {
    fn new(text: &str) -> Result<Self, Malformed> {
        let wrong = || Malformed::Status(text.to_owned());
        if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class)).ok_or_else(wrong)?;
            return Ok(Self { from: class * 100, to: class * 100 + 99 });
        }
        let status = text.parse().ok().filter(|status| *status < 1000).ok_or_else(wrong)?;
        Ok(Self { from: status, to: status })
    }
}

impl Expression {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let terms: Vec<_> = text.split_whitespace().map(Term::parse).collect::<Result<_, _>>()?;
        if terms.len() > TERMS_MAX { Err(Malformed::Long) } else { Ok(Self(terms)) }
    }

    /// Whether it is worth to look at this exchange, of which only the request is known, with its path as it came.
    pub fn may_match(&self, exchange: &Exchange, path: &str) -> bool {
        self.0.iter().all(|term| match term {
            Term::Listener(listeners) => any(listeners, &exchange.connection.listener),
            // Datagrams and raw connections have none.
            Term::Method(methods) => exchange.raw.is_none() && any(methods, exchange.request.method.as_str()),
            Term::Host(hosts) => any(hosts, &exchange.authority.to_ascii_lowercase()),
            Term::Path(paths) => any(paths, path),
            Term::Source(networks) => from(networks, exchange.source),
            _ => true,
        })
    }

    pub fn matches(&self, over: &Over<'_>) -> bool {
        self.0.iter().all(|term| term.matches(over))
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let Some((key, value)) = text.split_once('=') else { return Ok(Self::Text(text.to_lowercase())) };
        let values: Vec<&str> = value.split('|').filter(|value| !value.is_empty()).collect();
        let patterns = || values.iter().map(|value| Pattern::new(value)).collect();
        let upper = || values.iter().map(|value| Pattern::new(&value.to_uppercase())).collect();
        let lower = || values.iter().map(|value| Pattern::new(&value.to_lowercase())).collect();
        let term = match key {
            "listener" => Self::Listener(patterns()),
            "cluster" => Self::Cluster(patterns()),
            "route" => Self::Route(patterns()),
            "method" => Self::Method(upper()),
            "host" => Self::Host(lower()),
            "path" => Self::Path(patterns()),
            "filter" => Self::Filter(patterns()),
            "reason" => Self::Reason(patterns()),
            "status" => Self::Status(values.iter().map(|value| Statuses::new(value)).collect::<Result<_, _>>()?),
            "source" => Self::Source(values.iter().map(|value| network(value)).collect::<Result<_, _>>()?),
            other => return Err(Malformed::Key(other.to_owned())),
        };
        if values.is_empty() { Err(Malformed::Empty(key.to_owned())) } else { Ok(term) }
    }

    fn matches(&self, over: &Over<'_>) -> bool {
        let exchange = over.exchange;
        match self {
            Self::Listener(listeners) => any(listeners, &exchange.connection.listener),
            Self::Cluster(clusters) => any(clusters, exchange.destination.cluster.as_deref().unwrap_or_default()),
            Self::Route(routes) => any(routes, exchange.destination.route.as_deref().unwrap_or_default()),
            Self::Method(methods) => over.exchange.raw.is_none() && any(methods, over.method.as_str()),
            Self::Host(hosts) => any(hosts, &over.host.to_ascii_lowercase()),
            Self::Path(paths) => any(paths, over.path),
            Self::Status(statuses) => statuses.iter().any(|known| (known.from..=known.to).contains(&over.status)),
            Self::Reason(reasons) => any(reasons, over.origin.reason()),
            Self::Source(networks) => from(networks, exchange.source),
            Self::Filter(filters) => over.trail.steps().iter().any(|step| match &step.what {
                What::Hook(hook) => any(filters, &hook.filter),
                What::Attempt(_) => false,
            }),
            Self::Text(text) => {
                let found = |place: &str| place.to_lowercase().contains(text);
                over.exchange.raw.is_none() && found(over.method.as_str()) || found(over.host) || found(over.path)
            }
        }
    }
}

fn any(patterns: &[Pattern], found: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(found))
}

fn from(networks: &[IpNet], source: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&source))
}

fn network(text: &str) -> Result<IpNet, Malformed> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| Malformed::Source(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_expression_says_what_was_expected() {
        assert_eq!(Expression::parse(""), Ok(Expression::default()));
        let said = |text: &str| Expression::parse(text).expect_err(text).to_string();
        assert!(
            said("clusters=a").contains("expected one of listener, cluster") && said("clusters=a").ends_with("found `clusters`")
        );
        assert_eq!(said("status="), "expected a value after `status=`");
        assert_eq!(said("cluster=|"), "expected a value after `cluster=`");
        for wrong in ["status=9xx", "status=6xx", "status=abc", "status=1000", "status=5x"] {
            assert!(said(wrong).contains("such as `503` or `5xx`"), "{wrong}");
        }
        assert!(said("source=here").contains("address or a network"));
        assert!(said(&"a ".repeat(TERMS_MAX + 1)).contains("at most"));
    }

    #[test]
    fn patterns_are_open_where_they_have_a_star() {
        let cases = [("/a", "/a", true), ("/a", "/ab", false), ("/a*", "/ab", true), ("*b", "/ab", true), ("*a*", "/ab", true)];
        for (pattern, text, matches) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} {text}");
        }
        assert!(!Pattern::new("*a").matches("ab"));
    }
}
