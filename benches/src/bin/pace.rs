//! An even load over HTTP/1.1: so many requests a second, one after the other at equal distances, whatever the answers take. A
//! request that is due while its connection still waits counts from when it was due, so that a stall is seen by all that it delays
//! (there is no coordinated omission); one that is sent late because this program itself woke up late counts from when it was sent.
//!
//! `pace URL --rate 5000 --connections 50 --seconds 10` prints one line of JSON with times in microseconds. A connection has a
//! thread of its own, which blocks: for up to some hundreds.
//!
//! `tail` tells whether the slowest hundredth came together, as they do behind a stall, or all along: how many windows of 10 ms they were
//! due in, and the windows that most of them were due in: when each began, in milliseconds, its requests, and the longest of them.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// A stall that is longer shows in several.
const WINDOW_US: u64 = 10_000;
/// Windows that are told.
const WINDOWS_MAX: usize = 5;
/// An answer that takes longer is a failure.
const ANSWER_MAX: Duration = Duration::from_secs(30);

struct Wanted {
    authority: String,
    path: String,
    rate: f64,
    connections: u32,
    seconds: f64,
}

fn main() -> ExitCode {
    let wanted = match wanted(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("{error}\nusage: pace http://HOST:PORT/PATH --rate REQUESTS-A-SECOND --connections N --seconds S");
            return ExitCode::from(2);
        }
    };
    // Connected first, so that what is measured begins with all of them.
    let connected: io::Result<Vec<_>> = (0..wanted.connections).map(|_| connect(&wanted.authority)).collect();
    let connected = match connected {
        Ok(connected) => connected,
        Err(error) => {
            eprintln!("cannot connect to {}: {error}", wanted.authority);
            return ExitCode::FAILURE;
        }
    };
    let start = Instant::now() + Duration::from_millis(50);
    let wanted = &wanted;
    let (mut took, failed) = thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(connected)
            .map(|(place, stream)| {
                let first = start + Duration::from_secs_f64(f64::from(place) / wanted.rate);
                scope.spawn(move || one_connection(stream, wanted, first, start))
            })
            .collect();
        threads.into_iter().fold((Vec::new(), 0), |(mut all, mut failures), thread| {
            let (took, failed) = thread.join().unwrap_or_default();
            all.extend(took);
            failures += failed;
            (all, failures)
        })
    });
    if took.is_empty() {
        eprintln!("no request was answered");
        return ExitCode::FAILURE;
    }
    took.sort_unstable_by_key(|answer| answer.took_us);
    let place = |share: f64| ((took.len() as f64 * share) as usize).min(took.len() - 1);
    let at = |share: f64| took[place(share)].took_us;
    println!(
        "{{\"requests\":{},\"failed\":{failed},\"p50_us\":{},\"p90_us\":{},\"p99_us\":{},\"p999_us\":{},\"max_us\":{},\"tail\":{}}}",
        took.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        tail(&took[place(0.99)..])
    );
    ExitCode::SUCCESS
}

/// One request that was answered.
struct Answered {
    /// When it was due, from the beginning.
    due_us: u64,
    took_us: u64,
}

/// When the slowest ones were due.
fn tail(slowest: &[Answered]) -> String {
    let mut windows: HashMap<u64, (usize, u64)> = HashMap::new();
    for answer in slowest {
        let (requests, longest) = windows.entry(answer.due_us / WINDOW_US).or_default();
        (*requests, *longest) = (*requests + 1, answer.took_us.max(*longest));
    }
    let mut told: Vec<_> = windows.iter().map(|(window, (requests, longest))| (*requests, *window, *longest)).collect();
    told.sort_unstable_by(|one, other| other.cmp(one));
    let told: Vec<_> = (told.iter().take(WINDOWS_MAX))
        .map(|(requests, window, longest)| {
            format!("{{\"at_ms\":{},\"requests\":{requests},\"max_us\":{longest}}}", window * WINDOW_US / 1000)
        })
        .collect();
    format!("{{\"windows\":{},\"worst\":[{}]}}", windows.len(), told.join(","))
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let url = arguments.next().ok_or("expected an address")?;
    let rest = url.strip_prefix("http://").ok_or("expected an address that begins with http://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut wanted =
        Wanted { authority: authority.to_owned(), path: format!("/{path}"), rate: 1000.0, connections: 10, seconds: 10.0 };
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("expected a value after {option}"))?;
        let number: f64 = value.parse().map_err(|_| format!("expected a number after {option}, found `{value}`"))?;
        if !number.is_finite() || number <= 0.0 {
            return Err(format!("expected a number above zero after {option}, found `{value}`"));
        }
        match &*option {
            "--rate" => wanted.rate = number,
            "--connections" => wanted.connections = number as u32,
            "--seconds" => wanted.seconds = number,
            _ => return Err(format!("there is no option {option}")),
        }
    }
    Ok(wanted)
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(authority)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// How long each answer took, and how many failed.
fn one_connection(stream: TcpStream, wanted: &Wanted, first: Instant, start: Instant) -> (Vec<Answered>, u64) {
    let every = Duration::from_secs_f64(f64::from(wanted.connections) / wanted.rate);
    let end = start + Duration::from_secs_f64(wanted.seconds);
    let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", wanted.path, wanted.authority);
    let (mut took, mut failed) = (Vec::new(), 0);
    let mut stream = BufReader::new(stream);
    let mut due = first;
    let mut busy_until = start;
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = if busy_until > due { due } else { Instant::now() };
        let asked = stream.get_mut().write_all(request.as_bytes()).and_then(|()| answer(&mut stream));
        busy_until = Instant::now();
        match asked {
            Ok(stays) => {
                let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                took.push(Answered { due_us: micros(due - start), took_us: micros(busy_until - sent) });
                if !stays && !again(&mut stream, wanted) {
                    return (took, failed + 1);
                }
            }
            Err(_) => {
                failed += 1;
                if !again(&mut stream, wanted) {
                    return (took, failed);
                }
            }
        }
        due += every;
    }
    (took, failed)
}

fn again(stream: &mut BufReader<TcpStream>, wanted: &Wanted) -> bool {
    let Ok(other) = connect(&wanted.authority) else { return false };
    *stream = BufReader::new(other);
    true
}

/// Reads an answer of 2xx whose length is told. Whether the connection stays.
fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let (mut line, mut length, mut stays) = (String::new(), None, true);
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !line.starts_with("HTTP/1.1 2") {
        return Err(wrong("expected a status of 2xx"));
    }
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
        if name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close") {
            stays = false;
        }
    }
    let length: u64 = length.ok_or_else(|| wrong("expected a content-length"))?;
    if io::copy(&mut stream.by_ref().take(length), &mut io::sink())? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(stays)
}
