//! A Redis of the system's package: started on an address of its own, stopped, killed and started again.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::certificates;
use crate::command::{Running, output, stdout};

/// It has a whole address of the loopback network to itself, so that nobody else can have the port.
const PORT: u16 = 6379;

/// A running Redis, killed when dropped.
pub struct Redis {
    running: Running,
    address: Ipv4Addr,
    options: Vec<String>,
    scheme: &'static str,
    folder: TempDir,
}

impl Redis {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With options of the command line, such as `--requirepass`.
    pub async fn with(options: &[&str]) -> Self {
        Self::at(address(), "redis", options.iter().map(|option| (*option).to_owned()).collect()).await
    }

    /// That speaks TLS and nothing else, with a certificate of the tests' authority.
    pub async fn tls() -> Self {
        let address = address();
        let certificate = certificates::certificate(&[&address.to_string()]);
        let path = |path: &std::path::Path| path.to_str().expect("the path is text").to_owned();
        let (chain, key, authority) = (path(&certificate.chain), path(&certificate.key), path(&certificates::authority_file()));
        let options = ["--port", "0", "--tls-port", "6379", "--tls-auth-clients", "no", "--tls-cert-file", &chain];
        let options = options.into_iter().chain(["--tls-key-file", &key, "--tls-ca-cert-file", &authority]);
        Self::at(address, "rediss", options.map(str::to_owned).collect()).await
    }

    /// A cluster of one node, which has all slots.
    pub async fn cluster() -> Self {
        let redis = Self::with(&["--cluster-enabled", "yes"]).await;
        assert_eq!(redis.cli(&["cluster", "addslotsrange", "0", "16383"]).await, "OK");
        while !redis.cli(&["cluster", "info"]).await.contains("cluster_state:ok") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        redis
    }

    async fn at(address: Ipv4Addr, scheme: &'static str, options: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let running = run(address, &options, &folder).await;
        Self { running, address, options, scheme, folder }
    }

    pub fn url(&self) -> String {
        format!("{}://{}:{PORT}", self.scheme, self.address)
    }

    /// It hangs: connections are still accepted, and nothing is answered.
    pub async fn hang(&self) {
        self.running.signal("STOP").await;
    }

    pub async fn go_on(&self) {
        self.running.signal("CONT").await;
    }

    pub async fn kill(&mut self) {
        self.running.signal("KILL").await;
        self.running.exit_code().await;
    }

    /// Anew at the same address, knowing nothing of what it had.
    pub async fn restart(&mut self) {
        self.running = run(self.address, &self.options, &self.folder).await;
    }

    /// What it says to a command.
    pub async fn cli(&self, command: &[&str]) -> String {
        let (address, port) = (self.address.to_string(), PORT.to_string());
        let place = ["-h", &address, "-p", &port];
        let said = output("redis-cli", &[&place, command].concat()).await;
        stdout(&said).trim().to_owned()
    }
}

async fn run(address: Ipv4Addr, options: &[String], folder: &TempDir) -> Running {
    let (address, port) = (address.to_string(), PORT.to_string());
    let folder = folder.path().to_str().expect("the path is text");
    let mut arguments = vec!["--bind", &address, "--port", &port, "--dir", folder, "--save", "", "--appendonly", "no"];
    arguments.extend(options.iter().map(String::as_str));
    let mut running = Running::start("redis-server", &arguments);
    running.prints("Ready to accept connections").await;
    running
}

/// Another one each time, and in each process.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id().to_be_bytes();
    let number = u8::try_from(NEXT.fetch_add(1, Ordering::Relaxed) % 200).expect("it is less than 200");
    Ipv4Addr::new(127, 20 + number, process[2], process[3].clamp(1, 254))
}
