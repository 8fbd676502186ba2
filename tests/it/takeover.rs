//! Another process takes over from one that serves: no connection is refused, what is under way lives until the drain deadline, and
//! a successor that fails changes nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tamis_tests::command::{Running, output, stderr, stdout};
use tamis_tests::proxy::replace;
use tamis_tests::{Origin, Raw, Reply, origin, scenario};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");
const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

/// An origin that says hello, and after an upgrade sends back what it is sent.
fn echoing() -> Origin {
    origin()
        .route("/", "here")
        .route_fn("/chat", |mut request| async move {
            let upgrading = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrading.await.expect("the proxy upgrades"));
                let mut piece = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut piece).await {
                    stream.write_all(&piece[..count]).await.ok();
                }
            });
            Reply::new(101).header("connection", "upgrade").header("upgrade", "websocket")
        })
        .run()
}

/// A process that serves, with its admin at a socket in its folder.
struct Serving {
    running: Running,
    address: SocketAddr,
    folder: TempDir,
    text: String,
}

/// Ends with the test: nobody is its parent any more.
struct Heir(u64);

impl Drop for Heir {
    fn drop(&mut self) {
        std::process::Command::new("kill").args(["-KILL", &self.0.to_string()]).status().ok();
    }
}

impl Serving {
    async fn start(origin: &Origin, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "drain = {{ pre-stop = '5s', timeout = '20s' }}\n[admin]\nlisten = 'unix:{0}/admin.sock'\n[state]\ndirectory = '{0}/state'\n[access-log]\noutput = 'off'\n\
             [listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("tamis.toml"), format!("{more}\n{text}")).unwrap();
        let file = folder.path().join("tamis.toml");
        let mut running = Running::start(TAMIS, &["run", "-c", file.to_str().unwrap()]);
        let line = running.logs("listener=edge").await;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self { running, address: address.expect("the log tells where the listener is"), folder, text }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tamis.toml")
    }

    fn rewrite(&self, more: &str) {
        replace(&self.file(), format!("{more}\n{}", self.text).as_bytes());
    }

    fn admin(&self) -> String {
        format!("unix:{}/admin.sock", self.folder.path().display())
    }

    /// Whether it succeeded, and what it said.
    async fn upgrade(&self, more: &[&str]) -> (bool, String) {
        let admin = self.admin();
        let ran = output(TAMIS, &[&["upgrade", "--admin", &admin][..], more].concat()).await;
        (ran.status.success(), format!("{}{}", stdout(&ran), stderr(&ran)))
    }

    async fn process(&self) -> u64 {
        self.admin_get("/version").await["pid"].as_u64().expect("the admin tells which process it is")
    }

    async fn admin_get(&self, path: &str) -> serde_json::Value {
        let socket = self.folder.path().join("admin.sock");
        let ran = output("curl", &["-s", "--unix-socket", socket.to_str().unwrap(), &format!("http://localhost{path}")]).await;
        serde_json::from_str(stdout(&ran)).unwrap_or_else(|_| panic!("{path}: {}", stdout(&ran)))
    }

    async fn get(&self) -> String {
        let mut raw = Raw::plain(self.address).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        raw.answer().await.1
    }
}

async fn tunnel(address: SocketAddr) -> Raw {
    let mut raw = Raw::plain(address).await;
    raw.send(ASK).await;
    assert_eq!(raw.head().await.status, 101);
    raw
}

async fn echoes(tunnel: &mut Raw, word: &str) {
    tunnel.send(word).await;
    assert_eq!(tunnel.read(word.len()).await, word.as_bytes());
}

scenario!(another_process_takes_over_and_nobody_notices);
async fn another_process_takes_over_and_nobody_notices() {
    let origin = echoing();
    let mut serving = Serving::start(&origin, "workers = 3").await;
    let before = serving.process().await;
    let mut tunnels = Vec::new();
    for _ in 0..5 {
        tunnels.push(tunnel(serving.address).await);
    }
    let (address, stop) = (serving.address, tokio::sync::watch::channel(false));
    let asking = tokio::spawn(async move {
        let mut asked = 0;
        while !*stop.1.borrow() {
            let mut raw = Raw::plain(address).await;
            raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            assert_eq!(raw.answer().await.1, "here");
            asked += 1;
        }
        asked
    });
    // Fewer workers than there are sockets: each socket of the group is accepted from all the same.
    serving.rewrite("workers = 1");
    let (done, said) = serving.upgrade(&[]).await;
    assert!(done, "{said}");
    let heir = Heir(serving.process().await);
    assert_ne!(heir.0, before, "{said}");
    assert!(said.contains(&format!("process {} serves, with 4 sockets of process {before}", heir.0)), "{said}");
    for _ in 0..60 {
        assert_eq!(serving.get().await, "here");
    }
    stop.0.send_replace(true);
    assert!(asking.await.unwrap() > 0);
    for tunnel in &mut tunnels {
        echoes(tunnel, "still here").await;
    }
    drop(tunnels);
    assert_eq!(serving.running.exit_code_alone().await, Some(0), "the old one ends with the last tunnel");
    assert_eq!(serving.get().await, "here");
    // Its successor can be succeeded as well, and the state directory is free for it.
    let (done, said) = serving.upgrade(&[]).await;
    assert!(done, "{said}");
    let second = Heir(serving.process().await);
    assert_ne!(second.0, heir.0);
    assert_eq!(serving.get().await, "here");
}

/// Answers each datagram with what is in it.
async fn datagrams() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&buffer[..count], from).await.ok();
        }
    });
    (address, serving)
}

async fn asker(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

/// Waits for the answer: one that is lost never comes.
async fn answers(client: &UdpSocket, number: u32) {
    let asked = number.to_be_bytes();
    client.send(&asked).await.unwrap();
    let mut buffer = [0; 64];
    let count = client.recv(&mut buffer).await.unwrap();
    assert_eq!(buffer[..count], asked);
}

scenario!(no_datagram_is_lost_when_another_process_takes_over);
async fn no_datagram_is_lost_when_another_process_takes_over() {
    let (origin, (endpoint, echoing)) = (echoing(), datagrams().await);
    let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let more = format!(
        "workers = 3\nlisteners.dns = {{ listen = '{address}', protocol = 'udp', cluster = 'datagrams', timeouts = {{ udp-idle = '1s' }} }}\nclusters.datagrams = {{ endpoints = ['{endpoint}'] }}"
    );
    let mut serving = Serving::start(&origin, &more).await;
    let stop = tokio::sync::watch::channel(false);
    // One has a session that is never idle, so that the old process stays; others come anew all the time.
    let busy = tokio::spawn(async move {
        let (client, mut asked) = (asker(address).await, 0);
        while !*stop.1.borrow() {
            answers(&client, asked).await;
            // Each has a session for a while, and there may be only so many.
            if asked.is_multiple_of(64) {
                answers(&asker(address).await, asked).await;
            }
            asked += 1;
        }
        asked
    });
    let before = serving.process().await;
    let (done, said) = serving.upgrade(&[]).await;
    assert!(done, "{said}");
    let heir = Heir(serving.process().await);
    assert_ne!(heir.0, before, "{said}");
    for number in 0..50 {
        answers(&asker(address).await, number).await;
    }
    assert_eq!(serving.running.exit_code_alone().await, Some(0), "nothing holds the old one: {}", serving.running.said);
    stop.0.send_replace(true);
    assert!(busy.await.unwrap() > 0);
    answers(&asker(address).await, 7).await;
    echoing.abort();
}

scenario!(a_signal_asks_for_a_successor_too);
async fn a_signal_asks_for_a_successor_too() {
    let origin = echoing();
    let mut serving = Serving::start(&origin, "workers = 1").await;
    serving.rewrite("workers = 2");
    serving.running.signal("USR2").await;
    serving.running.logs("another process serves").await;
    let heir = Heir(serving.process().await);
    assert_ne!(Some(heir.0), serving.running.process().map(u64::from));
    for _ in 0..20 {
        assert_eq!(serving.get().await, "here");
    }
    assert_eq!(serving.running.exit_code_alone().await, Some(0));
}

scenario!(a_successor_that_fails_changes_nothing);
async fn a_successor_that_fails_changes_nothing() {
    let origin = echoing();
    let mut serving = Serving::start(&origin, "workers = 1\nupgrade = { deadline = '1s' }").await;
    let process = serving.process().await;
    let script = |name: &str, text: &str| {
        let path = serving.folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cases = [
        (script("crashes", "echo it is broken >&2; kill -SEGV $$"), "signal: 11", "it is broken"),
        (script("hangs", "echo it is tired >&2; exec sleep 60"), "not ready within 1s", "it is tired"),
        (serving.folder.path().join("nowhere").to_str().unwrap().to_owned(), "cannot start", "nowhere"),
    ];
    for (binary, how, why) in &cases {
        let (done, said) = serving.upgrade(&["--binary", binary]).await;
        assert!(!done && said.contains(how) && said.contains(why), "{binary}: {said}");
        assert!(said.contains("nothing has changed"), "{said}");
    }
    serving.rewrite("workers = 'many'");
    let (done, said) = serving.upgrade(&[]).await;
    assert!(!done && said.contains("exit status: 1") && said.contains("found \"many\""), "what it printed: {said}");
    assert_eq!((serving.process().await, serving.get().await.as_str()), (process, "here"));
    serving.running.signal("TERM").await;
    assert_eq!(serving.running.exit_code().await, Some(0));
}

scenario!(what_a_successor_does_not_want_is_told);
async fn what_a_successor_does_not_want_is_told() {
    let origin = echoing();
    let serving = Serving::start(&origin, "workers = 1\nlisteners.other.listen = '127.0.0.1:0'").await;
    let folder = serving.folder.path();
    std::fs::write(folder.join("less.toml"), &serving.text).unwrap();
    let script = folder.join("less");
    std::fs::write(&script, format!("#!/bin/sh\nexec {TAMIS} run -c {}/less.toml\n", folder.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (done, said) = serving.upgrade(&["--binary", script.to_str().unwrap()]).await;
    assert!(done && said.contains("does not listen on 127.0.0.1:") && said.contains("(`other`)"), "{said}");
    let _heir = Heir(serving.process().await);
    assert_eq!(serving.get().await, "here");
}

scenario!(another_program_is_not_started_for_just_anybody);
async fn another_program_is_not_started_for_just_anybody() {
    let proxy = tamis_tests::Edge::HTTP1_PLAIN.proxy("[listeners.edge]\n");
    let operator = proxy.operator().await;
    let answer = operator.post("/upgrade", r#"{"binary": "/bin/true"}"#).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let answer = operator.post("/upgrade", r#"{"binary": "true"}"#).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let answer = operator.post("/upgrade", "").await;
    assert!(answer.status == 409 && answer.text().contains("part of another program"), "{}", answer.text());
}

/// The listening socket as descriptor 3, as a service manager passes it.
fn activated(folder: &Path, text: &str, name: &str) -> (Running, SocketAddr) {
    let file = folder.join("tamis.toml");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::fs::write(&file, text.replace("ADDRESS", &address.to_string())).unwrap();
    let script = format!("exec 3<&0 </dev/null; exec {TAMIS} run -c {}", file.display());
    let running = Running::start_with("sh", &["-c", &script], |command| {
        command.stdin(std::os::fd::OwnedFd::from(socket)).env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
    });
    (running, address)
}

scenario!(a_service_manager_may_have_opened_the_socket);
async fn a_service_manager_may_have_opened_the_socket() {
    let origin = echoing();
    let text = format!(
        "workers = 2\ndrain = {{ pre-stop = '0s' }}\n[listeners.edge]\nlisten = 'ADDRESS'\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']\n"
    );
    for (name, text) in [("tamis.socket", text.clone()), ("edge", text.replace("ADDRESS", "127.0.0.1:0"))] {
        let folder = tempfile::tempdir().unwrap();
        let (mut running, address) = activated(folder.path(), &text, name);
        // Whoever connects before it serves waits in the queue.
        let mut raw = Raw::plain(address).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(raw.answer().await.1, "here", "{name}");
        drop(raw);
        running.signal("TERM").await;
        assert_eq!(running.exit_code().await, Some(0), "{name}: {}", running.said);
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut running, address) = activated(folder.path(), &text.replace("ADDRESS", "127.0.0.1:0"), "nobodys");
    assert_eq!(running.exit_code().await, Some(1));
    assert!(running.said.contains(&format!("{address} (`nobodys`)")), "{}", running.said);
}

scenario!(systemd_starts_it_when_somebody_comes);
async fn systemd_starts_it_when_somebody_comes() {
    if output("sh", &["-c", "command -v systemd-socket-activate"]).await.status.code() != Some(0) {
        eprintln!("SKIPPED: there is no systemd-socket-activate");
        return;
    }
    let origin = echoing();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tamis.toml");
    // Somebody else may get the port before systemd does; then it is tried again.
    loop {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "drain = {{ pre-stop = '0s' }}\n[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'o'\n[clusters.o]\nendpoints = ['{origin}']\n"
        );
        std::fs::write(&file, text).unwrap();
        let listen = format!("--listen={address}");
        let arguments = [&listen, "--fdname=edge", TAMIS, "run", "-c", file.to_str().unwrap()];
        let mut running = Running::start("systemd-socket-activate", &arguments);
        let line = running.logs(" ").await;
        if !line.contains("Listening on") {
            continue;
        }
        let mut raw = Raw::plain(address).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(raw.answer().await.1, "here");
        drop(raw);
        running.signal("TERM").await;
        assert_eq!(running.exit_code().await, Some(0), "{}", running.said);
        return;
    }
}

scenario!(a_service_manager_hears_what_happens);
async fn a_service_manager_hears_what_happens() {
    let origin = echoing();
    let folder = tempfile::tempdir().unwrap();
    let manager = tokio::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let file = folder.path().join("tamis.toml");
    std::fs::write(
        &file,
        format!("drain = {{ pre-stop = '0s' }}\n[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'o'\n[clusters.o]\nendpoints = ['{origin}']\n"),
    )
    .unwrap();
    let mut running = Running::start_with(TAMIS, &["run", "-c", file.to_str().unwrap()], |command| {
        command.env("NOTIFY_SOCKET", folder.path().join("notify")).env("WATCHDOG_USEC", "200000");
    });
    let hears = async |what: &str| loop {
        let mut message = [0; 512];
        let count = manager.recv(&mut message).await.unwrap();
        let message = String::from_utf8_lossy(&message[..count]).into_owned();
        if message.contains(what) {
            return message;
        }
    };
    assert!(hears("READY=1").await.contains(&format!("MAINPID={}", running.process().unwrap())));
    hears("WATCHDOG=1").await;
    running.signal("HUP").await;
    assert!(hears("RELOADING=1").await.contains("MONOTONIC_USEC="));
    hears("READY=1").await;
    running.signal("TERM").await;
    hears("STOPPING=1").await;
    assert_eq!(running.exit_code().await, Some(0));
}

scenario!(tunnels_survive_a_reload_without_their_listener);
async fn tunnels_survive_a_reload_without_their_listener() {
    let origin = echoing();
    let serving = Serving::start(&origin, "workers = 1").await;
    let mut tunnel = tunnel(serving.address).await;
    replace(
        &serving.file(),
        serving.text.replace("listeners.edge", "listeners.other").replace("127.0.0.1:0", "127.0.0.2:0").as_bytes(),
    );
    while tokio::net::TcpStream::connect(serving.address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for word in ["one", "two"] {
        echoes(&mut tunnel, word).await;
    }
}
