//! Datagrams: sessions by the client's address, replies from where the client asked, a real DNS server behind it.

use std::net::SocketAddr;

use tamis_tests::command::{Running, output, python, python_script, stderr, stdout};
use tamis_tests::{Proxy, proxy, refused, scenario};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// An endpoint that answers each datagram with its name, who sent it, and the datagram.
struct Named {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Named {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn named(name: &'static str) -> Named {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("there is a port");
    let address = socket.local_addr().expect("it is bound");
    let serving = tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            let answer = [format!("{name} {} ", from.port()).as_bytes(), &buffer[..count]].concat();
            socket.send_to(&answer, from).await.ok();
        }
    });
    Named { address, serving }
}

fn to(endpoint: SocketAddr, more: &str) -> Proxy {
    proxy(format!(
        "workers = 2\n[listeners.edge]\nprotocol = 'udp'\ncluster = 'origin'\n{more}\n[clusters.origin]\nendpoints = ['{endpoint}']\n"
    ))
}

async fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("there is a port");
    // From now on it takes nothing from anybody else.
    socket.connect(to).await.expect("it can be connected");
    socket
}

/// Its answer: a name, the port that the endpoint saw, and the rest.
async fn ask(client: &UdpSocket, bytes: &[u8]) -> (String, String, Vec<u8>) {
    client.send(bytes).await.expect("it is sent");
    let mut buffer = vec![0; 65_535];
    let count = client.recv(&mut buffer).await.expect("an answer comes");
    let mut parts = buffer[..count].splitn(3, |byte| *byte == b' ');
    let mut text = || String::from_utf8_lossy(parts.next().expect("three parts")).into_owned();
    (text(), text(), parts.next().expect("three parts").to_vec())
}

scenario!(a_client_keeps_its_session_and_has_it_alone);
async fn a_client_keeps_its_session_and_has_it_alone() {
    let origin = named("one").await;
    let proxy = to(origin.address, "timeouts = { udp-idle = '300ms' }");
    let (a, b) = (client(proxy.address()).await, client(proxy.address()).await);
    let (name, first, rest) = ask(&a, b"x y").await;
    assert_eq!((name.as_str(), rest.as_slice()), ("one", &b"x y"[..]));
    assert_eq!(ask(&a, b"again").await.1, first);
    assert_ne!(ask(&b, b"x").await.1, first);
    assert_eq!(ask(&a, &[7; 20_000]).await.2, [7; 20_000], "as large as they come");
    let line = &proxy.access_log().lines(2).await[1];
    assert_eq!((&line["protocol"], &line["reason"], &line["cluster"]), (&"udp".into(), &"upstream".into(), &"origin".into()));
    let series = |name: &str, more: &str| format!("tamis_udp_{name}{{listener=\"edge\",cluster=\"origin\"{more}}}");
    proxy.metric_becomes(&series("sessions_total", ",reason=\"upstream\""), |count| count == 2.0).await;
    proxy.metric_becomes(&series("sessions_active", ""), |count| count == 0.0).await;
    proxy.metric_becomes(&series("received_bytes_total", ""), |bytes| bytes == 20_009.0).await;
    assert_ne!(ask(&a, b"x").await.1, first, "nothing moved for too long: another session");
}

scenario!(sessions_are_limited);
async fn sessions_are_limited() {
    let origin = named("one").await;
    let proxy = to(origin.address, "limits = { connections = 1 }");
    let (a, b) = (client(proxy.address()).await, client(proxy.address()).await);
    ask(&a, b"x").await;
    b.send(b"x").await.expect("it is sent");
    proxy.metric_becomes("tamis_connections_refused_total{listener=\"edge\"}", |count| count == 1.0).await;
    ask(&a, b"the first goes on").await;
}

scenario!(sessions_are_balanced_and_an_endpoint_that_takes_nothing_is_left);
async fn sessions_are_balanced_and_an_endpoint_that_takes_nothing_is_left() {
    let (one, two) = (named("one").await, named("two").await);
    let gone = named("gone").await.address;
    let proxy = proxy(format!(
        "[listeners.edge]\nprotocol = 'udp'\ncluster = 'origin'\n[clusters.origin]\nbalance = 'round-robin'\n\
         endpoints = ['{}', '{}', '{gone}']\noutliers = {{ local-failures = 1 }}\n",
        one.address, two.address
    ));
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let client = client(proxy.address()).await;
        // The first to the one that is gone finds that out; the next has another session.
        loop {
            client.send(b"x").await.expect("it is sent");
            let mut buffer = [0; 64];
            let answer = tokio::time::timeout(std::time::Duration::from_millis(200), client.recv(&mut buffer)).await;
            if let Ok(Ok(count)) = answer {
                names.insert(String::from_utf8_lossy(&buffer[..count.min(3)]).into_owned());
                break;
            }
        }
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    let clusters = proxy.admin("/clusters/origin").await;
    assert!(clusters.text().contains("unconnected") && clusters.text().contains("connected"), "{}", clusters.text());
}

scenario!(replies_come_from_the_address_that_was_asked);
async fn replies_come_from_the_address_that_was_asked() {
    let origin = named("one").await;
    let proxy = to(origin.address, "listen = '0.0.0.0:0'");
    for address in ["127.0.0.1", "127.0.0.9"] {
        let client = client(SocketAddr::new(address.parse().expect("an address"), proxy.address().port())).await;
        assert_eq!(ask(&client, b"x").await.0, "one", "{address}");
    }
}

scenario!(a_session_outlives_reloads_and_ends_with_the_drain);
async fn a_session_outlives_reloads_and_ends_with_the_drain() {
    let (one, two) = (named("one").await, named("two").await);
    let mut proxy = to(one.address, "");
    let old = client(proxy.address()).await;
    assert_eq!(ask(&old, b"x").await.0, "one");
    proxy.rewrite(format!(
        "workers = 2\n[listeners.edge]\nprotocol = 'udp'\ncluster = 'other'\n[clusters.other]\nendpoints = ['{}']\n",
        two.address
    ));
    while ask(&client(proxy.address()).await, b"x").await.0 != "two" {}
    assert_eq!(ask(&old, b"x").await.0, "one");
    proxy.handle().drain();
    proxy.ended().await;
}

scenario!(dns_goes_through_it);
async fn dns_goes_through_it() {
    let mut server = Running::start(python(), &[python_script("dns_server.py").to_str().unwrap()]);
    let line = server.prints("port ").await;
    let port: u16 = line.trim_start_matches("port ").parse().expect("the server prints its port");
    let proxy = to(SocketAddr::from(([127, 0, 0, 1], port)), "");
    let ran = output(python(), &[python_script("dns_client.py").to_str().unwrap(), &proxy.address().to_string()]).await;
    assert!(ran.status.success() && stdout(&ran).ends_with("all passed\n"), "{}{}", stdout(&ran), stderr(&ran));
}

scenario!(what_makes_no_sense_for_datagrams_is_refused);
async fn what_makes_no_sense_for_datagrams_is_refused() {
    for (more, expected) in [
        ("", "`cluster` is missing"),
        ("cluster = 'a'\nfilters = ['acl']", "neither"),
        ("cluster = 'a'\ntcp = { cluster = 'a' }", "no connections"),
        ("cluster = 'a'\nproxy-protocol = 'required'\ntrusted = ['10.0.0.0/8']", "datagrams have none"),
    ] {
        let said = refused(format!(
            "[listeners.edge]\nlisten = '127.0.0.1:0'\nprotocol = 'udp'\n{more}\n[clusters.a]\nendpoints = ['127.0.0.1:1']\n\
             [filters.acl]\nmodule = 'builtin:acl'\n"
        ));
        assert!(said.contains(expected), "{more}: {said}");
    }
}
