//! The same bytes in Envoy and here: two hundred varied requests through both, and what clients and upstreams saw compared.
//! What may differ stands in docs/proxy-wasm.md, each with its reason, and is taken out here by name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use tamis_tests::command::{Running, python};
use tamis_tests::{Answer, Client, Edge, Origin, Proxy, Reply, body, chain, client, guest, origin, scenario};

const REQUESTS: u32 = 200;
const GUESTS: [&str; 3] = ["pw-headers", "pw-body", "pw-auth"];

/// Fields that either proxy adds by itself, whatever the filter does.
const OWN_FIELDS: [&str; 14] = [
    "date",
    "server",
    "connection",
    "transfer-encoding",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-envoy-upstream-service-time",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-tamis-reason",
    // Envoy has forgotten the request by the time of the answer, and knows no route's cluster then.
    "x-properties",
    // Of a property with two parts that a filter set, Envoy finds the first part only.
    "x-kept",
];

/// One message, as whoever got it saw it.
#[derive(Clone, PartialEq, Eq)]
struct Message {
    start: String,
    fields: BTreeMap<String, Vec<String>>,
    body: String,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let begin: String = self.body.chars().take(40).collect();
        write!(f, "{} {:?} {} bytes {begin:?}", self.start, self.fields, self.body.len())
    }
}

fn fields(headers: &http::HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str())) {
        all.entry(name.to_string()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    all
}

/// A service that notes what it gets and answers as it is told.
fn service(got: &Arc<Mutex<Vec<Message>>>) -> Origin {
    let got = Arc::clone(got);
    origin()
        .route_fn("*", move |request: http::Request<hyper::body::Incoming>| {
            let got = Arc::clone(&got);
            async move {
                let (head, body) = request.into_parts();
                let start = format!("{} {}", head.method, head.uri.path_and_query().unwrap());
                let fields = fields(&head.headers);
                let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                let body = match body.collect().await {
                    Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
                    // Whether a request that is refused has begun to go out is a matter of time in both.
                    Err(_) => return Reply::new(400),
                };
                got.lock().unwrap().push(Message { start, fields, body });
                let status = text("x-want-status").map_or(200, |status| status.parse().unwrap());
                let length = text("x-want-length").map_or(5, |length| length.parse().unwrap());
                let answer = "answer ".repeat(length / 7 + 1)[..length].to_owned();
                let reply =
                    Reply::new(status).header("x-upstream-only", "1").header("set-cookie", "a=1").header("set-cookie", "b=2");
                if text("x-want-pieces").is_some() { reply.streaming(pieces(answer)) } else { reply.body(answer) }
            }
        })
        .run()
}

/// Without a length.
fn pieces(text: String) -> body::Body {
    body::with_trailers(text, &[])
}

/// Says yes to `good`.
fn authorities() -> Origin {
    origin()
        .route_fn("/check", |request: http::Request<hyper::body::Incoming>| async move {
            match request.headers().get("x-token").map(|token| token.as_bytes()) {
                Some(b"good") => Reply::new(200).body("alice"),
                _ => Reply::new(401).body("who?"),
            }
        })
        .run()
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Envoy with a listener for each guest.
fn envoy_configuration(ports: &[u16], upstream: SocketAddr, auth: SocketAddr) -> String {
    let listener = |(guest_name, port): (&&str, &u16)| {
        let file = guest(guest_name);
        format!(
            r#"
  - name: {guest_name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {guest_name}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: origin }} }}]
          http_filters:
          - name: wasm
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: {guest_name}
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{ local: {{ filename: "{file}" }} }}
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}"#
        )
    };
    let cluster = |name: &str, address: SocketAddr| {
        format!(
            r#"
  - name: {name}
    type: STATIC
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }}"#,
            address.port()
        )
    };
    let listeners: String = GUESTS.iter().zip(ports).map(listener).collect();
    format!("static_resources:\n  listeners:{listeners}\n  clusters:{}{}\n", cluster("origin", upstream), cluster("auth", auth))
}

fn ours(upstream: &Origin, auth: &Origin) -> Vec<Proxy> {
    let proxy = |name: &&str| {
        let allow = if *name == "pw-auth" { "allow = { clusters = ['auth'] }" } else { "" };
        Edge::HTTP1_PLAIN.proxy(format!("{}[clusters.auth]\nendpoints = ['{auth}']\n", chain(upstream, &[(name, allow)])))
    };
    GUESTS.iter().map(proxy).collect()
}

/// One request, made of a number: the same for both.
struct Varied {
    guest: usize,
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, String)>,
    body: Option<(String, bool)>,
}

fn varied(number: u32) -> Varied {
    let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut below = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound).unwrap()
    };
    let guest = number as usize % GUESTS.len();
    let method = ["GET", "POST", "PUT", "DELETE", "HEAD"][below(5)];
    let paths: &[&str] = match guest {
        0 => &["/", "/a/b", "/a?b=c&d=%20e", "/local", "/rewrite", "/status", "/a;b=c", "/long/long/long?"],
        _ => &["/", "/a/b", "/a?b=c", "/x%20y"],
    };
    let mut fields = vec![("x-number", number.to_string())];
    let mut add = |name: &'static str, values: &[&str], pick: usize| {
        if let Some(value) = values.get(pick) {
            fields.push((name, (*value).to_owned()));
        }
    };
    add("x-mode", &["whole", "prepend", "append", "deny", "pause", "none"], below(7));
    add("x-token", &["good", "bad", ""], below(4));
    add("x-remove", &["1"], below(2));
    add("x-added", &["before"], below(3));
    add("X-Mixed-Case", &["Value", "a, b"], below(3));
    add("cookie", &["a=1; b=2"], below(3));
    add("x-want-status", &["200", "204", "301", "404", "500"], below(8));
    add("x-want-length", &["0", "1", "100", "70000"], below(5));
    add("x-want-pieces", &["1"], below(3));
    let has_body = matches!(method, "POST" | "PUT");
    let length = [0, 1, 10, 1000, 100_000][below(5)];
    let body = has_body.then(|| ("body ".repeat(length / 5 + 1)[..length].to_owned(), below(3) == 0));
    Varied { guest, method, target: paths[below(paths.len() as u64)].to_owned(), fields, body }
}

async fn ask(client: &Client, varied: &Varied) -> Result<Answer, String> {
    let mut request = client.request(varied.method, &varied.target);
    for (name, value) in &varied.fields {
        request = request.header(name, value);
    }
    request = match &varied.body {
        Some((text, true)) if !text.is_empty() => request.streaming(pieces(text.clone())),
        Some((text, _)) => request.body(text.clone()),
        None => request,
    };
    request.whole().await.map_err(|error| error.to_string())
}

fn message(answer: &Answer) -> Message {
    Message { start: answer.status.to_string(), fields: fields(&answer.headers), body: answer.text().to_owned() }
}

async fn open(address: SocketAddr) -> Client {
    loop {
        if let Ok(client) = client::connect(address).try_open().await {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

scenario!(envoy_and_this_proxy_do_the_same_with_the_same_bytes);
async fn envoy_and_this_proxy_do_the_same_with_the_same_bytes() {
    let (theirs_got, ours_got) = (Arc::<Mutex<Vec<Message>>>::default(), Arc::<Mutex<Vec<Message>>>::default());
    let (their_upstream, our_upstream, auth) = (service(&theirs_got), service(&ours_got), authorities());
    let address = |origin: &Origin| origin.to_string().parse::<SocketAddr>().unwrap();
    let ports = [free_port(), free_port(), free_port()];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    std::fs::write(&file, envoy_configuration(&ports, address(&their_upstream), address(&auth))).unwrap();
    let program = python().with_file_name("envoy");
    assert!(program.exists(), "there is no {}: run scripts/test-deps", program.display());
    let arguments = ["-c", &file.display().to_string(), "--concurrency", "1", "-l", "warn", "--use-dynamic-base-id"];
    let _envoy = Running::start(program, &arguments);
    let proxies = ours(&our_upstream, &auth);
    let mut differences = Vec::new();
    for number in 0..REQUESTS {
        let varied = varied(number);
        // A connection each: what one refuses in the middle ends the connection.
        let their_client = open(SocketAddr::from(([127, 0, 0, 1], ports[varied.guest]))).await;
        let our_client = proxies[varied.guest].client().await;
        let theirs = ask(&their_client, &varied).await.map(|answer| message(&answer));
        let ours = ask(&our_client, &varied).await.map(|answer| message(&answer));
        let about = || format!("{number}: {} {} {} {:?}", GUESTS[varied.guest], varied.method, varied.target, varied.fields);
        if theirs != ours {
            differences.push(format!("{}\n  Envoy: {theirs:?}\n  here:  {ours:?}", about()));
        }
        let take = |got: &Arc<Mutex<Vec<Message>>>| got.lock().unwrap().drain(..).collect::<Vec<_>>();
        let (theirs, ours) = (take(&theirs_got), take(&ours_got));
        if theirs != ours {
            differences.push(format!("{}, upstream\n  Envoy: {theirs:?}\n  here:  {ours:?}", about()));
        }
    }
    assert!(differences.is_empty(), "{} of {REQUESTS} differ:\n{}", differences.len(), differences.join("\n"));
}
