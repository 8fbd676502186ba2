//! The same bytes in Envoy and here, as a filter of raw connections: what clients and upstreams saw compared.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tamis_tests::command::{Running, python};
use tamis_tests::origin::RawOrigin;
use tamis_tests::{guest, proxy, raw_origin, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy_wasm_envoy::free_port;

const MODES: [&str; 3] = ["change", "line", "pass"];
/// Each is sent piece by piece.
const SENT: [&[&str]; 7] = [
    &[],
    &["hello"],
    &["hel", "lo\n"],
    &["hello, one\n", "two\n", "and three"],
    &["no line"],
    &["hello", "close"],
    &["hello ", "a longer text ", "that comes ", "in pieces\n"],
];

/// Notes what it gets until the end, and says how much that was.
async fn service(got: &Arc<Mutex<Vec<String>>>) -> RawOrigin {
    let got = Arc::clone(got);
    raw_origin(move |mut connection| {
        let got = Arc::clone(&got);
        async move {
            let mut read = Vec::new();
            if connection.0.read_to_end(&mut read).await.is_ok() {
                let read = String::from_utf8_lossy(&read).into_owned();
                connection.write(&format!("{} bytes: {read}", read.len())).await;
                got.lock().unwrap().push(read);
            }
        }
    })
    .await
}

fn envoy_configuration(ports: &[u16], upstream: &RawOrigin) -> String {
    let upstream: SocketAddr = upstream.to_string().parse().unwrap();
    let listener = |(mode, port): (&&str, &u16)| {
        format!(
            r#"
  - name: {mode}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.wasm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            name: {mode}
            configuration: {{ "@type": type.googleapis.com/google.protobuf.StringValue, value: {mode} }}
            vm_config:
              vm_id: {mode}
              runtime: envoy.wasm.runtime.v8
              code: {{ local: {{ filename: "{}" }} }}
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: {mode}
          cluster: origin"#,
            guest("pw-network")
        )
    };
    let listeners: String = MODES.iter().zip(ports).map(listener).collect();
    format!(
        r#"static_resources:
  listeners:{listeners}
  clusters:
  - name: origin
    type: STATIC
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }}
"#,
        upstream.port()
    )
}

async fn connect(address: SocketAddr) -> TcpStream {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What comes back; the end of a connection that a filter closes may come while something is still being said.
async fn say(address: SocketAddr, pieces: &[&str]) -> String {
    let mut stream = connect(address).await;
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        // Not a measure of anything: most pieces arrive by themselves.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

scenario!(envoy_and_this_proxy_do_the_same_with_raw_connections);
async fn envoy_and_this_proxy_do_the_same_with_raw_connections() {
    let (theirs_got, ours_got) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
    let (their_upstream, our_upstream) = (service(&theirs_got).await, service(&ours_got).await);
    let ports = [free_port(), free_port(), free_port()];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    std::fs::write(&file, envoy_configuration(&ports, &their_upstream)).unwrap();
    let program = python().with_file_name("envoy");
    assert!(program.exists(), "there is no {}: run scripts/test-deps", program.display());
    let arguments = ["-c", &file.display().to_string(), "--concurrency", "1", "-l", "warn", "--use-dynamic-base-id"];
    let _envoy = Running::start(program, &arguments);
    let mut differences = Vec::new();
    for (mode, port) in MODES.iter().zip(ports) {
        let ours = proxy(format!(
            "[listeners.edge]\nprotocol = 'tcp'\ncluster = 'origin'\nfilters = ['network']\n\
             [filters.network]\nmodule = '{}'\nconfig = '{mode}'\n[clusters.origin]\nendpoints = ['{our_upstream}']\n",
            guest("pw-network")
        ));
        for pieces in SENT {
            let mut told = String::new();
            // What differs on a busy machine is a matter of time, and asked again: a difference of kind stays.
            let mut tries = 0..3;
            let same = loop {
                if tries.next().is_none() {
                    break false;
                }
                let their_answer = say(SocketAddr::from(([127, 0, 0, 1], port)), pieces).await;
                let our_answer = say(ours.address(), pieces).await;
                let take = |got: &Arc<Mutex<Vec<String>>>| got.lock().unwrap().drain(..).collect::<Vec<_>>();
                let (theirs, ours) = ((their_answer, take(&theirs_got)), (our_answer, take(&ours_got)));
                if theirs == ours {
                    break true;
                }
                told = format!("{mode} {pieces:?}\n  Envoy: {theirs:?}\n  here:  {ours:?}");
            };
            if !same {
                differences.push(told);
            }
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
