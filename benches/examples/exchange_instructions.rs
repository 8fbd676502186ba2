//! Exchanges over one connection, as a worker serves them, to be counted from outside: `exchange_instructions CASE [EXCHANGES]`. The
//! client and the origin are threads of their own, which do as little as they can. `make instructions` runs it under callgrind with few
//! and with many exchanges: what they differ by is what exchanges take, without what the kernel does.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use tamis::cluster::discovery::Resolved;
use tamis::config;
use tamis::drain;
use tamis::exchange::Connection;
use tamis::filter::source::Modules;
use tamis::filter::{Engine, Entry};
use tamis::http::serve;
use tamis::snapshot::{Live, Parts, Snapshot};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

const REQUEST: &[u8] = b"GET /users/7 HTTP/1.1\r\nhost: example.com\r\nuser-agent: bench\r\naccept: */*\r\n\r\n";
const FIELDS: &str =
    "server: origin\r\ndate: Mon, 23 Nov 2026 12:00:00 GMT\r\ncontent-type: text/plain\r\nconnection: keep-alive";
const FIVE: &str = r#"
[filters.acl]
module = "builtin:acl"
config = { rules = [{ name = "them", action = "deny", match = { source = ["192.0.2.0/24"] } }], default = "allow" }
[filters.quota]
module = "builtin:quota"
allow = { stores = ["quota"] }
config = { store = "quota", rules = [{ name = "clients", key = "source", limit = "1000000000/h" }] }
[filters.router]
module = "builtin:router"
config = { routes = [{ match = { path-prefix = "/" }, to = [{ cluster = "users" }] }] }
[filters.headers]
module = "builtin:headers"
config = { request = { set = { x-client = "{header:user-agent}" } } }
[filters.attributes]
module = "builtin:attributes"
config = { attributes = [{ name = "client", value = "{header:host}", default = "unknown" }] }
[stores.quota]
"#;

/// The bytes of an answer's body, the filters, and what is said of these.
fn case(name: &str) -> Option<(usize, &'static str, &'static str)> {
    match name {
        "plain" => Some((20, "", "")),
        "64k" => Some((64 << 10, "", "")),
        "five-filters" => Some((20, r#""acl", "quota", "router", "headers", "attributes""#, FIVE)),
        _ => None,
    }
}

/// Answers every head with the same bytes.
fn origin(body: usize) -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    let mut answer = format!("HTTP/1.1 200 OK\r\n{FIELDS}\r\ncontent-length: {body}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + body, b'x');
    std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().expect("the proxy comes");
        let _ = stream.set_nodelay(true);
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            read.extend_from_slice(&buffer[..count]);
            if read.ends_with(b"\r\n\r\n") {
                read.clear();
                stream.write_all(&answer).expect("the proxy reads");
            }
        }
    });
    address
}

/// So many requests, each after the answer to the one before.
fn ask(stream: &mut TcpStream, body: usize, times: usize) {
    let mut buffer = vec![0; body + 4096];
    for _ in 0..times {
        stream.write_all(REQUEST).expect("it reads");
        let (mut read, mut whole) = (0, usize::MAX);
        while read < whole {
            let count = stream.read(&mut buffer[read..]).expect("it answers");
            assert!(count > 0, "the connection was closed");
            read += count;
            if let Some(head) = buffer[..read].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                whole = head + 4 + body;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&buffer[..read]));
    }
}

fn live(origin: SocketAddr, chain: &str, filters: &str) -> Arc<Live> {
    let text = format!(
        r#"
        workers = 1
        [limits]
        instances = 8
        [access-log]
        output = "off"
        [listeners.l]
        listen  = "127.0.0.1:0"
        cluster = "users"
        filters = [{chain}]
        limits  = {{ requests-per-connection = 0 }}
        [clusters.users]
        endpoints = ["{origin}"]
        {filters}
        "#
    );
    let loaded = config::parse(&text, std::path::Path::new("bench.toml")).expect("a configuration of this bench");
    let config = Arc::new(loaded.config);
    let mut modules = Modules::new(Engine::new(config.limits.instances, Entry::Direct).expect("an engine"));
    let load = |filter: &Arc<config::Filter>| {
        let module = modules.load(&filter.module).expect("a module that loads");
        (filter.module.clone(), module)
    };
    let modules = config.filters.values().map(load).collect();
    let (overrides, inputs) = (BTreeMap::new(), HashMap::new());
    let parts = Parts { config, source: loaded.source, modules, overrides, resolved: Resolved::default(), inputs };
    Arc::new(Live::from_pointee(Snapshot::build(&parts, None, false).expect("a snapshot")))
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some((body, chain, filters)) = case(&name) else { panic!("there is no case `{name}`") };
    let exchanges: usize = arguments.next().and_then(|exchanges| exchanges.parse().ok()).unwrap_or(100);
    let live = live(origin(body), chain, filters);
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    let (end, over) = oneshot::channel();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        ask(&mut stream, body, exchanges);
        end.send(()).expect("somebody waits");
    });
    let (_trigger, drain) = drain::channel();
    runtime.block_on(async {
        let (stream, peer) = socket.accept().expect("the client comes");
        stream.set_nonblocking(true).expect("a socket");
        stream.set_nodelay(true).expect("a TCP socket");
        let stream = tokio::net::TcpStream::from_std(stream).expect("a socket of this runtime");
        let listener = Arc::clone(&live.load().listeners["l"]);
        let connection = Arc::new(Connection::new("l".into(), peer, address));
        tokio::task::spawn_local(serve::serve(stream, connection, None, live, listener, drain));
        over.await.expect("all were answered");
    });
    client.join().expect("every answer was right");
    println!("{exchanges} exchanges");
}
