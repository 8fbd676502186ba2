//! One proxy with the guest of one language, the services around it, and the exchange that shows a behaviour.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderMap;
use rustls::ClientConfig;
use tamis_tests::certificates::{self, Authority};
use tamis_tests::{Answer, Client as Connection, Edge, Origin, Proxy, client, logged, origin, refused};

use super::behaviour::{Behaviour, Client, Sees, Upstream, bytes};
use super::check::{Clocks, decoded, like, lines, long, same};
use super::services::{AllSeen, Seen, side, upstream, with_trailers};

/// The request's field that names the behaviour, for the upstream.
pub const NAME: &str = "do-case";
/// Under it the guest leaves its lines when the exchange is over.
pub const ID: &str = "do-id";
/// HTTP/1 carries those that were announced.
pub const TRAILERS: &str = "x-sum, x-more";
/// How often what the guest leaves is looked for, each time in a request that takes 20 ms.
const LOOKS_MAX: usize = 500;
/// What the client shows where it speaks TLS: an id of SPIFFE stands before a DNS name, whatever their order.
const IDENTITIES: [&str; 2] = ["web.internal", "spiffe://prod/web"];

/// Without the guest, it would serve.
const LISTENER: &str = "[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'origin'\nfilters = ['conformance']\n";

pub struct Stage {
    language: &'static str,
    edge: Edge,
    module: PathBuf,
    origin: Origin,
    side: Origin,
    _hangs: Origin,
    seen: AllSeen,
    proxies: HashMap<String, Proxy>,
    /// How often the guest of a proxy has failed so far.
    failed: RefCell<HashMap<String, u64>>,
    shown: Arc<ClientConfig>,
    /// Of the client's certificate.
    fingerprint: String,
    _authority: Authority,
    _inputs: tempfile::NamedTempFile,
}

impl Stage {
    /// Compiles the guest the first time, which takes a minute for a large one.
    pub fn build(language: &'static str, module: &Path, edge: Edge) -> Self {
        let seen = AllSeen::default();
        let authority = certificates::authority();
        let certificate = authority.certificate(&IDENTITIES).make();
        let shown = certificates::client_config_as(&certificate, &[]);
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
        let fingerprint = sha256.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let tls = if edge.tls {
            let (own, ca) = (certificates::edge().entry(), authority.file());
            format!("tls = {{ certificates = [{own}], client-auth = {{ mode = 'optional', ca = ['{}'] }} }}", ca.display())
        } else {
            String::new()
        };
        let (origin, side, hangs) = (upstream(&seen), side(), origin().hang("*").run());
        let nobody = tamis_tests::origin().run().stop();
        let inputs = tempfile::NamedTempFile::new().expect("a file can be made");
        std::fs::write(inputs.path(), b"one\ntwo\0\xff").expect("the file can be written");
        let around = format!(
            r#"
            [chains.more]
            filters = ["more"]
            [filters.more]
            module = "builtin:headers"
            config = {{ request = {{ set = {{ x-chain = "more" }} }} }}
            [clusters.origin]
            endpoints = ["{origin}"]
            [clusters.forbidden]
            endpoints = ["{origin}"]
            [clusters.side]
            endpoints = ["{side}"]
            [clusters.hangs]
            endpoints = ["{hangs}"]
            [clusters.nobody]
            endpoints = ["{nobody}"]
            [clusters.pair]
            endpoints = [
                {{ address = "{origin}", labels = {{ zone = "a", tier = "1" }} }},
                {{ address = "{side}", labels = {{ zone = "b", tier = "1" }} }},
            ]
            balance = "hash"
            [clusters.trailing]
            endpoints = ["{side}"]
            protocol = "h2"
            [stores.results]
            [stores.numbers]
            [stores.forbidden]
            "#
        );
        let words = inputs.path().display().to_string();
        let configs = [
            ("edge", "{ greeting = 'hello there', tick-every-ms = 20 }"),
            ("kept", "{ keep-state = true }"),
            ("wants", "{ want = ['request'] }"),
        ];
        let proxies = configs.map(|(listener, config)| {
            let table = filter(module, config, &format!("inputs = {{ words = '{words}' }}"));
            let toml = format!("[listeners.edge]\ncluster = 'origin'\nfilters = ['conformance']\n{tls}\n{table}\n{around}");
            (listener.to_owned(), edge.proxy(toml))
        });
        Stage {
            language,
            edge,
            module: module.to_owned(),
            origin,
            side,
            _hangs: hangs,
            seen,
            proxies: HashMap::from(proxies),
            failed: RefCell::default(),
            shown,
            fingerprint,
            _authority: authority,
            _inputs: inputs,
        }
    }

    /// The proxy must not start, and must say why.
    pub fn refuses(&self, one: &Behaviour, parts: &[String]) -> Result<(), String> {
        let config: toml::Value = serde_json::from_value(one.config.clone()).expect("JSON that TOML has as well");
        let id = self.id(one, "");
        let table = filter(&self.module, &inline(&config).replace("{id}", &id), "");
        let toml = format!("{LISTENER}{table}[stores.results]\n[stores.numbers]\n[clusters]\n");
        let clusters = ["side", "hangs", "nobody", "trailing", "origin"]
            .map(|name| format!("{name} = {{ endpoints = ['127.0.0.1:1'] }}\n"))
            .concat();
        let said =
            std::panic::catch_unwind(|| refused(format!("{toml}{clusters}"))).map_err(|_| "it is not refused".to_owned())?;
        match parts.iter().find(|part| !said.contains(part.as_str())) {
            // What a language tells in the refusal itself needs no line.
            None if one.logs.iter().all(|(_, text)| said.contains(&self.spoken(text, &id, ""))) => Ok(()),
            None => self.logged(one, &id),
            Some(part) => Err(format!("the refusal does not say {part:?}: {said}")),
        }
    }

    /// What names one exchange, in all that is seen of it.
    fn id(&self, one: &Behaviour, more: &str) -> String {
        let edge = if self.edge.is_http2() { "h2" } else { "h1" };
        format!("{}-{}-{edge}{more}", self.language, one.name.replace('/', "-"))
    }

    async fn client(&self, proxy: &Proxy) -> Connection {
        let connection = client::connect(proxy.address()).edge(self.edge);
        let connection = if self.edge.tls { connection.tls(&self.shown) } else { connection };
        connection.open().await
    }

    /// The text of a step or a line, for this exchange.
    fn spoken(&self, text: &str, id: &str, key: &str) -> String {
        let protocol = if self.edge.is_http2() { "h2" } else { "http/1.1" };
        let text = text.replace("{origin}", &self.origin.to_string()).replace("{side}", &self.side.to_string());
        let text = text.replace("{id}", id).replace("{key}", key).replace("{long}", &"k".repeat(5000));
        text.replace("{scheme}", self.edge.scheme()).replace("{protocol}", protocol).replace("{fingerprint}", &self.fingerprint)
    }

    /// Whether the proxy's log has what it should, and nothing that it should not.
    fn logged(&self, one: &Behaviour, id: &str) -> Result<(), String> {
        let lines = |level: &str, text: &str| logged::lines_with(&[level, &self.spoken(text, id, "")]);
        for (level, text) in &one.logs {
            let level = if level.is_empty() { String::new() } else { format!(" {level} ") };
            if lines(&level, text).is_empty() {
                return Err(format!("the log has no line {level:?} with {text:?}: {:?}", lines("", text)));
            }
        }
        match one.logs_not.iter().flat_map(|text| lines("", text)).next() {
            None => Ok(()),
            Some(line) => Err(format!("the log has what nobody asked for: {line}")),
        }
    }

    /// The exchange must be seen as the behaviour says, by all who take part.
    pub async fn shows(&self, one: &'static Behaviour) -> Result<(), String> {
        let proxy = &self.proxies[&one.listener];
        match one.keys {
            0 => self.shows_once(proxy, one).await?,
            keys => self.shows_keys(proxy, one, keys).await?,
        }
        let failed = proxy.failures("conformance").await;
        let before = self.failed.borrow_mut().insert(one.listener.clone(), failed).unwrap_or_default();
        same("how often the filter failed", one.fails, failed - before)
    }

    async fn shows_once(&self, proxy: &Proxy, one: &'static Behaviour) -> Result<(), String> {
        let id = self.id(one, "");
        let spoken = |text: &str| self.spoken(text, &id, "");
        let before = Clocks::now();
        let answer = self.exchange(proxy, one, &id, "").await?;
        let clocks = before..=Clocks::now();
        if let (Some(answer), Client::Sees(sees)) = (&answer, &one.client) {
            let found = values(&answer.headers, "x-did");
            // What the complete hook left has these lines as well.
            if one.did.is_some() || one.later.is_none() {
                let expected: Vec<_> = one.did.iter().flatten().map(|line| spoken(line)).collect();
                lines("the steps", &expected, &found, &clocks)?;
            }
            the_client_sees(sees, answer)?;
        }
        let seen = self.seen.lock().expect("no panic").remove(&id);
        match (&one.upstream, seen) {
            (None, None) => {}
            (Some(expected), Some(seen)) => the_upstream_sees(expected, &seen)?,
            (None, Some(_)) => return Err("the upstream is asked".to_owned()),
            (Some(_), None) => return Err("the upstream is not asked".to_owned()),
        }
        if let Some(expected) = &one.later {
            let expected: Vec<String> = expected.iter().map(|line| spoken(line)).collect();
            lines("the steps in the end", &expected, &self.left(proxy, &id).await?, &clocks)?;
        }
        for (series, value) in &one.metrics {
            proxy.metric_becomes(&spoken(series), |found| found >= *value).await;
        }
        self.logged(one, &id)
    }

    /// Each key has an endpoint, which answers again when the key comes again; not all have the same.
    async fn shows_keys(&self, proxy: &Proxy, one: &'static Behaviour, keys: usize) -> Result<(), String> {
        let mut met = HashSet::new();
        for key in (0..keys).map(|key| key.to_string()) {
            let mut sides = Vec::new();
            for turn in 0..2 {
                let id = self.id(one, &format!("-{key}-{turn}"));
                let answer = self.exchange(proxy, one, &id, &key).await?.ok_or("no answer")?;
                let expected: Vec<_> = one.did.iter().flatten().cloned().collect();
                same("the steps", expected, values(&answer.headers, "x-did"))?;
                sides.push(answer.headers.contains_key("x-side"));
                self.seen.lock().expect("no panic").remove(&id);
            }
            same(&format!("who answers to the key {key}"), sides[0], sides[1])?;
            met.extend(sides);
        }
        same("endpoints that answer", 2, met.len())
    }

    /// The client's answer, where there has to be one.
    async fn exchange(&self, proxy: &Proxy, one: &'static Behaviour, id: &str, key: &str) -> Result<Option<Answer>, String> {
        let client = self.client(proxy).await;
        let mut request = client.request(&one.send.method, &one.send.target).header(NAME, &one.name).header(ID, id);
        for (name, value) in &one.send.headers {
            request = request.header_bytes(name, &bytes(value));
        }
        for (hook, steps) in &one.steps {
            for step in steps {
                request = request.header(&format!("do-{hook}"), &self.spoken(step, id, key));
            }
        }
        if !one.send.trailers.is_empty() || !one.answer.trailers.is_empty() {
            request = request.header("te", "trailers");
        }
        let body = bytes(one.send.body.as_deref().unwrap_or_default()).repeat(one.send.times);
        request = if one.send.trailers.is_empty() {
            if one.send.body.is_some() { request.body(body) } else { request }
        } else {
            request.header("trailer", TRAILERS).streaming(with_trailers(body, &one.send.trailers))
        };
        match (request.open().await, &one.client) {
            (Err(_), Client::Ends(_)) => Ok(None),
            (Err(error), _) => Err(format!("no answer: {error}")),
            (Ok(open), Client::Sees(_)) => {
                open.answer().await.map(Some).map_err(|error| format!("the answer breaks off: {error}"))
            }
            (Ok(open), Client::Ends(end)) if end == "cut" => match open.answer().await {
                Err(_) => Ok(None),
                Ok(answer) => Err(format!("the answer is whole: {answer:?}")),
            },
            (Ok(open), Client::Ends(_)) => Err(format!("there is an answer: {open:?}")),
        }
    }

    /// The lines that the complete hook left, asked for through the guest.
    async fn left(&self, proxy: &Proxy, id: &str) -> Result<Vec<String>, String> {
        let client = self.client(proxy).await;
        for _ in 0..LOOKS_MAX {
            let request = client.get("/").header("do-request", "clock.sleep 20");
            let answer = request.header("do-request", &format!("store.get results {id}")).await;
            let line = values(&answer.headers, "x-did").pop().unwrap_or_default();
            match line.strip_prefix("store.get =") {
                Some(lines) => return Ok(latin(&decoded(lines)).lines().map(str::to_owned).collect()),
                None if line == "store.get none" => {}
                None => return Err(format!("what the complete hook left: {line:?}, status {}", answer.status)),
            }
        }
        Err("the complete hook left nothing".to_owned())
    }
}

fn filter(module: &Path, config: &str, more: &str) -> String {
    format!(
        r#"
        [filters.conformance]
        module = "{}"
        config = {config}
        deadline = "10s"
        memory = "128MiB"
        allow = {{ clusters = ["side", "hangs", "nobody", "trailing"], stores = ["results", "numbers"] }}
        {more}
        "#,
        module.display()
    )
}

/// A value as TOML has it within one line.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(table) => {
            let pairs: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        toml::Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn the_client_sees(expected: &Sees, answer: &Answer) -> Result<(), String> {
    same("the client's status", expected.status, answer.status)?;
    for (name, values_expected) in &expected.headers {
        same(&format!("the client's {name}"), values_expected.clone(), values(&answer.headers, name))?;
    }
    for name in &expected.absent {
        same(&format!("the client's {name}"), vec![], values(&answer.headers, name))?;
    }
    for (name, value) in &expected.trailers {
        same(&format!("the client's trailer {name}"), vec![value.clone()], values(&answer.trailers, name))?;
    }
    if expected.times > 1 {
        return long("the client's body", &bytes(&expected.body).repeat(expected.times), &answer.body);
    }
    like("the client's body", &expected.body, &latin(&answer.body))
}

fn the_upstream_sees(expected: &Upstream, seen: &Seen) -> Result<(), String> {
    same("the upstream's method", &expected.method, &seen.method)?;
    same("the upstream's target", &expected.target, &seen.target)?;
    same("how often the upstream is asked", expected.asked, seen.times)?;
    if let Some(authority) = &expected.authority {
        same("the upstream's host", vec![authority.clone()], values(&seen.headers, "host"))?;
    }
    for (name, values_expected) in &expected.headers {
        same(&format!("the upstream's {name}"), values_expected.clone(), values(&seen.headers, name))?;
    }
    for name in &expected.absent {
        same(&format!("the upstream's {name}"), vec![], values(&seen.headers, name))?;
    }
    for (name, value) in &expected.trailers {
        same(&format!("the upstream's trailer {name}"), vec![value.clone()], values(&seen.trailers, name))?;
    }
    if expected.times > 1 {
        return long("the upstream's body", &bytes(&expected.body).repeat(expected.times), &seen.body);
    }
    same("the upstream's body", expected.body.clone(), latin(&seen.body))
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| latin(value.as_bytes())).collect()
}

/// A byte is a character.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
