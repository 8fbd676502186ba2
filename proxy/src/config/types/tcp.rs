//! What is said of connections that are not, or need not be, HTTP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// `protocol = "http" | "tcp" | "auto" | "udp"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// HTTP/1 and HTTP/2.
    Http,
    /// Bytes.
    Tcp,
    /// The first bytes tell: TLS, HTTP/1, HTTP/2, or anything else.
    Auto,
    /// Datagrams.
    Udp,
}

/// `proxy-protocol = "off" | "optional" | "required"` of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaders {
    Off,
    /// A trusted peer may send one.
    Optional,
    /// Whoever sends none, or is not trusted, is closed.
    Required,
}

/// `proxy-protocol = "v1" | "v2"` of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    V1,
    V2,
}

impl ListenerProtocol {
    /// Connections whose bytes nobody looks into may come.
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Tcp | Self::Auto)
    }
}

/// `[listeners.NAME.tcp]`: where raw connections go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tcp {
    /// By the name that the client asks for.
    pub sni: ServerNames,
    /// By where it was going before it was redirected.
    pub destinations: Destinations,
    /// `None`: the listener's own.
    pub cluster: Option<Arc<str>>,
    /// In its place: several, each with a weight.
    pub weighted: Vec<(Arc<str>, u32)>,
    /// Filters without a connection hook that raw connections may pass by.
    pub unfiltered: Vec<Arc<str>>,
}

/// Clusters by addresses; without a port, for all of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Destinations(pub BTreeMap<(IpAddr, Option<u16>), Arc<str>>);

impl Destinations {
    pub fn get(&self, address: SocketAddr) -> Option<&Arc<str>> {
        let ip = address.ip();
        self.0.get(&(ip, Some(address.port()))).or_else(|| self.0.get(&(ip, None)))
    }
}

/// Clusters by names in lower case, and by what follows the `*` of a wildcard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServerNames {
    pub exact: BTreeMap<String, Arc<str>>,
    /// `.example` for `*.example`.
    pub wildcards: BTreeMap<String, Arc<str>>,
}

impl ServerNames {
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// The name itself, then the longest of the wildcards. A `*` is one label or more.
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(cluster) = self.exact.get(&name) {
            return Some(cluster);
        }
        let dots = name.char_indices().filter(|(at, char)| *char == '.' && *at > 0);
        dots.map(|(at, _)| &name[at..]).find_map(|rest| self.wildcards.get(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_counts_before_the_longest_wildcard() {
        let mut names = ServerNames::default();
        for (name, cluster) in [("db.example", "exact"), (".example", "wide"), (".eu.example", "narrow")] {
            let map = if name.starts_with('.') { &mut names.wildcards } else { &mut names.exact };
            map.insert(name.to_owned(), cluster.into());
        }
        let get = |name| names.get(name).map(|cluster| &**cluster);
        assert_eq!(get("DB.example."), Some("exact"));
        assert_eq!(get("a.example"), Some("wide"));
        assert_eq!(get("a.b.example"), Some("wide"));
        assert_eq!(get("a.b.eu.example"), Some("narrow"));
        assert_eq!(get("eu.example"), Some("wide"));
        assert_eq!(get("example"), None);
        assert_eq!(get(".example"), None);
        assert_eq!(get(""), None);
    }
}
