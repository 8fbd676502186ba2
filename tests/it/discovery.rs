//! Endpoints come and go: a watched list in a file, and services in DNS. Nobody else is touched by it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tamis_tests::command::{Running, output, stderr, stdout};
use tamis_tests::proxy::replace;
use tamis_tests::{Client, Origin, Proxy, origin, proxy, raw_origin_at, refused, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");
/// How often what nobody announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn listed(file: &Path) -> String {
    format!(
        "[listeners.edge]\ncluster = 'users'\n[listeners.edge.limits]\nrequests-per-connection = 0\n\
         [clusters.users]\nendpoints-file = '{}'\nbalance = 'round-robin'",
        file.display()
    )
}

/// Whoever answers now, each once.
async fn answers(client: &Client) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = client.get("/").await;
        answers.push(if answer.status == 200 { answer.text().to_owned() } else { answer.reason().unwrap_or("?").to_owned() });
    }
    answers.sort();
    answers.dedup();
    answers
}

async fn become_(client: &Client, wished: &[&str]) {
    while answers(client).await != wished {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn named(name: &'static str) -> Origin {
    origin().route("/", name).run()
}

scenario!(a_list_is_watched_and_a_bad_one_changes_nothing);
async fn a_list_is_watched_and_a_bad_one_changes_nothing() {
    let (one, two, three) = (named("one"), named("two"), named("three"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.list");
    std::fs::write(&file, format!("# first\n{one}\n")).unwrap();
    let proxy = proxy(format!("workers = 1\n{}", listed(&file)));
    let client = proxy.client().await;
    assert_eq!(answers(&client).await, ["one"]);
    replace(&file, format!("{one}\n{{ address = '{two}', labels = {{ zone = 'a' }} }}\n").as_bytes());
    become_(&client, &["one", "two"]).await;
    let shown = proxy.admin("/clusters/users").await.json();
    assert_eq!(shown["endpoints"][1]["labels"]["zone"], "a", "{shown}");
    for bad in ["nonsense", "[\"10.0.0.1\"]", "users.internal:80", "{ address = 7 }"] {
        replace(&file, bad.as_bytes());
        proxy.handle().reload();
        for _ in 0..3 {
            assert_eq!(answers(&client).await, ["one", "two"], "{bad}");
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(answers(&client).await, ["one", "two"]);
    replace(&file, format!("[\"{one}\", {{\"address\": \"{three}\"}}]").as_bytes());
    become_(&client, &["one", "three"]).await;
    assert_eq!(one.connections(), 1, "who stays keeps its connections");
    replace(&file, b"");
    become_(&client, &["no-endpoint"]).await;
}

scenario!(a_bad_list_is_told_before_anything_starts);
async fn a_bad_list_is_told_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.list");
    let config = format!(
        "{}\n[listeners.other]\nlisten = '127.0.0.1:0'",
        listed(&file).replace("'users'", "'users'\nlisten = '127.0.0.1:0'")
    );
    assert!(refused(&config).contains("cannot read the list of endpoints"), "{}", refused(&config));
    std::fs::write(&file, "10.0.0.1:80\n10.0.0.2\n").unwrap();
    let said = refused(&config);
    assert!(said.contains("users.list:2:1") && said.contains("the port is missing"), "{said}");
    let tamis = folder.path().join("tamis.toml");
    std::fs::write(&tamis, &config).unwrap();
    let checked = output(TAMIS, &["check", "-c", tamis.to_str().unwrap()]).await;
    let said = format!("{}{}", stdout(&checked), stderr(&checked));
    assert!(checked.status.code() == Some(1) && said.contains("endpoints-file"), "{said}");
}

/// Requests one after the other until it is told to stop; every answer has to be good.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<usize>>,
}

impl Load {
    async fn start(proxy: &Proxy, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for _ in 0..clients {
            let (client, stop) = (proxy.client().await, Arc::clone(&stop));
            tasks.push(tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.get("/").await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    count += 1;
                }
                count
            }));
        }
        Self { stop, tasks }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        let mut count = 0;
        for task in self.tasks {
            count += task.await.expect("no request fails");
        }
        count
    }
}

scenario!(no_request_fails_while_thousands_of_endpoints_are_replaced);
async fn no_request_fails_while_thousands_of_endpoints_are_replaced() {
    const ENDPOINTS: u8 = 100;
    // Who listens at every address of this machine serves the whole of 127.0.0.0/8.
    let origin = raw_origin_at(([0, 0, 0, 0], 0).into(), async |mut connection| {
        while !connection.head().await.is_empty() {
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere").await;
        }
    })
    .await;
    let address = |net: u8, one: u8, two: u8| SocketAddr::from(([127, net, one, two], origin.address.port()));
    let list = |net: u8| -> String {
        let pairs = (0..20).flat_map(|one| (1..=ENDPOINTS).map(move |two| (one, two)));
        pairs.map(|(one, two)| format!("{}\n", address(net, one, two))).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.list");
    std::fs::write(&file, list(1)).unwrap();
    let proxy = proxy(listed(&file));
    let load = Load::start(&proxy, 4).await;
    for net in 2..6 {
        replace(&file, list(net).as_bytes());
        let wished = address(net, 0, 1).to_string();
        loop {
            let shown = proxy.admin("/clusters/users").await.json();
            if shown["endpoints"][0]["address"] == wished {
                assert_eq!(shown["count"], 20 * u32::from(ENDPOINTS));
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    assert!(load.end().await > 0);
}

scenario!(no_request_fails_while_the_fleet_restarts_one_after_the_other);
/// The fleet are real processes: each a proxy of its own that drains on SIGTERM, in front of one origin.
async fn no_request_fails_while_the_fleet_restarts_one_after_the_other() {
    const FLEET: usize = 3;
    let origin = origin().route("/", "here").forgetting().run();
    let folder = tempfile::tempdir().unwrap();
    let start = |address: SocketAddr, place: usize| {
        let file = folder.path().join(format!("{place}.toml"));
        let config = format!(
            "workers = 1\n[access-log]\noutput = 'off'\n[drain]\npre-stop = '0s'\n[listeners.edge]\nlisten = '{address}'\n\
             cluster = 'origin'\n[listeners.edge.limits]\nrequests-per-connection = 0\n[clusters.origin]\nendpoints = ['{origin}']"
        );
        std::fs::write(&file, config).unwrap();
        Running::start(TAMIS, &["run", "-c", file.to_str().unwrap()])
    };
    let listens = async |address| {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let mut fleet = Vec::new();
    for place in 0..FLEET {
        // Of 127.0.0.2, where nobody else is given a port by chance.
        let free = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        fleet.push((free, start(free, place)));
        listens(free).await;
    }
    let endpoints: Vec<_> = fleet.iter().map(|(address, _)| format!("'{address}'")).collect();
    let proxy = proxy(format!(
        "[listeners.edge]\nfilters = ['router']\n[listeners.edge.limits]\nrequests-per-connection = 0\n\
         [filters.router]\nmodule = 'builtin:router'\ndeadline = '1s'\n[[filters.router.config.routes]]\nto = 'fleet'\n\
         retry = {{ attempts = 3, on = ['reset', 'connect'] }}\n\
         [clusters.fleet]\nendpoints = [{}]\noutliers = {{ ejection = '1s', ejection-jitter = '0s' }}",
        endpoints.join(", ")
    ));
    let load = Load::start(&proxy, 4).await;
    for (place, (address, running)) in fleet.iter_mut().enumerate() {
        running.signal("TERM").await;
        assert_eq!(running.exit_code().await, Some(0), "{}", running.said);
        *running = start(*address, place);
        listens(*address).await;
        // As whoever restarts a fleet does: were two of three left out or down, retries would take more than their budget.
        proxy.metric_becomes("tamis_cluster_endpoints{cluster=\"fleet\",state=\"in\"}", |well| well == FLEET as f64).await;
    }
    assert!(load.end().await > 0);
}
