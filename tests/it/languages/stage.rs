//! One proxy with the guest of one language, the services around it, and the exchange that shows a behaviour.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tamis_tests::{Answer, Edge, Origin, Proxy, Reply, body, origin, refused};

use super::behaviour::{Behaviour, Client, Sees, Upstream, behaviours, bytes};
use super::check::{like, lines, long, same};

/// The request's field that names the behaviour, for the upstream.
const NAME: &str = "do-case";
/// Under it the guest leaves its lines when the exchange is over.
const ID: &str = "do-id";
/// HTTP/1 carries those that were announced.
const TRAILERS: &str = "x-sum, x-more";
/// How often what the guest leaves is looked for, each time in a request that takes 20 ms.
const LOOKS_MAX: usize = 500;

/// Without the guest, it would serve.
const LISTENER: &str = "[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'origin'\nfilters = ['conformance']\n";

/// A request as the upstream saw it.
#[derive(Clone)]
struct Seen {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

type AllSeen = Arc<Mutex<HashMap<String, Seen>>>;

pub struct Stage {
    edge: Edge,
    module: PathBuf,
    origin: Origin,
    _services: [Origin; 2],
    seen: AllSeen,
    proxies: HashMap<String, Proxy>,
    _inputs: tempfile::NamedTempFile,
}

impl Stage {
    /// Compiles the guest the first time, which takes a minute for a large one.
    pub fn build(module: &Path, edge: Edge) -> Self {
        let seen = AllSeen::default();
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
            let toml = format!("[listeners.edge]\ncluster = 'origin'\nfilters = ['conformance']\n{table}\n{around}");
            (listener.to_owned(), edge.proxy(toml))
        });
        let (module, proxies) = (module.to_owned(), HashMap::from(proxies));
        Stage { edge, module, origin, _services: [side, hangs], seen, proxies, _inputs: inputs }
    }

    /// The proxy must not start, and must say why.
    pub fn refuses(&self, one: &Behaviour, parts: &[String]) -> Result<(), String> {
        let config: toml::Value = serde_json::from_value(one.config.clone()).expect("JSON that TOML has as well");
        let table = filter(&self.module, &inline(&config), "");
        let toml = format!("{LISTENER}{table}[stores.results]\n[stores.numbers]\n[clusters]\n");
        let clusters =
            ["origin", "side", "hangs", "nobody"].map(|name| format!("{name} = {{ endpoints = ['127.0.0.1:1'] }}\n")).concat();
        let said =
            std::panic::catch_unwind(|| refused(format!("{toml}{clusters}"))).map_err(|_| "it is not refused".to_owned())?;
        match parts.iter().find(|part| !said.contains(part.as_str())) {
            None => Ok(()),
            Some(part) => Err(format!("the refusal does not say {part:?}: {said}")),
        }
    }

    /// The exchange must be seen as the behaviour says, by all who take part.
    pub async fn shows(&self, one: &'static Behaviour) -> Result<(), String> {
        let id = format!("{}-{}", one.name.replace('/', "-"), if self.edge.is_http2() { "h2" } else { "h1" });
        let spoken = |text: &str| {
            let text = text.replace("{origin}", &self.origin.to_string()).replace("{id}", &id);
            text.replace("{long}", &"k".repeat(5000))
        };
        let proxy = &self.proxies[&one.listener];
        let client = proxy.client().await;
        let mut request = client.request(&one.send.method, &one.send.target).header(NAME, &one.name).header(ID, &id);
        for (name, value) in &one.send.headers {
            request = request.header_bytes(name, &bytes(value));
        }
        for (hook, steps) in &one.steps {
            for step in steps {
                request = request.header(&format!("do-{hook}"), &spoken(step));
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
        let answer = match (request.open().await, &one.client) {
            (Err(_), Client::Ends(_)) => None,
            (Err(error), _) => return Err(format!("no answer: {error}")),
            (Ok(open), Client::Sees(_)) => Some(open.answer().await.map_err(|error| format!("the answer breaks off: {error}"))?),
            (Ok(open), Client::Ends(end)) if end == "cut" => match open.answer().await {
                Err(_) => None,
                Ok(answer) => return Err(format!("the answer is whole: {answer:?}")),
            },
            (Ok(open), Client::Ends(_)) => return Err(format!("there is an answer: {open:?}")),
        };
        if let (Some(answer), Client::Sees(sees)) = (&answer, &one.client) {
            let found = values(&answer.headers, "x-did");
            // What the complete hook left has these lines as well.
            if one.did.is_some() || one.later.is_none() {
                let expected: Vec<_> = one.did.iter().flatten().map(|line| spoken(line)).collect();
                lines("the steps", &expected, &found)?;
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
            lines("the steps in the end", &expected, &self.left(proxy, &id).await?)?;
        }
        for (series, value) in &one.metrics {
            proxy.metric_becomes(&spoken(series), |found| found >= *value).await;
        }
        Ok(())
    }

    /// The lines that the complete hook left, asked for through the guest.
    async fn left(&self, proxy: &Proxy, id: &str) -> Result<Vec<String>, String> {
        let client = proxy.client().await;
        for _ in 0..LOOKS_MAX {
            let request = client.get("/").header("do-request", "clock.sleep 20");
            let answer = request.header("do-request", &format!("store.get results {id}")).await;
            let line = values(&answer.headers, "x-did").pop().unwrap_or_default();
            match line.strip_prefix("store.get =") {
                Some(lines) => return Ok(decoded(lines).lines().map(str::to_owned).collect()),
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
        allow = {{ clusters = ["side", "hangs", "nobody"], stores = ["results", "numbers"] }}
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

/// Answers as the behaviour says, and remembers what it saw.
fn upstream(seen: &AllSeen) -> Origin {
    let seen = Arc::clone(seen);
    let answering = move |request: http::Request<hyper::body::Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let text = |name| request.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            let (name, id) = (text(NAME), text(ID));
            let (head, body) = request.into_parts();
            let Ok(collected) = body.collect().await else { return Reply::new(400) };
            let trailers = collected.trailers().cloned().unwrap_or_default();
            let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            let (method, headers) = (head.method.to_string(), head.headers);
            if let Some(id) = id {
                let one = Seen { method, target, headers, body: collected.to_bytes(), trailers };
                seen.lock().expect("no panic").insert(id, one);
            }
            let Some(one) = behaviours().iter().find(|one| Some(&one.name) == name.as_ref()) else { return Reply::new(200) };
            let fields = one.answer.headers.iter();
            let reply =
                fields.fold(Reply::new(one.answer.status), |reply, (name, value)| reply.header_bytes(name, &bytes(value)));
            let body = one.answer.body.repeat(one.answer.times);
            match one.answer.trailers.as_slice() {
                [] => reply.body(body),
                trailers => reply.header("trailer", TRAILERS).streaming(with_trailers(body, trailers)),
            }
        }
    };
    origin().route_fn("*", answering).run()
}

/// What filters call: tells how it was called, and sends the body back.
fn side() -> Origin {
    let answering = |request: http::Request<hyper::body::Incoming>| async move {
        let status = request.uri().path().strip_prefix("/status/").map_or(200, |status| status.parse().expect("a status"));
        let host = request.headers().get("host").map(|host| host.to_str().expect("text").to_owned()).unwrap_or_default();
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let mut reply = Reply::new(status).header("x-side", request.method().as_str()).header("x-sent", &host);
        reply = reply.header("x-target", &target);
        if let Some(value) = request.headers().get("x-a") {
            reply = reply.header_bytes("x-a", value.as_bytes());
        }
        let body = request.into_body().collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
        reply.body(body)
    };
    origin().route_fn("*", answering).run()
}

fn with_trailers(bytes: impl Into<Bytes>, trailers: &'static [(String, String)]) -> body::Body {
    let trailers: Vec<(&'static str, &str)> = trailers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    body::with_trailers(bytes, &trailers)
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

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at(2);
        format!("{text}{}{rest}", char::from(u8::from_str_radix(digits, 16).expect("an escape")))
    })
}
