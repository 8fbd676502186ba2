//! One exchange over kept-alive HTTP/1.1 on loopback: straight to an origin, through the proxy, and through the proxy
//! with the two shipped filters. What matters is the difference between them, on the machine it runs on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use tamis::app::App;
use tamis::config;

const REQUEST: &[u8] = b"GET /users/7 HTTP/1.1\r\nhost: example.com\r\naccept: */*\r\nuser-agent: bench\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n";

/// Answers every head with the same bytes.
fn origin() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        read.extend_from_slice(&buffer[..count]);
        while let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            read.drain(..end + 4);
            if stream.write_all(RESPONSE).is_err() {
                return;
            }
        }
    }
}

fn proxy(origin: SocketAddr, filters: &str) -> SocketAddr {
    let text = format!(
        r#"
        workers = 1
        [access-log]
        output = "off"
        [listeners.l]
        listen  = "127.0.0.1:0"
        cluster = "users"
        filters = [{filters}]
        [listeners.l.limits]
        requests-per-connection = 0
        [clusters.users]
        endpoints = ["{origin}"]
        [filters.headers]
        module = "builtin:headers"
        config = {{ request = {{ set = {{ x-source = "{{source}}" }} }} }}
        [filters.router]
        module = "builtin:router"
        config = {{ routes = [{{ match = {{ path-prefix = "/users" }}, to = [{{ cluster = "users" }}] }}] }}
        "#
    );
    let bound =
        App::build(config::parse(&text, Path::new("bench.toml")).expect("a configuration of this bench")).expect("it builds");
    let address = bound.listener("l").expect("it is there");
    std::thread::spawn(move || bound.run());
    address
}

fn exchange(criterion: &mut Criterion) {
    let origin = origin();
    let ways =
        [("direct", origin), ("proxy", proxy(origin, "")), ("proxy with two filters", proxy(origin, r#""headers", "router""#))];
    let mut group = criterion.benchmark_group("exchange");
    for (name, address) in ways {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut buffer = [0; 4096];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                stream.write_all(REQUEST).expect("it reads");
                let mut read = 0;
                while !buffer[..read].ends_with(b"hello\n") {
                    let count = stream.read(&mut buffer[read..]).expect("it answers");
                    assert!(count > 0, "the connection was closed");
                    read += count;
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
