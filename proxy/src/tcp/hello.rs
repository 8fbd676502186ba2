//! The name that a client asks for in a TLS connection that passes through: read from its first message, and nothing else. Whoever ends
//! TLS judges that message; here, one that cannot be read names nobody.

use std::io;

use rustls::pki_types::DnsName;
use tokio::io::AsyncRead;

use super::Rewound;

/// A record's content type, version and length (RFC 8446, 5.1).
const RECORD_HEADER: usize = 5;
const HANDSHAKE: u8 = 0x16;
/// In every version.
const VERSION_MAJOR: u8 = 0x03;
/// What a record may hold when it is not encrypted.
const RECORD_BYTES_MAX: usize = 1 << 14;
/// A message's type and length (RFC 8446, 4).
const MESSAGE_HEADER: usize = 4;
const CLIENT_HELLO: u8 = 1;
/// The extension with the name, and the kind of name that it has (RFC 6066, 3).
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Reads ahead until the first message is whole. `None`: it names nobody.
pub async fn server_name<IO: AsyncRead + Unpin>(stream: &mut Rewound<IO>, bytes_max: usize) -> io::Result<Option<String>> {
    loop {
        match message(stream.seen()) {
            Message::Whole(hello) => return Ok(name(&hello)),
            Message::Unreadable => return Ok(None),
            Message::More => {}
        }
        if stream.seen().len() >= bytes_max {
            let message = format!("expected a first message of the TLS handshake of at most {bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if stream.see_more().await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended within the first message of its TLS handshake",
            ));
        }
    }
}

/// How much of the first message is there.
enum Message {
    More,
    /// Without its header.
    Whole(Vec<u8>),
    /// It is none of TLS.
    Unreadable,
}

/// The first message may come in several records.
fn message(seen: &[u8]) -> Message {
    let mut rest = Reader(seen);
    let mut pieces: Vec<&[u8]> = Vec::new();
    let (mut there, mut length) = (0, None);
    while let Some(header) = rest.take(RECORD_HEADER) {
        let of_record = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[0] != HANDSHAKE || header[1] != VERSION_MAJOR || !(1..=RECORD_BYTES_MAX).contains(&of_record) {
            return Message::Unreadable;
        }
        let piece = rest.take(of_record.min(rest.0.len())).unwrap_or_default();
        there += piece.len();
        pieces.push(piece);
        let mut bytes = pieces.iter().copied().flatten().copied();
        if let (None, Some(kind), Some(a), Some(b), Some(c)) = (length, bytes.next(), bytes.next(), bytes.next(), bytes.next()) {
            if kind != CLIENT_HELLO {
                return Message::Unreadable;
            }
            length = Some(u32::from_be_bytes([0, a, b, c]) as usize);
        }
        if let Some(length) = length.filter(|length| there >= MESSAGE_HEADER + length) {
            return Message::Whole(pieces.concat()[MESSAGE_HEADER..MESSAGE_HEADER + length].to_vec());
        }
    }
    Message::More
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|taken| u16::from_be_bytes([taken[0], taken[1]]))
    }

    /// With its length before it, in one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }

    /// The same in two.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }
}

/// The name in this message (RFC 8446, 4.1.2), in lower case. Several would mean one to us and maybe another to who ends TLS.
fn name(hello: &[u8]) -> Option<String> {
    let mut hello = Reader(hello);
    // The version, and what is random.
    hello.take(2 + 32)?;
    // The session, what ciphers there may be, and what compression.
    hello.short()?;
    hello.long()?;
    hello.short()?;
    let mut extensions = Reader(hello.long()?);
    let mut found = None;
    while !extensions.0.is_empty() {
        let (kind, data) = (extensions.number()?, extensions.long()?);
        if kind == SERVER_NAME && found.replace(only_name(data)?).is_some() {
            return None;
        }
    }
    Some(DnsName::try_from(found?).ok()?.as_ref().to_ascii_lowercase())
}

fn only_name(data: &[u8]) -> Option<&[u8]> {
    let mut names = Reader(Reader(data).long()?);
    let (kind, name) = (names.byte()?, names.long()?);
    (kind == HOST_NAME && names.0.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What a client says first.
    fn hello(name: &'static str) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("there are versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(name).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut hello = Vec::new();
        client.write_tls(&mut hello).expect("memory can be written");
        hello
    }

    /// In two pieces.
    async fn named(bytes: &[u8], bytes_max: usize) -> io::Result<Option<String>> {
        let (first, rest) = bytes.split_at(bytes.len() / 3);
        server_name(&mut Rewound::new(first.chain(rest)), bytes_max).await
    }

    #[tokio::test]
    async fn the_name_is_read_and_nothing_is_lost() {
        let hello = hello("db.example");
        assert_eq!(named(&hello, 16_384).await.expect("it is whole").as_deref(), Some("db.example"));
        assert_eq!(named(&self::hello("10.0.0.1"), 16_384).await.expect("it is whole"), None);
        let mut stream = Rewound::new(&hello[..]);
        server_name(&mut stream, 16_384).await.expect("it is whole");
        assert_eq!(stream.seen(), hello);
    }

    #[tokio::test]
    async fn what_does_not_end_is_refused() {
        let hello = hello("db.example");
        assert_eq!(named(&hello[..50], 16_384).await.expect_err("cut off").kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(named(&hello, 40).await.expect_err("too large").kind(), io::ErrorKind::InvalidData);
        let endless = [&b"\x16\x03\x01\x40\0\x01\xff\xff\xff"[..], &[0; 64]].concat();
        assert_eq!(named(&endless, 60).await.expect_err("too large").kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn what_cannot_be_read_names_nobody() {
        for bytes in [
            &b"\x16\x03\x01\x00\x05hello"[..],
            b"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\xff\xff\x01\0\0\x02",
            b"\x16\x03\x01\x00\x04\x02\0\0\0",
            b"\x16\x03\x01\x00\x04\x01\0\0\0",
            b"\x16\x03\x01\x00\x02\x01\0\x17\x03\x03\x00\x01x",
        ] {
            assert_eq!(named(bytes, 16_384).await.expect("it passes"), None, "{bytes:?}");
        }
    }

    /// The message of these in a record each.
    fn in_records(hello: &[u8], bytes: usize) -> Vec<u8> {
        let pieces = hello[RECORD_HEADER..].chunks(bytes);
        pieces
            .flat_map(|piece| [&[HANDSHAKE, 3, 1, 0, u8::try_from(piece.len()).expect("a small one")][..], piece].concat())
            .collect()
    }

    #[tokio::test]
    async fn a_message_in_many_records_is_one() {
        let hello = hello("DB.example");
        for bytes in [1, 3, 100] {
            let name = named(&in_records(&hello, bytes), 1 << 16).await.expect("it is whole");
            assert_eq!(name.as_deref(), Some("db.example"), "{bytes}");
        }
    }

    #[test]
    fn what_rustls_would_refuse_has_a_name_all_the_same() {
        // No ciphers, no versions, a session of its own, an extension that nobody knows.
        let hello = |extensions: &[u8]| {
            let length = u16::try_from(extensions.len()).expect("a short one").to_be_bytes();
            [&[3, 3][..], &[7; 32], b"\x02ab", b"\0\0", b"\x01\0", &length, extensions].concat()
        };
        let of = |name: &[u8]| {
            let length = |more: usize| u16::try_from(name.len() + more).expect("a short one").to_be_bytes();
            [&[0, 0][..], &length(5), &length(3), &[HOST_NAME], &length(0), name].concat()
        };
        let unknown = b"\xfa\xfa\0\x01x";
        assert_eq!(name(&hello(&[&unknown[..], &of(b"a.Example")].concat())).as_deref(), Some("a.example"));
        assert_eq!(name(&hello(&[of(b"a.example"), of(b"b.example")].concat())), None, "who is meant?");
        for wrong in [&of(b"")[..], &of(b"10.0.0.1"), &of(b"a b"), b"\0\0\0\0", b"\0\0\0", unknown] {
            assert_eq!(name(&hello(wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn nothing_that_is_cut_or_changed_is_a_crash() {
        let hello = hello("db.example");
        for at in 0..hello.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = hello.clone();
                changed[at] = byte;
                for bytes in [&changed[..], &changed[..at]] {
                    if let Message::Whole(hello) = message(bytes) {
                        name(&hello);
                    }
                }
            }
        }
    }
}
