//! As much of Redis' protocol as tells where a reply ends, and whether a query is one command.

/// Elements of one reply, nested ones included: a reply that is larger in bytes is refused before.
const ELEMENTS_MAX: u64 = 1 << 20;
/// The line that begins an element.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Commands that leave a connection in another state, or have another number of replies than one: others share it.
const STATEFUL: [&str; 25] = [
    "auth",
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "client",
    "discard",
    "exec",
    "hello",
    "monitor",
    "multi",
    "psubscribe",
    "quit",
    "reset",
    "select",
    "ssubscribe",
    "subscribe",
    "unwatch",
    "wait",
    "waitaof",
    "watch",
];

/// It is no reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong;

/// A reply as it comes: where the next element begins, and how many are still to come.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    at: usize,
    left: u64,
}

impl Default for Reply {
    fn default() -> Self {
        Self { at: 0, left: 1 }
    }
}

impl Reply {
    /// Its length, once all of it is among these bytes, of which it is the first. They only grow between two calls.
    pub fn length(&mut self, bytes: &[u8]) -> Result<Option<usize>, Wrong> {
        while self.left > 0 {
            let Some((kind, line, after)) = element(bytes, self.at)? else { return Ok(None) };
            let number = || std::str::from_utf8(line).ok().and_then(|text| text.parse::<i64>().ok()).ok_or(Wrong);
            let (mut end, mut more) = (after, 0);
            match kind {
                b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
                b'$' | b'!' | b'=' => {
                    // Less than nothing: there is none.
                    if let Ok(length) = usize::try_from(number()?) {
                        end = after.checked_add(length).and_then(|end| end.checked_add(2)).ok_or(Wrong)?;
                        match bytes.get(end - 2..end) {
                            Some(b"\r\n") => {}
                            Some(_) => return Err(Wrong),
                            None => return Ok(None),
                        }
                    }
                }
                b'*' | b'~' | b'>' => more = u64::try_from(number()?).unwrap_or(0),
                b'%' => more = u64::try_from(number()?).unwrap_or(0).saturating_mul(2),
                _ => return Err(Wrong),
            }
            self.left = (self.left - 1).saturating_add(more);
            if self.left > ELEMENTS_MAX {
                return Err(Wrong);
            }
            self.at = end;
        }
        Ok(Some(self.at))
    }
}

type Element<'a> = (u8, &'a [u8], usize);

/// The kind of the element that begins there, the rest of its line, and where that has ended.
fn element(bytes: &[u8], at: usize) -> Result<Option<Element<'_>>, Wrong> {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.windows(2).take(LINE_BYTES_MAX).position(|two| two == b"\r\n") {
        Some(0) => Err(Wrong),
        Some(end) => Ok(Some((rest[0], &rest[1..end], at + end + 2))),
        None if rest.len() > LINE_BYTES_MAX => Err(Wrong),
        None => Ok(None),
    }
}

/// Whether these bytes are one command that has one reply, and leaves the connection as it is.
pub fn is_command(bytes: &[u8]) -> bool {
    let Ok(Some((b'*', count, mut at))) = element(bytes, 0) else { return false };
    let Some(count) = number(count).filter(|count| (1..=ELEMENTS_MAX as usize).contains(count)) else { return false };
    let mut word = None;
    for _ in 0..count {
        let Ok(Some((b'$', length, begin))) = element(bytes, at) else { return false };
        let Some(end) = number(length).and_then(|length| begin.checked_add(length)) else { return false };
        if end.checked_add(2).and_then(|after| bytes.get(end..after)) != Some(b"\r\n") {
            return false;
        }
        word.get_or_insert(&bytes[begin..end]);
        at = end + 2;
    }
    let stateful = |word: &[u8]| STATEFUL.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word));
    at == bytes.len() && word.is_some_and(|word| !stateful(word))
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A command of these words.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    command.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_where_its_last_element_does() {
        let nested = b"*2\r\n*2\r\n:1\r\n$-1\r\n%1\r\n+a\r\n$2\r\n\r\n\r\n";
        for reply in
            [&b"+OK\r\n"[..], b"-ERR no\r\n", b":-7\r\n", b"$5\r\nhello\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"_\r\n", nested]
        {
            let mut whole = reply.to_vec();
            whole.extend_from_slice(b"+next\r\n");
            assert_eq!(Reply::default().length(&whole), Ok(Some(reply.len())), "{}", reply.escape_ascii());
            let mut growing = Reply::default();
            for end in 0..reply.len() {
                assert_eq!(growing.length(&reply[..end]), Ok(None), "{} at {end}", reply.escape_ascii());
            }
            assert_eq!(growing.length(reply), Ok(Some(reply.len())));
        }
        for wrong in [&b"\r\n"[..], b"hello\r\n", b"$x\r\n", b"$1\r\nabc\r\n", b"*99999999\r\n"] {
            assert_eq!(Reply::default().length(wrong), Err(Wrong), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn a_query_is_one_command() {
        assert!(is_command(&command(&["GET", "a key"])) && is_command(&command(&["SET", "", "\r\n"])));
        let both = [command(&["GET", "a"]), command(&["GET", "b"])].concat();
        for no in
            [&both[..], b"", b"PING\r\n", b"*0\r\n", b"*1\r\n:1\r\n", b"*1\r\n$9\r\nGET\r\n", b"*1\r\n$18446744073709551615\r\n"]
        {
            assert!(!is_command(no), "{}", no.escape_ascii());
        }
        assert!(!is_command(&command(&["Subscribe", "a"])) && !is_command(&command(&["SELECT", "1"])));
    }
}
