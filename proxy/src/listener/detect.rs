//! What the first bytes of a connection tell, for listeners that serve more than one thing on a port.

use std::io;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::time::{Instant, timeout_at};

use crate::drain::Signal;
use crate::tcp::Rewound;

/// The content type of a handshake, the first byte of every TLS connection (RFC 8446, 5.1). No request begins with it.
pub const HANDSHAKE: u8 = 0x16;
/// What follows it, in every version.
const LEGACY_VERSION: u8 = 0x03;
/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A connection that has sent nothing when a drain begins is waited for this long: its first bytes may be on their way.
const UNUSED_DRAIN: Duration = Duration::from_secs(1);

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Tls,
    Http1,
    Http2,
    /// What had come at the deadline begins a request, or the preface of HTTP/2: a slow client.
    Http,
    /// Anything else, or nothing until the deadline: then the other side speaks first.
    Opaque,
    /// It has ended without a word, or the proxy is leaving.
    Silent,
}

/// How long is waited for the first bytes.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// Zero: for as long as it takes.
    pub limit: Duration,
    /// Who says nothing until then waits for the other side to speak, and is not merely idle.
    pub silence_tells: bool,
}

/// What is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// TLS and everything else.
    Tls,
    /// TLS, both versions of HTTP, and everything else.
    All,
    /// The same within TLS.
    Http,
}

/// Reads ahead until it is clear, or the wait is over. A request line longer than `line_max` is one of HTTP/1, which has its own
/// words for that.
pub async fn first<IO: AsyncRead + Unpin>(
    stream: &mut Rewound<IO>,
    among: Among,
    wait: Wait,
    line_max: usize,
    mut drain: Signal,
) -> io::Result<First> {
    let deadline = (!wait.limit.is_zero()).then(|| Instant::now() + wait.limit);
    let goes_on = wait.silence_tells && deadline.is_some();
    let mut cut = drain.clone();
    let mut leaving = std::pin::pin!(async {
        drain.draining().await;
        tokio::time::sleep(UNUSED_DRAIN).await;
    });
    loop {
        if let Some(first) = judge(stream.seen(), among, line_max) {
            return Ok(first);
        }
        let is_silent = stream.seen().is_empty();
        let more = async {
            tokio::select! {
                count = stream.see_more() => count.map(Some),
                () = &mut leaving, if is_silent && !goes_on => Ok(None),
                () = cut.cut() => Ok(None),
            }
        };
        let more = match deadline {
            Some(deadline) => match timeout_at(deadline, more).await {
                Ok(more) => more?,
                Err(_) => return Ok(begun(stream.seen())),
            },
            None => more.await?,
        };
        match more {
            None => return Ok(First::Silent),
            Some(0) if is_silent => return Ok(First::Silent),
            // Nothing that has ended here is a request.
            Some(0) => return Ok(First::Opaque),
            Some(_) => {}
        }
    }
}

/// What is begun where more would have to be seen.
fn begun(seen: &[u8]) -> First {
    match seen {
        [] => First::Opaque,
        [HANDSHAKE, ..] => First::Tls,
        _ => First::Http,
    }
}

/// `None`: more has to be seen.
fn judge(seen: &[u8], among: Among, line_max: usize) -> Option<First> {
    match *seen {
        [] => return None,
        [HANDSHAKE] if among != Among::Http => return None,
        [HANDSHAKE, LEGACY_VERSION, ..] if among != Among::Http => return Some(First::Tls),
        _ if among == Among::Tls => return Some(First::Opaque),
        _ => {}
    }
    if seen.starts_with(PREFACE) {
        return Some(First::Http2);
    }
    if PREFACE.starts_with(seen) {
        return None;
    }
    let is_long = seen.len() > line_max;
    let seen = without_empty_lines(seen);
    if let [] | [b'\r'] = seen {
        return is_long.then_some(First::Http1);
    }
    let end = seen.iter().position(|byte| *byte == b'\n');
    let line = &seen[..end.unwrap_or(seen.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let looks_like_one = begins_a_request(line);
    match end {
        _ if !looks_like_one => Some(First::Opaque),
        Some(_) => {
            let version = [&b" HTTP/1.1"[..], b" HTTP/1.0"].into_iter().any(|version| line.ends_with(version));
            Some(if version { First::Http1 } else { First::Opaque })
        }
        None if is_long => Some(First::Http1),
        None => None,
    }
}

/// Servers ignore empty lines before a request (RFC 9112, 2.2).
fn without_empty_lines(mut seen: &[u8]) -> &[u8] {
    while let [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] = seen {
        seen = rest;
    }
    seen
}

/// A method, and a target behind it (RFC 9112, 3), as far as they have come.
fn begins_a_request(line: &[u8]) -> bool {
    /// The longest that is registered has 17.
    const METHOD_BYTES_MAX: usize = 32;
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let method = line.iter().take_while(|byte| is_of_token(byte)).count();
    match line.get(method) {
        None => (1..=METHOD_BYTES_MAX).contains(&method),
        Some(b' ') => method > 0 && line[method..].iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic() || *byte >= 0x80),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::drain;

    fn all(seen: &[u8]) -> Option<First> {
        judge(seen, Among::All, 100)
    }

    #[test]
    fn the_first_bytes_tell() {
        let cases: [(&[u8], Option<First>); 25] = [
            (b"", None),
            (b"\x16", None),
            (b"\x16\x03", Some(First::Tls)),
            (b"\x16\x01", Some(First::Opaque)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(First::Http2)),
            (b"PRI * HT", None),
            (b"PRI * HTTP/1.1\r\n", Some(First::Http1)),
            (b"GET", None),
            (b"GET /a?b=c HTTP/1.1", None),
            (b"GET /a?b=c HTTP/1.1\r\n", Some(First::Http1)),
            (b"m-search * HTTP/1.0\n", Some(First::Http1)),
            (b"EHLO there\r\n", Some(First::Opaque)),
            (b"EHLO there", None),
            (b"GET / HTTP/3.0\r\n", Some(First::Opaque)),
            (b"GET\t/", Some(First::Opaque)),
            (b" GET /", Some(First::Opaque)),
            (b"SSH-2.0-x\r\n", Some(First::Opaque)),
            (b"\r", None),
            (b"\r\n\n", None),
            (b"\r\n\nGET / HT", None),
            (b"\r\n\r\nGET / HTTP/1.1\r\n", Some(First::Http1)),
            (b"\r\nPRI * HTTP/2.0\r\n", Some(First::Opaque)),
            (b"\r\nEHLO there\r\n", Some(First::Opaque)),
            (b"\rGET", Some(First::Opaque)),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Some(First::Opaque)),
        ];
        for (seen, expected) in cases {
            assert_eq!(all(seen), expected, "{:?}", String::from_utf8_lossy(seen));
        }
        let long = [b"GET /", &[b'a'; 200][..]].concat();
        assert_eq!(all(&long), Some(First::Http1));
        assert_eq!(all(&[b'\n'; 200]), Some(First::Http1), "empty lines do not go on for ever");
        assert_eq!(all(&[b'a'; 40]), Some(First::Opaque), "no method is that long");
        assert_eq!(judge(b"\x16\x03\x01", Among::Http, 100), Some(First::Opaque), "TLS in TLS is for somebody else");
        assert_eq!(judge(b"GET / HTTP/1.1\r\n", Among::Tls, 100), Some(First::Opaque));
    }

    fn wait(limit: Duration, silence_tells: bool) -> Wait {
        Wait { limit, silence_tells }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_told_in_time_is_what_it_begins() {
        let (_trigger, drain) = drain::channel();
        let second = wait(Duration::from_secs(1), true);
        for (sent, expected) in [
            (&b""[..], First::Opaque),
            (b"GET", First::Http),
            (b"GET / HTTP/1.", First::Http),
            (b"PRI * HTTP", First::Http),
            (b"\r\n", First::Http),
            (b"\x16", First::Tls),
        ] {
            let (mut client, near) = duplex(64);
            let mut near = Rewound::new(near);
            client.write_all(sent).await.expect("there is room");
            let told = first(&mut near, Among::All, second, 100, drain.clone()).await.expect("it is read");
            assert_eq!((told, near.seen()), (expected, sent), "{:?}", String::from_utf8_lossy(sent));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_lost_of_what_was_seen() {
        let (_trigger, drain) = drain::channel();
        let (mut client, near) = duplex(64);
        let mut near = Rewound::new(near);
        let second = wait(Duration::from_secs(1), true);
        client.write_all(b"GET /x HTTP/1.1\r\n").await.expect("there is room");
        let told = first(&mut near, Among::All, second, 100, drain.clone()).await.expect("it is read");
        assert_eq!(told, First::Http1);
        client.shutdown().await.expect("it can end");
        let mut rest = String::new();
        near.read_to_string(&mut rest).await.expect("it ends");
        assert_eq!(rest, "GET /x HTTP/1.1\r\n");
        assert_eq!(first(&mut near, Among::All, second, 100, drain.clone()).await.expect("it is read"), First::Silent);
        let mut half = Rewound::new(&b"hello"[..]);
        let told = first(&mut half, Among::All, second, 100, drain).await.expect("it is read");
        assert_eq!(told, First::Opaque, "it has ended, and is no request");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_idle_leaves_with_the_proxy_and_who_waits_for_the_other_side_goes_on() {
        for (wait, expected) in [
            (wait(Duration::ZERO, true), First::Silent),
            (wait(Duration::from_secs(60), false), First::Silent),
            (wait(Duration::from_secs(60), true), First::Opaque),
        ] {
            let (trigger, drain) = drain::channel();
            let (_client, near) = duplex(64);
            trigger.drain();
            let told = first(&mut Rewound::new(near), Among::All, wait, 100, drain).await;
            assert_eq!(told.expect("nothing is read"), expected, "{wait:?}");
        }
        let (trigger, drain) = drain::channel();
        let (mut client, near) = duplex(64);
        client.write_all(b"GET").await.expect("there is room");
        trigger.cut();
        let told = first(&mut Rewound::new(near), Among::All, wait(Duration::ZERO, true), 100, drain).await;
        assert_eq!(told.expect("nothing is read"), First::Silent, "what is cut waits for nothing");
    }
}
