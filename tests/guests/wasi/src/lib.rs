//! Asks WASI for what it brings, and for what it does not, and answers with what came of it, as JSON. Built for wasm32-wasip2.

use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tamis_sdk::prelude::*;

struct Wasi;

impl Filter for Wasi {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Wasi)
    }
}

impl RequestHook for Wasi {
    fn on_request(&self, request: &mut Request) -> Verdict {
        println!("said on the standard output about {}", request.path());
        eprintln!("said on the standard error about {}", request.path());
        let to = request.header("x-connect");
        let to = to.as_ref().and_then(|to| to.to_str().ok()).unwrap_or("127.0.0.1:1").to_owned();
        let before = Instant::now();
        let json = json!({
            "granted": std::env::var("GRANTED").ok(),
            "not-granted": std::env::var("PATH").ok(),
            "all": std::env::vars().count(),
            "arguments": std::env::args().count(),
            "epoch-seconds": SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or(0),
            "goes-on": Instant::now() >= before,
            "random": RandomState::new().hash_one(0),
            "read": std::fs::read("/etc/hostname").map_err(|why| why.kind().to_string()).err(),
            "write": std::fs::write("/tmp/written-by-a-guest", "x").map_err(|why| why.kind().to_string()).err(),
            "connect": TcpStream::connect(&to).map(drop).map_err(|why| why.kind().to_string()).err(),
            "listen": TcpListener::bind("127.0.0.1:0").map(drop).map_err(|why| why.kind().to_string()).err(),
            "datagram": UdpSocket::bind("127.0.0.1:0").map(drop).map_err(|why| why.kind().to_string()).err(),
            "look-up": ("localhost", 80).to_socket_addrs().map(drop).map_err(|why| why.kind().to_string()).err(),
            "list": std::fs::read_dir("/").map(|_| ()).map_err(|why| why.kind().to_string()).err(),
        });
        Reply::new(StatusCode::OK).json(json.to_string()).into()
    }
}

tamis_sdk::export!(Wasi: request);
