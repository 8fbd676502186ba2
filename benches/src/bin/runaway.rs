//! A filter that never comes back, again and again, and what others on its worker wait for it.
//!
//! `runaway MODULE DEADLINE CALLS` calls the request hook of a module with a field `x-spin`, one call after the other on one worker,
//! while a client on another thread knocks every half millisecond. Both are measured: the CPU time of the worker's thread for each
//! call, made of all the polls that the call took, and the wall time from each knock until the worker looks at it. What the machine
//! itself adds is told by the same beside native work, which makes way at each twentieth of a millisecond. Prints lines of a name and microseconds for scripts, the rest for people.

use std::future::poll_fn;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tamis::exchange::Kind;
use tamis::filter::chain::Step;
use tamis::filter::limits::thread_cpu_time;
use tamis::filter::{Chain, Filter};
use tamis::worker::Worker;
use tamis_benches::{filter, filter_of, record};
use tokio::io::AsyncReadExt;

/// Between two knocks.
const PAUSE: Duration = Duration::from_micros(500);
/// How long native work goes on, and in what pieces of CPU time.
const NATIVE: Duration = Duration::from_secs(10);
const PIECE: Duration = Duration::from_micros(50);
/// Upper ends of the histogram's ranges, in microseconds.
const RANGES: [u64; 13] = [100, 250, 500, 1000, 1500, 2000, 3000, 5000, 8000, 13_000, 25_000, 50_000, 100_000];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, deadline, calls] = &arguments[..] else {
        eprintln!("usage: runaway MODULE DEADLINE CALLS");
        return ExitCode::from(2);
    };
    let calls = calls.parse().expect("a number of calls");
    let runaway = filter_of(module, "runaway", &format!("deadline = \"{deadline}\"\ntrip = {{ enabled = false }}"));
    let waits = runaway.module.prepared.waits(&runaway.identity);
    let worker = Worker::start(0).expect("a thread");
    let (pieces, native) = knocked(&worker, work);
    let (ran, busy) = knocked(&worker, move || run_away(runaway, calls));
    worker.stop();

    println!("{calls} calls stopped at a deadline of {deadline}, {}", if waits { "on a fiber" } else { "without a fiber" });
    told("call", "thread CPU time of a call", &ran.calls);
    told("slice", "thread CPU time without a break", &ran.slices);
    told("busy", "wait of others", &busy);
    told("piece", "thread CPU time of a piece of native work", &pieces);
    told("native", "wait of others beside native work", &native);
    histogram(&native, &busy);
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Ran {
    /// Of each call.
    calls: Vec<Duration>,
    /// Of each poll of each call.
    slices: Vec<Duration>,
}

/// Native work; the CPU time of each piece.
async fn work() -> Vec<Duration> {
    let end = Instant::now() + NATIVE;
    let mut pieces = Vec::new();
    while Instant::now() < end {
        let began = thread_cpu_time();
        let mut used = Duration::ZERO;
        while used < PIECE {
            used = thread_cpu_time().saturating_sub(began);
        }
        pieces.push(used);
        tokio::task::yield_now().await;
    }
    pieces
}

async fn run_away(filter: Arc<Filter>, calls: usize) -> Ran {
    let filters: Arc<[_]> = [filter].into();
    let mut ran = Ran::default();
    for _ in 0..calls {
        let chain = Chain::new(Arc::clone(&filters), Arc::default());
        let record = record("/");
        record.exchange_mut().request.headers.insert("x-spin", HeaderValue::from_static("1"));
        let mut request = pin!(chain.request(&record));
        let mut used = Duration::ZERO;
        let step = poll_fn(|context| {
            let began = thread_cpu_time();
            let polled = request.as_mut().poll(context);
            let slice = thread_cpu_time().saturating_sub(began);
            ran.slices.push(slice);
            used += slice;
            polled
        })
        .await;
        assert!(matches!(&step, Some(Step::Failed(failure)) if failure.kind == Kind::FilterFailed), "it was stopped: {step:?}");
        ran.calls.push(used);
        tokio::task::yield_now().await;
    }
    ran
}

/// Runs a job on the worker while somebody knocks; with what it brought, how long each knock waited.
fn knocked<T, F>(worker: &Worker, job: impl FnOnce() -> F + Send + 'static) -> (T, Vec<Duration>)
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let (mut client, server) = UnixStream::pair().expect("a pair of sockets");
    server.set_nonblocking(true).expect("a socket that does not block");
    let stop = client.try_clone().expect("a second handle");
    let router = filter("router", "config = { routes = [{ match = { path-prefix = \"/\" }, to = [{ cluster = \"users\" }] }] }");
    let epoch = Instant::now();
    let (ended, outcome) = std::sync::mpsc::sync_channel(1);
    let posting = worker.post(move || {
        let answering = tokio::task::spawn_local(answer(server, epoch, [router].into()));
        let job = job();
        tokio::task::spawn_local(async move {
            let outcome = job.await;
            let _ = stop.shutdown(Shutdown::Both);
            let waits = answering.await.expect("the other side did not panic");
            let _ = ended.send((outcome, waits));
        });
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    assert!(runtime.block_on(posting), "the worker works");
    loop {
        let knock = u64::try_from(epoch.elapsed().as_nanos()).expect("it does not run for centuries");
        if client.write_all(&knock.to_le_bytes()).is_err() {
            return outcome.recv().expect("the job did not panic");
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks at each knock, and lets a short exchange through.
async fn answer(server: UnixStream, epoch: Instant, filters: Arc<[Arc<Filter>]>) -> Vec<Duration> {
    let mut server = tokio::net::UnixStream::from_std(server).expect("the worker has a driver");
    let mut waits = Vec::new();
    let mut knock = [0; 8];
    while server.read_exact(&mut knock).await.is_ok() {
        waits.push(epoch.elapsed().saturating_sub(Duration::from_nanos(u64::from_le_bytes(knock))));
        let chain = Chain::new(Arc::clone(&filters), Arc::default());
        let step = chain.request(&record("/")).await;
        assert!(step.is_none(), "it is let through: {step:?}");
    }
    waits
}

fn told(name: &str, what: &str, times: &[Duration]) {
    let mut sorted: Vec<_> = times.iter().map(Duration::as_micros).collect();
    sorted.sort_unstable();
    let at =
        |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0);
    println!("  {what} ({} of them), us: p50 {} p90 {} p99 {} max {}", sorted.len(), at(50), at(90), at(99), at(100));
    for (percentile, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
        println!("{name}_{percentile} {}", at(percent));
    }
}

/// How many in a hundred waited how long, side by side.
fn histogram(native: &[Duration], busy: &[Duration]) {
    let share = |times: &[Duration], from: u64, to: u64| {
        let range = u128::from(from)..u128::from(to);
        let count = times.iter().filter(|time| range.contains(&time.as_micros())).count();
        100.0 * count as f64 / times.len().max(1) as f64
    };
    println!("  wait of others  beside native work  beside calls");
    let starts = std::iter::once(0).chain(RANGES);
    for (from, to) in starts.zip(RANGES.into_iter().chain([u64::MAX])) {
        let range = if to == u64::MAX { format!("from {from} us") } else { format!("below {to} us") };
        println!("  {range:>16} {:>13.2} % {:>12.2} %", share(native, from, to), share(busy, from, to));
    }
}
