//! The PROXY protocol, versions 1 and 2: what a hop that passes bytes on says of its client, before the first of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::ProxyVersion;

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Up to the addresses.
const HEAD_BYTES: usize = 16;
/// How version 1 begins.
const WORD: &[u8] = b"PROXY ";
/// A line of version 1 with its end.
const LINE_BYTES_MAX: usize = 107;

/// Both ends of the connection of somebody's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// They may become a header.
    More,
    /// They are something else.
    NotOne,
    /// So many bytes are one. Without addresses, the peer speaks for itself, or does not know.
    Header(usize, Option<Addresses>),
    Wrong(String),
}

/// Looks for a header of at most so many bytes.
pub fn parse(bytes: &[u8], bytes_max: usize) -> Parsed {
    let begins = |start: &[u8]| bytes.starts_with(start) || start.starts_with(bytes);
    match bytes {
        [] => Parsed::More,
        _ if begins(SIGNATURE) => binary(bytes, bytes_max),
        _ if begins(WORD) => line(bytes),
        _ => Parsed::NotOne,
    }
}

fn binary(bytes: &[u8], bytes_max: usize) -> Parsed {
    let Some((head, rest)) = bytes.split_at_checked(HEAD_BYTES) else { return Parsed::More };
    let (version, command, family, transport) = (head[12] >> 4, head[12] & 15, head[13] >> 4, head[13] & 15);
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if version != 2 || command > 1 || family > 3 || transport > 2 {
        return Parsed::Wrong(format!("expected a header of version 2, found {:02x}{:02x}", head[12], head[13]));
    }
    if HEAD_BYTES + length > bytes_max {
        return Parsed::Wrong(format!("expected a header of at most {bytes_max} bytes, found {}", HEAD_BYTES + length));
    }
    let Some(rest) = rest.get(..length) else { return Parsed::More };
    let at = |at: usize, length: usize| rest.get(at..at + length);
    let port = |start: usize| at(start, 2).map(|port| u16::from_be_bytes([port[0], port[1]]));
    let v4 = |start| Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(at(start, 4)?).ok()?)));
    let v6 = |start| Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(at(start, 16)?).ok()?)));
    let addresses = |source: Option<IpAddr>, destination: Option<IpAddr>, ports: usize| {
        let source = SocketAddr::new(source?, port(ports)?);
        Some(Addresses { source, destination: SocketAddr::new(destination?, port(ports + 2)?) })
    };
    // What follows the addresses is for those who asked for it.
    let addresses = match (command, family, transport) {
        (1, 1, 1) => addresses(v4(0), v4(4), 8),
        (1, 2, 1) => addresses(v6(0), v6(16), 32),
        _ => return Parsed::Header(HEAD_BYTES + length, None),
    };
    match addresses {
        Some(addresses) => Parsed::Header(HEAD_BYTES + length, Some(addresses)),
        None => Parsed::Wrong(format!("its {length} bytes of addresses are too few")),
    }
}

fn line(bytes: &[u8]) -> Parsed {
    let seen = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = seen.windows(2).position(|two| two == b"\r\n") else {
        if seen.len() < LINE_BYTES_MAX && !seen.contains(&b'\n') {
            return Parsed::More;
        }
        return Parsed::Wrong(format!("expected a line of at most {LINE_BYTES_MAX} bytes that ends with CRLF"));
    };
    let Ok(text) = std::str::from_utf8(&seen[WORD.len()..end]) else { return Parsed::Wrong("its line is no text".to_owned()) };
    let fields: Vec<&str> = text.split(' ').collect();
    let addresses = match fields[..] {
        ["UNKNOWN", ..] => return Parsed::Header(end + 2, None),
        ["TCP4", source, destination, from, to] => ends::<Ipv4Addr>(source, destination, from, to),
        ["TCP6", source, destination, from, to] => ends::<Ipv6Addr>(source, destination, from, to),
        _ => None,
    };
    match addresses {
        Some(addresses) => Parsed::Header(end + 2, Some(addresses)),
        None => {
            Parsed::Wrong(format!("expected `PROXY TCP4`, `TCP6` or `UNKNOWN` with two addresses and two ports, found {text:?}"))
        }
    }
}

fn ends<A: std::str::FromStr + Into<IpAddr>>(source: &str, destination: &str, from: &str, to: &str) -> Option<Addresses> {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let address = |text: &str| text.parse::<A>().ok().map(Into::into);
    let source = SocketAddr::new(address(source)?, port(from)?);
    Some(Addresses { source, destination: SocketAddr::new(address(destination)?, port(to)?) })
}

/// What this hop says of its client; `None`: it speaks for itself, as checks do.
pub fn write(version: ProxyVersion, client: Option<Addresses>) -> Vec<u8> {
    let pair = client.map(|Addresses { source, destination }| match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (Ok((from, to)), source.port(), destination.port()),
        (from, to) => (Err((mapped(from), mapped(to))), source.port(), destination.port()),
    });
    match (version, pair) {
        (ProxyVersion::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyVersion::V1, Some((Ok((from, to)), source, destination))) => {
            format!("PROXY TCP4 {from} {to} {source} {destination}\r\n").into_bytes()
        }
        (ProxyVersion::V1, Some((Err((from, to)), source, destination))) => {
            format!("PROXY TCP6 {from} {to} {source} {destination}\r\n").into_bytes()
        }
        (ProxyVersion::V2, pair) => {
            let (command, family, addresses, ports) = match pair {
                None => (0x20, 0x00, Vec::new(), None),
                Some((Ok((from, to)), source, destination)) => {
                    (0x21, 0x11, [from.octets(), to.octets()].concat(), Some((source, destination)))
                }
                Some((Err((from, to)), source, destination)) => {
                    (0x21, 0x21, [from.octets(), to.octets()].concat(), Some((source, destination)))
                }
            };
            let length = addresses.len() + if ports.is_some() { 4 } else { 0 };
            let mut header = SIGNATURE.to_vec();
            header.extend([command, family, 0, length as u8]);
            header.extend(addresses);
            if let Some((source, destination)) = ports {
                header.extend(source.to_be_bytes());
                header.extend(destination.to_be_bytes());
            }
            header
        }
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 4096;

    fn addresses(source: &str, destination: &str) -> Addresses {
        Addresses { source: source.parse().expect("an address"), destination: destination.parse().expect("an address") }
    }

    #[test]
    fn the_examples_of_the_specification() {
        let whole = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nGET /";
        let parsed = parse(whole, MAX);
        assert_eq!(parsed, Parsed::Header(56, Some(addresses("255.255.255.255:65535", "255.255.255.255:65535"))));
        let longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
        assert_eq!(parse(longest, MAX), Parsed::Header(longest.len(), None));
        let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\x7f\0\0\x01\x7f\0\0\x02\x00\x50\x01\xbb\x04\0\0rest";
        assert_eq!(parse(binary, MAX), Parsed::Header(31, Some(addresses("127.0.0.1:80", "127.0.0.2:443"))), "with an extension");
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        assert_eq!(parse(local, MAX), Parsed::Header(16, None));
        assert_eq!(write(ProxyVersion::V2, None), local);
        assert_eq!(write(ProxyVersion::V1, None), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn what_is_written_is_read_and_every_part_of_it_wants_more() {
        let pairs = [("10.0.0.1:1", "10.0.0.2:65535"), ("[2001:db8::1]:5", "[::1]:6"), ("10.0.0.1:1", "[::1]:2")];
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            for (source, destination) in pairs {
                let told = addresses(source, destination);
                let header = write(version, Some(told));
                let Parsed::Header(length, Some(found)) = parse(&header, MAX) else { panic!("{version:?} {told:?}") };
                let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
                assert_eq!(
                    (length, canonical(found.source), canonical(found.destination)),
                    (header.len(), told.source, told.destination)
                );
                for end in 0..header.len() {
                    assert_eq!(parse(&header[..end], MAX), Parsed::More, "{version:?} {end}");
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_and_what_is_none() {
        for none in [&b"GET / HTTP/1.1\r\n"[..], b"PROXYING", b"\r\n\r\nx", b"\x16\x03\x01", b"PUT"] {
            assert_eq!(parse(none, MAX), Parsed::NotOne, "{none:?}");
        }
        let v2 = |rest: &[u8]| [&SIGNATURE[..], rest].concat();
        let cases = [
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 +1 2\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1  10.0.0.2 1 2\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1\n".to_vec(),
            [WORD, &[b'x'; 200]].concat(),
            v2(b"\x11\x11\x00\x0c0123456789ab"),
            v2(b"\x22\x11\x00\x0c0123456789ab"),
            v2(b"\x21\x41\x00\x0c0123456789ab"),
            v2(b"\x21\x11\x00\x0b0123456789a"),
            v2(b"\x21\x21\x00\x0c0123456789ab"),
            v2(b"\x21\x11\xff\xff"),
        ];
        for wrong in cases {
            assert!(matches!(parse(&wrong, MAX), Parsed::Wrong(_)), "{:?}", String::from_utf8_lossy(&wrong));
        }
        // A socket of the file system, and datagrams: whoever it is, it has no address here.
        assert_eq!(parse(&[&v2(b"\x21\x31\x00\xd8")[..], &[0; 216]].concat(), MAX), Parsed::Header(232, None));
        assert_eq!(parse(&v2(b"\x21\x12\x00\x0c0123456789ab"), MAX), Parsed::Header(28, None));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(rest in proptest::collection::vec(any::<u8>(), 0..300), start in 0..3_usize) {
            let start: &[u8] = [&SIGNATURE[..], WORD, b""][start];
            let bytes = [start, &rest].concat();
            if let Parsed::Header(length, _) = parse(&bytes, MAX) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
