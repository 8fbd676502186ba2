//! The SPIFFE Workload API says who the proxy is, and says so again.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tamis_tests::body::{self, Body};
use tamis_tests::certificates::{self, Authority, Certificate};
use tamis_tests::{Edge, client, origin, refused, scenario};
use tokio::net::UnixListener;
use tokio::sync::watch;

/// An agent that says this to whoever asks, and every new word to those who listen.
struct Agent {
    word: watch::Sender<Bytes>,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Agent {
    fn says(word: Bytes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (sender, receiver) = watch::channel(word);
        // On a thread of its own: the proxy asks while the scenario waits for its start.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, receiver));
        });
        Self { word: sender, socket, _folder: folder }
    }
}

async fn serve(listener: std::os::unix::net::UnixListener, word: watch::Receiver<Bytes>) {
    let listener = UnixListener::from_std(listener).unwrap();
    let mut over = word.clone();
    let serving = async {
        while let Ok((stream, _)) = listener.accept().await {
            let word = word.clone();
            let service = service_fn(move |request| answer(request, word.clone()));
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    };
    let ended = async { while over.changed().await.is_ok() {} };
    tokio::select! {
        () = serving => {}
        () = ended => {}
    }
}

async fn answer(request: Request<Incoming>, mut word: watch::Receiver<Bytes>) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
    assert_eq!(request.headers()["workload.spiffe.io"], "true");
    let (feed, body) = body::channel();
    tokio::spawn(async move {
        loop {
            let said = word.borrow_and_update().clone();
            // In two pieces, for nobody promises whole messages.
            feed.send(said.slice(..7)).await;
            feed.send(said.slice(7..)).await;
            if word.changed().await.is_err() {
                return;
            }
        }
    });
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// A message of gRPC with one identity.
fn word(id: &str, certificate: &Certificate, authority: &Authority) -> Bytes {
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let svid = [
        field(1, id.as_bytes()),
        field(2, certificate.der()),
        field(3, key.secret_der()),
        field(4, authority.der()),
        field(5, b"a hint that nobody reads"),
    ];
    let message = field(1, &svid.concat());
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

fn text(socket: &Path, directory: &Path, upstream: &str) -> String {
    let file = |name: &str| directory.join(name).display().to_string();
    let (chain, key, bundle) = (file("svid.pem"), file("svid.key"), file("bundle.pem"));
    format!(
        r#"
        [spiffe]
        socket = "{}"
        directory = "{}"
        wait = "300ms"
        [listeners.edge]
        listen = "127.0.0.1:0"
        cluster = "users"
        tls = {{ certificates = [{{ chain = "{chain}", key = "{key}" }}] }}
        [clusters.users]
        endpoints = ["{upstream}"]
        tls = {{ ca = ["{bundle}"], certificate = "{chain}", key = "{key}", trust-domain = "prod" }}
        "#,
        socket.display(),
        directory.display()
    )
}

scenario!(who_the_proxy_is_comes_from_the_workload_api);
async fn who_the_proxy_is_comes_from_the_workload_api() {
    let authority = certificates::authority();
    let svid = |name: &str| authority.certificate(&[name, "edge.test"]).make();
    let (first, next) = (svid("spiffe://prod/edge"), svid("spiffe://prod/edge"));
    let users = authority.certificate(&["spiffe://prod/users"]).make();
    let origin = origin().route("/", "here").tls_config(users.mutual_server_config(&authority, &[b"h2"])).run();
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::says(word("spiffe://prod/edge", &first, &authority));
    let proxy = tamis_tests::proxy(text(&agent.socket, folder.path(), &origin.to_string()));
    // A session that is taken up would bring the certificate from before.
    let connect = async || {
        let config = Arc::new(authority.client_config());
        client::connect(proxy.address()).edge(Edge::HTTP2_TLS).tls(&config).open().await
    };
    let before = connect().await;
    assert!(first.is(before.certificate()));
    assert_eq!(before.get("/").await.text(), "here", "both sides know each other");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(folder.path().join("svid.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the key is for nobody else");
    agent.word.send(word("spiffe://prod/edge", &next, &authority)).unwrap();
    loop {
        let client = connect().await;
        if next.is(client.certificate()) {
            assert_eq!(client.get("/").await.text(), "here");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(before.get("/").await.text(), "here", "the connection from before goes on");
}

scenario!(without_an_agent_what_was_said_before_holds);
async fn without_an_agent_what_was_said_before_holds() {
    let authority = certificates::authority();
    let svid = authority.certificate(&["spiffe://prod/edge", "edge.test"]).make();
    let folder = tempfile::tempdir().unwrap();
    let nobody = folder.path().join("nobody.sock");
    let why = refused(text(&nobody, folder.path(), "127.0.0.1:9"));
    assert!(why.contains("the SPIFFE Workload API does not say who the proxy is: cannot connect to"), "{why}");
    for (from, to) in [(&svid.chain, "svid.pem"), (&svid.key, "svid.key"), (&authority.file(), "bundle.pem")] {
        std::fs::copy(from, folder.path().join(to)).unwrap();
    }
    let proxy = tamis_tests::proxy(text(&nobody, folder.path(), "127.0.0.1:9"));
    let config = Arc::new(authority.client_config());
    let client = client::connect(proxy.address()).edge(Edge::HTTP1_TLS).tls(&config).open().await;
    assert!(svid.is(client.certificate()));
}
