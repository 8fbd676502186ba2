//! Numbers, addresses and times as bytes: what every line has, written without the detours of `fmt`. Each looks as its `Display` does.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `2026-10-11T12:13:14`
const SECOND_BYTES: usize = 19;
/// `11/Oct/2026:12:13:14 +0000`
const CLF_BYTES: usize = 26;
const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// `255.255.255.255:65535`
const ADDRESS_BYTES: usize = 21;

thread_local! {
    /// The last second that was written, since the epoch, and how it reads.
    static SECOND: Cell<(u64, [u8; SECOND_BYTES])> = const { Cell::new((u64::MAX, [0; SECOND_BYTES])) };
}

/// Takes text where bytes are wanted.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A short text that is written from its end on, and taken at once.
struct Backwards<const BYTES: usize> {
    text: [u8; BYTES],
    begin: usize,
}

impl<const BYTES: usize> Backwards<BYTES> {
    fn new() -> Self {
        Self { text: [0; BYTES], begin: BYTES }
    }

    fn byte(&mut self, byte: u8) {
        self.begin -= 1;
        self.text[self.begin] = byte;
    }

    fn number(&mut self, mut number: u64) {
        loop {
            self.byte(b'0' + (number % 10) as u8);
            number /= 10;
            if number == 0 {
                break;
            }
        }
    }

    fn ip(&mut self, address: Ipv4Addr) {
        for (at, octet) in address.octets().into_iter().enumerate().rev() {
            self.number(octet.into());
            if at > 0 {
                self.byte(b'.');
            }
        }
    }

    fn end(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.text[self.begin..]);
    }
}

pub fn number(to: &mut Vec<u8>, number: u64) {
    let mut text = Backwards::<20>::new();
    text.number(number);
    text.end(to);
}

/// Microseconds as milliseconds: `1.234`.
pub fn millis(to: &mut Vec<u8>, micros: u64) {
    number(to, micros / 1000);
    to.push(b'.');
    thousandths(to, (micros % 1000) as u32);
}

fn thousandths(to: &mut Vec<u8>, number: u32) {
    to.extend_from_slice(&[100, 10, 1].map(|unit| b'0' + (number / unit % 10) as u8));
}

pub fn ip(to: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut text = Backwards::<ADDRESS_BYTES>::new();
            text.ip(address);
            text.end(to);
        }
        // Appending to a vector does not fail.
        IpAddr::V6(address) => _ = write!(Bytes(to), "{address}"),
    }
}

pub fn address(to: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            let mut text = Backwards::<ADDRESS_BYTES>::new();
            text.number(address.port().into());
            text.byte(b':');
            text.ip(*address.ip());
            text.end(to);
        }
        SocketAddr::V6(address) => _ = write!(Bytes(to), "{address}"),
    }
}

/// RFC 3339 in UTC, with milliseconds.
pub fn time(to: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    to.extend_from_slice(&second(since.as_secs()));
    to.push(b'.');
    thousandths(to, since.subsec_millis());
    to.push(b'Z');
}

/// `10/Oct/2026:13:55:36 +0000`, as Apache writes it.
pub fn clf(time: SystemTime) -> [u8; CLF_BYTES] {
    let second = second(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let mut text = *b"00/Jan/0000:00:00:00 +0000";
    text[..2].copy_from_slice(&second[8..10]);
    let month = second[5..7].iter().fold(0, |number, digit| number * 10 + usize::from(digit.wrapping_sub(b'0')));
    text[3..6].copy_from_slice(MONTHS.get(month.wrapping_sub(1)).unwrap_or(&MONTHS[0]).as_slice());
    text[7..11].copy_from_slice(&second[..4]);
    text[12..20].copy_from_slice(&second[11..]);
    text
}

/// A second since the epoch without its zone. It is told anew when it is another one than the last.
fn second(number: u64) -> [u8; SECOND_BYTES] {
    let (known, text) = SECOND.get();
    if known == number {
        return text;
    }
    let shown = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(number)).to_string();
    let text = shown.as_bytes().first_chunk().copied().unwrap_or([b'0'; SECOND_BYTES]);
    SECOND.set((number, text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (micros, shown) in [(0, "0.000"), (7, "0.007"), (1_234, "1.234"), (60_000_010, "60000.010")] {
            assert_eq!(written(|to| millis(to, micros)), shown);
        }
    }

    #[test]
    fn each_month_has_its_name() {
        for (seconds, shown) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (1_798_761_599, "31/Dec/2026:23:59:59 +0000"),
            (1_798_761_600, "01/Jan/2027:00:00:00 +0000"),
            (1_781_525_096, "15/Jun/2026:12:04:56 +0000"),
        ] {
            assert_eq!(clf(UNIX_EPOCH + Duration::from_secs(seconds)).as_slice(), shown.as_bytes());
        }
    }
}
