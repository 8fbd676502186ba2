//! Who may change something: whoever shows the token or, where none is configured, whoever connects from this machine.
//! Never a web page that somebody's browser happens to show, unless it is the admin's own.

use std::fmt;
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
    #[error("a browser sent this for a web page, as `{0}` tells; only the page of this admin may")]
    Browser(&'static str),
    #[error(
        "the host is `{0}`; expected an address or `localhost`, so that no web page can call this machine by a name of its own"
    )]
    Name(String),
    #[error("changes are taken from this machine only, found a connection from {0}; `admin.token-file` lets others make them")]
    Elsewhere(Peer),
    #[error("expected `Authorization: Bearer` with the token of `admin.token-file`, found {0}")]
    Token(&'static str),
    /// What exactly is wrong with the file is for the log.
    #[error("the token of this proxy cannot be read; its log says why")]
    Unreadable,
}

/// Who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Address(SocketAddr),
    /// Through a socket that only the user of this process can open.
    Unix,
}

impl Peer {
    fn is_near(self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Unix => f.write_str("the socket"),
        }
    }
}

/// What the admin's own page sends with each of its requests. A page from elsewhere cannot without asking first, and is told no.
const OWN_PAGE: &str = "x-tamis-dashboard";
const FETCH_SITE: &str = "sec-fetch-site";

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
    pub fn check_host(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Denied> {
        let Peer::Address(_) = peer else { return Ok(()) };
        if self.0.is_some() || !peer.is_near() {
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

    /// May it do what the user of this process can do? Anybody on this machine can connect to an address without a token.
    pub fn is_as_its_user(&self, peer: Peer) -> bool {
        self.0.is_some() || peer == Peer::Unix
    }

    /// May it change something, or see what is not for everybody?
    pub fn check(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Denied> {
        if let Some(field) = foreign(headers) {
            return Err(Denied::Browser(field));
        }
        let Some(file) = &self.0 else {
            return if peer.is_near() { Ok(()) } else { Err(Denied::Elsewhere(peer)) };
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

/// What tells that a browser sent this for a page that is not the admin's own. Such a page has the origin that it talks to, which
/// the browser vouches for, and says who it is in a field that makes a browser ask first for any other page.
fn foreign(headers: &HeaderMap) -> Option<&'static str> {
    let (origin, site) = (headers.get(ORIGIN), headers.get(FETCH_SITE));
    let own = headers.get(OWN_PAGE).is_some_and(|value| value == "1");
    let is_here = |origin: &[u8]| {
        let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        headers.get(HOST).is_some_and(|host| authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_bytes())))
    };
    if origin.is_some_and(|origin| !own || !is_here(origin.as_bytes())) {
        return Some("Origin");
    }
    site.is_some_and(|site| !own || site != "same-origin").then_some("Sec-Fetch-Site")
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

    fn peer(address: &str) -> Peer {
        Peer::Address(address.parse().unwrap())
    }

    #[test]
    fn without_a_token_this_machine_may() {
        let guard = Guard::default();
        for near in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(guard.check(peer(near), &headers(&[])), Ok(()), "{near}");
        }
        let far = peer("10.0.0.1:1");
        assert_eq!(guard.check(far, &headers(&[])), Err(Denied::Elsewhere(far)));
        assert_eq!(guard.check(Peer::Unix, &headers(&[])), Ok(()));
        assert_eq!(guard.check_host(Peer::Unix, &headers(&[("host", "admin")])), Ok(()));
    }

    #[test]
    fn a_page_may_only_if_it_is_the_admins_own() {
        const HERE: (&str, &str) = ("host", "127.0.0.1:9901");
        const OWN: (&str, &str) = ("x-tamis-dashboard", "1");
        let check = |fields: &[(&'static str, &'static str)]| Guard::default().check(peer("127.0.0.1:1"), &headers(fields));
        let origin = ("origin", "http://127.0.0.1:9901");
        for own in [&[HERE, OWN, origin][..], &[HERE, OWN, origin, ("sec-fetch-site", "same-origin")], &[HERE, OWN]] {
            assert_eq!(check(own), Ok(()), "{own:?}");
        }
        let foreign: [&[_]; 9] = [
            &[HERE, origin],
            &[HERE, ("sec-fetch-site", "same-origin")],
            &[HERE, ("sec-fetch-site", "none")],
            &[HERE, OWN, ("sec-fetch-site", "same-site")],
            &[HERE, OWN, ("sec-fetch-site", "cross-site"), origin],
            &[HERE, OWN, ("origin", "null")],
            &[HERE, OWN, ("origin", "http://127.0.0.1:80")],
            &[HERE, ("x-tamis-dashboard", "0"), origin],
            &[OWN, origin],
        ];
        for foreign in foreign {
            assert!(matches!(check(foreign), Err(Denied::Browser(_))), "{foreign:?}");
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
