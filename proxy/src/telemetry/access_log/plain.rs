//! Numbers, addresses and times as bytes: what every line has, written without the detours of `fmt`. Each looks as its `Display` does.

use std::cell::Cell;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use super::line::Bytes;

/// `2026-10-11T12:13:14`
const SECOND_BYTES: usize = 19;

thread_local! {
    /// The last second that was written, since the epoch, and how it reads.
    static SECOND: Cell<(u64, [u8; SECOND_BYTES])> = const { Cell::new((u64::MAX, [0; SECOND_BYTES])) };
}

pub fn number(to: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        digits[begin] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[begin..]);
}

pub fn ip(to: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    to.push(b'.');
                }
                number(to, octet.into());
            }
        }
        // Appending to a vector does not fail.
        IpAddr::V6(address) => _ = write!(Bytes(to), "{address}"),
    }
}

pub fn address(to: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            ip(to, IpAddr::V4(*address.ip()));
            to.push(b':');
            number(to, address.port().into());
        }
        SocketAddr::V6(address) => _ = write!(Bytes(to), "{address}"),
    }
}

/// RFC 3339 in UTC, with milliseconds.
pub fn time(to: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut second, mut text) = SECOND.get();
    if second != since.as_secs() {
        second = since.as_secs();
        let shown = humantime::format_rfc3339_seconds(time).to_string();
        let Some(shown) = shown.as_bytes().first_chunk() else { return };
        text = *shown;
        SECOND.set((second, text));
    }
    let ms = since.subsec_millis();
    to.extend_from_slice(&text);
    to.push(b'.');
    to.extend([100, 10, 1].map(|unit| b'0' + (ms / unit % 10) as u8));
    to.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes);
        String::from_utf8(bytes).expect("ASCII")
    }

    #[test]
    fn all_look_as_they_are_displayed() {
        for value in [0, 9, 10, 1234, u64::MAX] {
            assert_eq!(written(|to| number(to, value)), value.to_string());
        }
        for text in ["127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:443", "[2001:db8::1]:1"] {
            let value: SocketAddr = text.parse().expect("an address");
            assert_eq!(written(|to| address(to, value)), text);
            assert_eq!(written(|to| ip(to, value.ip())), value.ip().to_string());
        }
        for ms in [0, 1, 999, 1000, 1_500, 1_508, 1_792_000_000_040, 1_792_000_000_041, 4_102_444_799_999] {
            let value = UNIX_EPOCH + Duration::from_millis(ms);
            assert_eq!(written(|to| time(to, value)), humantime::format_rfc3339_millis(value).to_string());
        }
    }
}
