//! The experiment of "Beyond round robin: load balancing for latency" (Buoyant, March 2016): ten endpoints behind the proxy,
//! one of which turns slow, and clients that wait a second.
//!
//! `latency PAGE PLOT` runs it for round robin, least request and peak EWMA, writes the table into the page, between the
//! comments that say so, and the plot beside it. Everything is on this machine and over real sockets. Requests come at an
//! even pace, whatever becomes of those before, as they do from many clients; a client that has waited long enough leaves.

mod client;
mod plot;
mod service;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use client::Request;
use service::Service;
use tamis::app::App;
use tamis::config;

const ENDPOINTS: usize = 10;
/// Requests a second.
const RATE: u64 = 500;
const SECONDS: u64 = 40;
/// From here to the end one endpoint is slow.
const SLOW_FROM: u64 = 10;
const SLOW: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(1);
const POLICIES: [(&str, &str); 3] =
    [("round-robin", "round robin"), ("least-request", "least request"), ("peak-ewma", "peak EWMA")];

/// What came of one policy.
pub struct Run {
    pub name: &'static str,
    pub requests: Vec<Request>,
}

impl Run {
    /// Of the requests that were begun in these seconds, how many were answered in time, in percent.
    pub fn success(&self, seconds: std::ops::Range<u64>) -> f64 {
        let begun: Vec<_> = self.requests.iter().filter(|request| seconds.contains(&request.began.as_secs())).collect();
        let in_time = begun.iter().filter(|request| request.took.is_some()).count();
        100.0 * in_time as f64 / begun.len().max(1) as f64
    }

    /// One that failed took as long as its client waited.
    fn percentile(&self, percent: f64) -> Duration {
        let slow = self.requests.iter().filter(|request| request.began.as_secs() >= SLOW_FROM);
        let mut took: Vec<_> = slow.map(|request| request.took.unwrap_or(DEADLINE)).collect();
        took.sort_unstable();
        took.get(((took.len() as f64 * percent / 100.0) as usize).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [page, plot] = &arguments[..] else {
        eprintln!("usage: latency PAGE PLOT");
        return ExitCode::from(2);
    };
    let service = Service::start(ENDPOINTS);
    let runs = POLICIES.map(|(policy, name)| {
        service.make_slow(None);
        let proxy = proxy(policy, &service.addresses);
        let requests = client::run(proxy, Duration::from_secs(SECONDS), |second| {
            service.make_slow((second >= SLOW_FROM).then_some((ENDPOINTS / 2, SLOW)));
        });
        let run = Run { name, requests };
        println!("{policy} {:.3}", run.success(SLOW_FROM..SECONDS));
        run
    });
    let mut table =
        "| | in time before | in time while one is slow | p50 | p99 | p99.9 |\n|---|---|---|---|---|---|\n".to_owned();
    for run in &runs {
        let milliseconds = |percent| run.percentile(percent).as_millis();
        table += &format!(
            "| {} | {:.2} % | **{:.2} %** | {} ms | {} ms | {} ms |\n",
            run.name,
            run.success(0..SLOW_FROM),
            run.success(SLOW_FROM..SECONDS),
            milliseconds(50.0),
            milliseconds(99.0),
            milliseconds(99.9),
        );
    }
    print!("{table}");
    std::fs::write(plot, plot::svg(&runs)).expect("a plot that can be written");
    insert(Path::new(page), "latency", &table);
    ExitCode::SUCCESS
}

/// A proxy in this process, with as many workers as it would have by itself.
fn proxy(policy: &str, endpoints: &[SocketAddr]) -> SocketAddr {
    let endpoints: Vec<_> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
    let text = format!(
        "[access-log]\noutput = \"off\"\n[listeners.l]\nlisten = \"127.0.0.1:0\"\ncluster = \"service\"\n\
         [clusters.service]\nbalance = \"{policy}\"\nendpoints = [{}]\n",
        endpoints.join(", ")
    );
    let loaded = config::parse(&text, Path::new("latency.toml")).expect("a configuration of this experiment");
    let bound = App::build(loaded).expect("it builds");
    let address = bound.listener("l").expect("it is there");
    std::thread::spawn(move || bound.run());
    address
}

/// Puts a text between `<!-- NAME -->` and `<!-- /NAME -->`.
fn insert(page: &Path, name: &str, text: &str) {
    let before = std::fs::read_to_string(page).expect("a page that can be read");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (head, rest) = before.split_once(&begin).expect("a page with a place for the table");
    let (_, tail) = rest.split_once(&end).expect("a page with an end of the table");
    std::fs::write(page, format!("{head}{begin}{text}{end}{tail}")).expect("a page that can be written");
}
