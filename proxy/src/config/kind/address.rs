//! Addresses: to listen on, of name servers, of networks, of endpoints. Nothing here resolves a name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::types::{AdminListen, EndpointSpec};

/// The port of a name server that is given without one.
const DNS_PORT: u16 = 53;
/// RFC 1035, 2.3.4.
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// An IP address and a port to listen on; port 0 lets the system choose.
pub struct Listen;

impl Kind for Listen {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an IP address and a port such as \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<SocketAddr> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        match (text.parse(), text.strip_prefix(':'), text.parse::<IpAddr>()) {
            (Ok(address), _, _) => Some(address),
            (_, Some(port), _) => reader.mismatch_with_help(&self.expected(), node, format!("all addresses are \"[::]:{port}\"")),
            (_, _, Ok(_)) => reader.mismatch_with_help(&self.expected(), node, "the port is missing"),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &SocketAddr) -> String {
        format!("\"{value}\"")
    }
}

/// Where the admin listens: an address, or a socket of the file system.
pub struct AdminAddress;

/// What the path of a socket may have: `sockaddr_un` holds 108 bytes, and one is bound beside it first.
const SOCKET_PATH_BYTES_MAX: usize = 96;

impl Kind for AdminAddress {
    type Value = AdminListen;

    fn expected(&self) -> String {
        "an IP address and a port such as \"127.0.0.1:9901\", or \"unix:\" and the path of a socket".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<AdminListen> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        let Some(path) = text.strip_prefix("unix:") else {
            return match (text.parse(), text.strip_prefix(':')) {
                (Ok(address), _) => Some(AdminListen::Address(address)),
                (_, Some(port)) => {
                    let help = format!("this machine alone is \"127.0.0.1:{port}\"");
                    reader.mismatch_with_help(&self.expected(), node, help)
                }
                _ => reader.mismatch(&self.expected(), node),
            };
        };
        let whole = reader.folder().join(path);
        if path.is_empty() || path.contains('\0') || path.ends_with('/') {
            return reader.mismatch(&self.expected(), node);
        }
        if whole.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let expected = format!("the path of a socket, of at most {SOCKET_PATH_BYTES_MAX} bytes");
            return reader.mismatch(&expected, node);
        }
        Some(AdminListen::Unix(whole))
    }

    fn show(&self, value: &AdminListen) -> String {
        format!("{:?}", value.to_string())
    }
}

/// An IP address, with a port if it is not 53.
pub struct NameServer;

impl Kind for NameServer {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an IP address such as \"10.0.0.2\" or \"10.0.0.2:5353\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<SocketAddr> {
        let text = node.as_str().unwrap_or_default();
        let address = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)));
        match address {
            Ok(address) if address.port() != 0 => Some(address),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &SocketAddr) -> String {
        format!("\"{value}\"")
    }
}

/// A network, or a single address.
pub struct Network;

impl Kind for Network {
    type Value = IpNet;

    fn expected(&self) -> String {
        "a network such as \"10.0.0.0/8\" or an IP address".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<IpNet> {
        let text = node.as_str().unwrap_or_default();
        match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(network), _) if network == network.trunc() => Some(network),
            (Ok(network), _) => {
                let help = format!("did you mean \"{}\" or \"{}\"?", network.trunc(), network.addr());
                reader.mismatch_with_help("a network whose address has no bits past its prefix", node, help)
            }
            (_, Ok(address)) => Some(IpNet::from(address)),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &IpNet) -> String {
        format!("\"{value}\"")
    }
}

/// The name of a service in DNS.
pub struct Service;

impl Kind for Service {
    type Value = Arc<str>;

    fn expected(&self) -> String {
        "the name of a service such as \"_http._tcp.users.internal\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Arc<str>> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        match host_problem(text) {
            None if text.contains('.') => Some(text.to_ascii_lowercase().into()),
            None => reader.mismatch(&self.expected(), node),
            Some(_) if text.contains(':') => reader.mismatch_with_help(&self.expected(), node, "its records say the port"),
            Some(help) => reader.mismatch_with_help(&self.expected(), node, help),
        }
    }

    fn show(&self, value: &Arc<str>) -> String {
        format!("{value:?}")
    }
}

/// An address or a host name, each with a port. `Err` says what is wrong with it.
pub fn endpoint(text: &str) -> Result<EndpointSpec, &'static str> {
    if text.contains("://") {
        return Err("an endpoint has no scheme; the cluster's `protocol` says what is spoken");
    }
    if text.contains('/') {
        return Err("an endpoint has no path");
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err("the port is missing; an IPv6 address stands in brackets");
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 { Err("the port is 1 to 65535") } else { Ok(EndpointSpec::Address(address)) };
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Err("the port is missing") };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = match port.parse::<u16>() {
        Ok(port) if digits && port != 0 => port,
        _ => return Err("the port is 1 to 65535"),
    };
    host_problem(host).map_or_else(|| Ok(EndpointSpec::Name { host: host.to_ascii_lowercase().into(), port }), Err)
}

pub(super) fn host_problem(host: &str) -> Option<&'static str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let label_fits = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(allowed)
    };
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(label_fits) {
        return Some("a host name is labels of letters, digits, `-` and `_`, joined by dots");
    }
    // No top-level domain is a number: this is an address gone wrong, and a resolver would only say that it is unknown.
    let last = host.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|b| b.is_ascii_digit()).then_some("this is neither an IP address nor a host name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names() {
        for text in ["10.0.0.1:8080", "[::1]:80"] {
            assert_eq!(endpoint(text), Ok(EndpointSpec::Address(text.parse().expect(text))));
        }
        for (text, host, port) in [("users.internal:80", "users.internal", 80), ("My_host.:65535", "my_host.", 65535)] {
            assert_eq!(endpoint(text), Ok(EndpointSpec::Name { host: Arc::from(host), port }));
        }
    }

    #[test]
    fn what_is_no_endpoint() {
        let cases = [
            ("", "port is missing"),
            ("users", "port is missing"),
            ("10.0.0.1", "port is missing"),
            ("::1", "brackets"),
            ("10.0.0.1:0", "1 to 65535"),
            ("users:0", "1 to 65535"),
            ("users:65536", "1 to 65535"),
            ("users:+80", "1 to 65535"),
            ("users:", "1 to 65535"),
            (":80", "host name"),
            ("a..b:80", "host name"),
            ("é:80", "host name"),
            ("10.0.0.256:80", "neither"),
            ("http://users:80", "scheme"),
            ("users:80/path", "path"),
        ];
        for (text, word) in cases {
            let help = endpoint(text).expect_err(text);
            assert!(help.contains(word), "{text}: {help}");
        }
    }
}
