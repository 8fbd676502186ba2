//! Every path of the admin in one table: what may be asked there, what it takes to ask, and a line about it.
//!
//! `openapi.json` describes the same paths; a test holds it against this table.

use http::Method;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Index,
    Dashboard,
    Ready,
    Filters,
    Filter,
    FilterReset,
    FilterModule,
    FilterConfig,
    FilterRollback,
    FilterPromote,
    FilterAbort,
    Clusters,
    Cluster,
    Stored,
    Metrics,
    Stats,
    History,
    Tap,
    Config,
    ConfigPut,
    ConfigReset,
    ConfigDiff,
    ConfigCheck,
    ConfigVersions,
    ConfigRollback,
    Live,
    Version,
    Listeners,
    Certificates,
    Drain,
    Upgrade,
    OpenApi,
    Log,
    LogSet,
    LogReset,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Whoever reaches the admin.
    Nothing,
    /// Whoever may change something: it does, or it shows what is not for everybody.
    Permission,
}

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    /// With `{name}` for one segment, and `{name+}` for all that are left.
    pub path: &'static str,
    pub needs: Needs,
    pub action: Action,
    /// What the list of paths says of it.
    pub says: &'static str,
}

macro_rules! routes {
    ($($method:ident $path:literal, $needs:ident, $action:ident, $says:literal;)+) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            needs: Needs::$needs,
            action: Action::$action,
            says: $says,
        }),+]
    };
}

/// In the order in which they are listed.
pub static ROUTES: &[Route] = routes! {
    GET "/", Nothing, Index, "this list, or with a browser the dashboard";
    GET "/dashboard", Nothing, Dashboard, "a page for browsers: traffic, filters and clusters, now and over the last half hour";
    GET "/dashboard/{file}", Nothing, Dashboard, "what that page consists of";
    GET "/ready", Nothing, Ready, "200 while it serves, 503 while it drains";
    GET "/live", Nothing, Live, "200 while the process answers";
    GET "/version", Nothing, Version, "what this is, and since when it runs";
    POST "/drain", Permission, Drain, "leaves as after SIGTERM";
    POST "/upgrade", Permission, Upgrade, "another process takes over; {\"binary\": PATH}, or the same program again";
    GET "/openapi.json", Nothing, OpenApi, "this list, for machines";
    GET "/config", Permission, Config, "the configuration as it runs; ?format=json";
    PUT "/config", Permission, ConfigPut, "the body is another one: checked whole, live, or refused; ?dry-run, ?version=N";
    DELETE "/config", Permission, ConfigReset, "what the file says holds again";
    GET "/config/diff", Permission, ConfigDiff, "from the file to what runs";
    POST "/config/check", Permission, ConfigCheck, "every mistake of the body; changes nothing";
    GET "/config/versions", Permission, ConfigVersions, "those that can be gone back to";
    POST "/config/rollback", Permission, ConfigRollback, "to the version before, or {\"to\": VERSION}";
    GET "/listeners", Nothing, Listeners, "where clients connect";
    GET "/certificates", Nothing, Certificates, "what listeners show of themselves";
    GET "/filters", Nothing, Filters, "every filter: what is live, where it came from, what failed";
    GET "/filters/{name}", Nothing, Filter, "one of them";
    DELETE "/filters/{name}", Permission, FilterReset, "takes back everything that was pushed; the file holds again";
    PUT "/filters/{name}/module", Permission, FilterModule, "the body is a module: compiled, configured, swapped, or refused";
    PUT "/filters/{name}/config", Permission, FilterConfig, "the body is what the filter's `config` holds, as JSON";
    POST "/filters/{name}/rollback", Permission, FilterRollback, "to the version before, or {\"to\": VERSION or \"HASH\"}";
    POST "/filters/{name}/promote", Permission, FilterPromote, "what was pushed with ?canary=PERCENT becomes the live version";
    DELETE "/filters/{name}/canary", Permission, FilterAbort, "it is taken back";
    GET "/clusters", Nothing, Clusters, "every cluster, and how many of its endpoints are in";
    GET "/clusters/{name}", Nothing, Cluster, "why each of its endpoints is in or out, and who was chosen last";
    GET "/clusters/{name}/explain", Nothing, Cluster, "the same";
    GET "/stores/{name}/{key+}", Permission, Stored, "the value that a store keeps under this key";
    GET "/metrics", Nothing, Metrics, "everything that is counted, for Prometheus";
    GET "/stats", Nothing, Stats, "what the dashboard shows";
    GET "/stats/history", Nothing, History, "the same over the last half hour";
    GET "/log", Nothing, Log, "what the proxy's own log tells";
    PUT "/log", Permission, LogSet, "{\"level\": \"debug\"} has it tell more, until the process ends";
    DELETE "/log", Permission, LogReset, "takes that back";
    GET "/tap", Permission, Tap, "exchanges as they end, as server-sent events; ?match=, &sample=, &bodies=, &limit=";
};

/// What a request comes to.
#[derive(Debug)]
pub enum Found<'p> {
    /// With what stands in the place of the names, in their order.
    Route(&'static Route, Vec<&'p str>),
    /// The path is known, for other methods: these.
    Methods(Vec<&'static str>),
    Nothing,
}

/// HEAD is asked wherever GET is.
pub fn find<'p>(method: &Method, path: &'p str) -> Found<'p> {
    let mut methods = Vec::new();
    for route in ROUTES {
        let Some(named) = matched(route.path, path) else { continue };
        if route.method == *method || route.method == Method::GET && *method == Method::HEAD {
            return Found::Route(route, named);
        }
        methods.push(route.method.as_str());
        if route.method == Method::GET {
            methods.push("HEAD");
        }
    }
    if methods.is_empty() { Found::Nothing } else { Found::Methods(methods) }
}

fn matched<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let (mut pattern, mut rest) = (pattern.strip_prefix('/')?, path.strip_prefix('/')?);
    let mut named = Vec::new();
    loop {
        let (wanted, more_wanted) = match pattern.split_once('/') {
            Some((wanted, more)) => (wanted, Some(more)),
            None => (pattern, None),
        };
        if wanted.ends_with("+}") {
            named.push(rest);
            return (!rest.is_empty()).then_some(named);
        }
        let (found, more) = match rest.split_once('/') {
            Some((found, more)) => (found, Some(more)),
            None => (rest, None),
        };
        if wanted.starts_with('{') {
            named.push(found);
        } else if wanted != found {
            return None;
        }
        match (more_wanted, more) {
            (None, None) => return Some(named),
            (Some(next), Some(more)) => (pattern, rest) = (next, more),
            _ => return None,
        }
    }
}

/// The list of paths, for people.
pub fn index() -> String {
    let width = ROUTES.iter().map(|route| route.path.len()).max().unwrap_or(0);
    let mut text = "tamis admin\n\n".to_owned();
    for route in ROUTES {
        let part = |part: &str| if part.starts_with('{') { part.to_uppercase() } else { part.to_owned() };
        let path = route.path.split('/').map(part).collect::<Vec<_>>().join("/").replace(['{', '}', '+'], "");
        text.push_str(&format!("{:<6} {path:<width$} {}\n", route.method.as_str(), route.says));
    }
    text.push_str("\n?over=file makes a push or a rollback hold although the file has changed since the last one;\n?canary=PERCENT lets a module have a share of the exchanges, beside the live one.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> Option<(Action, Vec<String>)> {
        match find(method, path) {
            Found::Route(route, named) => Some((route.action, named.into_iter().map(str::to_owned).collect())),
            _ => None,
        }
    }

    #[test]
    fn a_path_leads_to_what_the_table_says() {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(found(&Method::GET, "/"), Some((Action::Index, named(&[]))));
        assert_eq!(found(&Method::HEAD, "/filters/a"), Some((Action::Filter, named(&["a"]))));
        assert_eq!(found(&Method::DELETE, "/filters/a"), Some((Action::FilterReset, named(&["a"]))));
        assert_eq!(found(&Method::GET, "/stores/a/b/c"), Some((Action::Stored, named(&["a", "b/c"]))));
        for path in ["/filters/a/", "/stores/a/", "/stores/a", "", "ready"] {
            assert_eq!(found(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn a_known_path_tells_its_methods() {
        assert!(matches!(find(&Method::POST, "/filters/a"), Found::Methods(methods) if methods == ["GET", "HEAD", "DELETE"]));
        assert!(matches!(find(&Method::GET, "/none"), Found::Nothing));
    }

    #[test]
    fn no_two_routes_are_the_same() {
        for (at, route) in ROUTES.iter().enumerate() {
            let same = |other: &Route| other.path == route.path && other.method == route.method;
            assert!(!ROUTES[at + 1..].iter().any(same), "{} {}", route.method, route.path);
        }
    }
}
