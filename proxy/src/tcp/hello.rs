//! The name that a client asks for in a TLS connection that passes through: read from its first message, and nothing else.

use std::io;

use rustls::server::Acceptor;
use tokio::io::AsyncRead;

use super::Rewound;

/// Reads ahead until the first message is whole. `None`: it names nobody.
pub async fn server_name<IO: AsyncRead + Unpin>(stream: &mut Rewound<IO>, bytes_max: usize) -> io::Result<Option<String>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut acceptor = Acceptor::default();
    let mut fed = 0;
    loop {
        let mut more = &stream.seen()[fed..];
        while !more.is_empty() {
            fed += acceptor.read_tls(&mut more)?;
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok(accepted.client_hello().server_name().map(str::to_owned)),
                Ok(None) => {}
                Err((error, _)) => return Err(wrong(format!("the TLS handshake begins wrongly: {error}"))),
            }
        }
        if stream.seen().len() >= bytes_max {
            return Err(wrong(format!("expected a first message of the TLS handshake of at most {bytes_max} bytes")));
        }
        if stream.see_more().await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended within the first message of its TLS handshake",
            ));
        }
    }
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
    async fn what_is_no_beginning_of_tls_is_refused() {
        let hello = hello("db.example");
        assert_eq!(named(&hello[..50], 16_384).await.expect_err("cut off").kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(named(&hello, 40).await.expect_err("too large").kind(), io::ErrorKind::InvalidData);
        assert_eq!(named(b"\x16\x03\x01\x00\x05hello", 16_384).await.expect_err("garbage").kind(), io::ErrorKind::InvalidData);
    }
}
