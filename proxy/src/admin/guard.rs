//! Who may change something: whoever shows the token or, where none is configured, whoever connects from this machine.
//! Never a web page that somebody's browser happens to show.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use aws_lc_rs::{constant_time, digest};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};

/// A token that can be guessed is none.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 4096;

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("a browser sent this for a web page; expected a request without `{0}`")]
    Browser(&'static str),
    #[error(
        "the host is `{0}`; expected an address or `localhost`, so that no web page can call this machine by a name of its own"
    )]
    Name(String),
    #[error("changes are taken from this machine only, found a connection from {0}; `admin.token-file` lets others make them")]
    Elsewhere(SocketAddr),
    #[error("expected `Authorization: Bearer` with the token of `admin.token-file`, found {0}")]
    Token(&'static str),
    /// What exactly is wrong with the file is for the log.
    #[error("the token of this proxy cannot be read; its log says why")]
    Unreadable,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Guard(Option<PathBuf>);

impl Guard {
    /// Reads the token once, to see that it is one.
    pub fn build(token_file: Option<&Path>) -> Result<Self, String> {
        if let Some(file) = token_file {
            read(file)?;
        }
        Ok(Self(token_file.map(Path::to_owned)))
    }

    /// May it look? A page may have a name that stands for this machine, and a browser takes both for one place: whoever comes
    /// from here calls it by its address. From elsewhere, and with a token, names are as good.
    pub fn check_host(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Denied> {
        if self.0.is_some() || !peer.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let Some(host) = headers.get(HOST) else { return Ok(()) };
        let host = String::from_utf8_lossy(host.as_bytes());
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
            .map_or(&*host, |(name, _)| name);
        let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        if is_address || name.eq_ignore_ascii_case("localhost") { Ok(()) } else { Err(Denied::Name(name.to_owned())) }
    }

    pub fn check(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Denied> {
        for name in [ORIGIN.as_str(), "sec-fetch-site"] {
            if headers.contains_key(name) {
                return Err(Denied::Browser(if name == ORIGIN.as_str() { "Origin" } else { "Sec-Fetch-Site" }));
            }
        }
        let Some(file) = &self.0 else {
            return if peer.ip().to_canonical().is_loopback() { Ok(()) } else { Err(Denied::Elsewhere(peer)) };
        };
        let Some(shown) = headers.get(AUTHORIZATION) else { return Err(Denied::Token("none")) };
        // Read each time, so that a new one needs no restart.
        let token = read(file).map_err(|error| {
            tracing::error!(%error, "nobody can change anything through the admin");
            Denied::Unreadable
        })?;
        match bearer(shown.as_bytes()) {
            Some(shown) if same(shown, token.as_bytes()) => Ok(()),
            Some(_) => Err(Denied::Token("another")),
            None => Err(Denied::Token("another scheme")),
        }
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Of equal length as digests, so that the time tells nothing.
fn same(a: &[u8], b: &[u8]) -> bool {
    let digest = |bytes| digest::digest(&digest::SHA256, bytes);
    constant_time::verify_slices_are_equal(digest(a).as_ref(), digest(b).as_ref()).is_ok()
}

fn read(file: &Path) -> Result<String, String> {
    let path = file.display();
    let mut token = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut token))
        .map_err(|error| format!("cannot read the token in `{path}`: {error}"))?;
    let token = token.trim();
    if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len()) {
        let found = token.len();
        return Err(format!("expected a token of {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} bytes in `{path}`, found {found}"));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn peer(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn without_a_token_this_machine_may() {
        let guard = Guard::default();
        for near in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(guard.check(peer(near), &headers(&[])), Ok(()), "{near}");
        }
        let far = peer("10.0.0.1:1");
        assert_eq!(guard.check(far, &headers(&[])), Err(Denied::Elsewhere(far)));
    }

    #[test]
    fn a_browser_never_may() {
        for name in ["origin", "sec-fetch-site"] {
            let denied = Guard::default().check(peer("127.0.0.1:1"), &headers(&[(name, "null")]));
            assert!(matches!(denied, Err(Denied::Browser(_))), "{name}");
        }
    }

    #[test]
    fn a_page_with_a_name_for_this_machine_sees_nothing() {
        let (near, far) = (peer("127.0.0.1:1"), peer("10.0.0.1:1"));
        let guard = Guard::default();
        for host in ["127.0.0.1:9901", "localhost", "LOCALHOST:9901", "[::1]:9901", "[::1]"] {
            assert_eq!(guard.check_host(near, &headers(&[("host", host)])), Ok(()), "{host}");
        }
        assert_eq!(guard.check_host(near, &headers(&[])), Ok(()));
        for host in ["evil.example:9901", "evil.example", "localhost.evil.example", ""] {
            assert!(matches!(guard.check_host(near, &headers(&[("host", host)])), Err(Denied::Name(_))), "{host}");
        }
        assert_eq!(guard.check_host(far, &headers(&[("host", "tamis.internal")])), Ok(()));
    }

    #[test]
    fn the_token_is_asked_of_everybody() {
        let file = std::env::temp_dir().join(format!("tamis-token-{}", std::process::id()));
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let guard = Guard::build(Some(&file)).unwrap();
        let with = |value| guard.check(peer("127.0.0.1:1"), &headers(&[("authorization", value)]));
        assert_eq!(with("Bearer 0123456789abcdef"), Ok(()));
        assert_eq!(with("bearer  0123456789abcdef"), Ok(()));
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "Bearer", "Basic 0123456789abcdef", "0123456789abcdef", ""] {
            assert!(matches!(with(wrong), Err(Denied::Token(_))), "{wrong}");
        }
        assert_eq!(guard.check(peer("127.0.0.1:1"), &headers(&[])), Err(Denied::Token("none")));
        std::fs::write(&file, "another-token-of-today").unwrap();
        assert_eq!(with("Bearer another-token-of-today"), Ok(()), "without a restart");
        std::fs::write(&file, "short").unwrap();
        assert_eq!(with("Bearer short"), Err(Denied::Unreadable));
        assert!(Guard::build(Some(&file)).is_err());
        std::fs::remove_file(&file).unwrap();
    }
}
