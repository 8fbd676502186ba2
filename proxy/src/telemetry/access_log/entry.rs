//! One exchange as the log is told of it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::trail::Trail;
use crate::telemetry::propagation::Hex;

/// See the module. What is `None` was never known.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub time: SystemTime,
    pub listener: &'a str,
    pub method: Option<&'a str>,
    pub scheme: Option<&'a str>,
    /// The host that the request names, with its port.
    pub authority: Option<&'a str>,
    pub path: Option<&'a str>,
    pub query: Option<&'a str>,
    pub protocol: &'a str,
    /// 0 where no status was sent.
    pub status: u16,
    /// `upstream`, or one word for every answer of the proxy's own.
    pub reason: &'a str,
    /// The reason is one of the proxy's own.
    pub failed: bool,
    /// What went wrong in words, where something did.
    pub error: Option<&'a str>,
    pub cluster: Option<&'a str>,
    pub endpoint: Option<SocketAddr>,
    pub route: Option<&'a str>,
    pub attempts: u32,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub duration: Duration,
    pub request_id: Option<&'a str>,
    pub trace_id: Option<Hex<u128>>,
    pub span_id: Option<Hex<u64>>,
    /// The client as far as trusted hops tell.
    pub source: IpAddr,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Who the client is, by the first name of its verified certificate.
    pub identity: Option<&'a str>,
    pub tls_version: Option<&'a str>,
    pub server_name: Option<&'a str>,
    pub notes: &'a [(String, String)],
    pub request_fields: &'a Fields,
    pub response_fields: &'a Fields,
    /// Where it was kept.
    pub trail: Option<&'a dyn Trail>,
}

impl Entry<'_> {
    /// The proxy could not do what was asked for. Answers that blame the client are not among these: whoever scans for paths
    /// would fill the log.
    pub fn is_failure(&self) -> bool {
        self.failed && !(400..500).contains(&self.status)
    }
}

/// Fields that a line shows, as they were when they were kept. Nothing is allocated where it shows none.
#[derive(Debug, Default)]
pub struct Fields(Vec<(HeaderName, HeaderValue)>);

impl Fields {
    pub fn of(names: &[HeaderName], headers: &HeaderMap) -> Self {
        let all = names.iter().flat_map(|name| headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        Self(all.collect())
    }

    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_bytes())
    }
}

/// An exchange that went well.
#[cfg(test)]
pub(super) fn example(fields: &Fields) -> Entry<'_> {
    Entry {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
        listener: "edge",
        method: Some("GET"),
        scheme: Some("https"),
        authority: Some("edge.test:8443"),
        path: Some("/\"quoted\""),
        query: Some("a=1&token=2"),
        protocol: "h2",
        status: 200,
        reason: "upstream",
        failed: false,
        error: None,
        cluster: Some("users"),
        endpoint: Some(([127, 0, 0, 1], 80).into()),
        route: None,
        attempts: 1,
        request_bytes: 0,
        response_bytes: 5,
        duration: Duration::from_micros(1234),
        request_id: Some("1"),
        trace_id: Some(Hex(0xab)),
        span_id: Some(Hex(0xcd)),
        source: [127, 0, 0, 1].into(),
        peer: ([127, 0, 0, 1], 4711).into(),
        identity: Some("spiffe://a/b"),
        tls_version: None,
        server_name: None,
        notes: &[],
        request_fields: fields,
        response_fields: fields,
        trail: None,
    }
}
