//! Why the proxy answers by itself: one type for every such answer.
//!
//! A failure says whose fault it is, which status and which word it has, and whether another attempt could help. It is
//! rendered in `http/reply` and nowhere else.

use std::error::Error;
use std::fmt;

use http::StatusCode;

/// An error from below, as it was.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// On which side it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Downstream,
    Proxy,
    Filter,
    Upstream,
}

/// Whether the same request may be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No byte of it reached an endpoint.
    Safe,
    /// It may have been acted upon.
    Unsafe,
    /// Another attempt would end the same.
    Useless,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $at:ident, $status:ident, $reason:literal, $retry:ident;)+) => {
        /// What went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $kind),+ }

        impl Kind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &[Kind] = &[$(Kind::$kind),+];
            /// Their words, in the same order.
            pub const REASONS: &[&str] = &[$($reason),+];

            pub const fn at(self) -> At {
                match self { $(Kind::$kind => At::$at),+ }
            }

            /// The status a client sees; for [`Kind::ClientGone`] and [`Kind::FilterReset`] only the log does.
            pub const fn status(self) -> StatusCode {
                match self { $(Kind::$kind => kinds!(@status $status)),+ }
            }

            /// One word for logs, metrics and the field `x-tamis-reason`.
            pub const fn reason(self) -> &'static str {
                match self { $(Kind::$kind => $reason),+ }
            }

            pub const fn retry(self) -> Retry {
                match self { $(Kind::$kind => Retry::$retry),+ }
            }
        }
    };
    (@status $status:ident) => { StatusCode::$status };
}

kinds! {
    /// The request breaks a rule of HTTP, or one of this listener.
    MalformedRequest = Downstream, BAD_REQUEST, "malformed-request", Useless;
    /// What a trusted peer says of its client by the PROXY protocol is missing, late or wrong.
    ProxyHeader = Downstream, BAD_REQUEST, "proxy-header", Useless;
    HeadersTooLarge = Downstream, REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", Useless;
    UriTooLong = Downstream, URI_TOO_LONG, "uri-too-long", Useless;
    /// For another host than the TLS handshake named, where that decides who the client is.
    Misdirected = Downstream, MISDIRECTED_REQUEST, "misdirected", Useless;
    /// CONNECT, or a protocol nobody here speaks.
    NotImplemented = Downstream, NOT_IMPLEMENTED, "not-implemented", Useless;
    /// The client did not send what it had announced in time.
    ClientTimeout = Downstream, REQUEST_TIMEOUT, "client-timeout", Useless;
    /// The client left before its answer was complete; it sees nothing of this.
    ClientGone = Downstream, BAD_REQUEST, "client-gone", Useless;
    /// Nothing moved on a raw connection for too long.
    Idle = Proxy, REQUEST_TIMEOUT, "idle", Useless;
    /// The deadline that the client sent along has passed.
    Deadline = Downstream, GATEWAY_TIMEOUT, "deadline", Useless;
    /// The proxy was told to leave and the exchange did not end in time. The client sees a cut connection.
    Cut = Proxy, SERVICE_UNAVAILABLE, "cut", Unsafe;
    /// More exchanges than the process is allowed.
    Overloaded = Proxy, SERVICE_UNAVAILABLE, "overloaded", Safe;
    /// No filter chose a cluster and the listener names none.
    NoRoute = Proxy, NOT_FOUND, "no-route", Useless;
    /// It was to go where the client was going, and that is here; or it has come from here.
    Loop = Proxy, LOOP_DETECTED, "loop", Useless;
    /// The cluster that was chosen is gone from the configuration.
    NoCluster = Proxy, SERVICE_UNAVAILABLE, "no-cluster", Useless;
    /// What the filters left of the request cannot be sent.
    BadRequestByFilter = Filter, INTERNAL_SERVER_ERROR, "filter-request", Useless;
    /// A filter with `on-failure = "closed"` trapped, ran out of time or memory.
    FilterFailed = Filter, INTERNAL_SERVER_ERROR, "filter-failed", Useless;
    /// A filter that fails closed keeps failing, and is left alone for a while.
    FilterTripped = Filter, SERVICE_UNAVAILABLE, "filter-tripped", Useless;
    /// A raw connection would pass by a filter of the chain, which judges HTTP only.
    NoConnectionHook = Filter, FORBIDDEN, "no-connection-hook", Useless;
    /// A filter decided to end the exchange without an answer.
    FilterReset = Filter, INTERNAL_SERVER_ERROR, "filter-reset", Useless;
    /// As much of the cluster is in use as its limits allow.
    ClusterOverloaded = Proxy, SERVICE_UNAVAILABLE, "cluster-overloaded", Safe;
    /// The cluster has no endpoint.
    NoEndpoint = Upstream, SERVICE_UNAVAILABLE, "no-endpoint", Safe;
    ConnectFailed = Upstream, BAD_GATEWAY, "connect-failed", Safe;
    /// There is no TLS with the endpoint: it is not who it should be, or does not want the proxy.
    UpstreamTls = Upstream, BAD_GATEWAY, "upstream-tls", Safe;
    ConnectTimeout = Upstream, GATEWAY_TIMEOUT, "connect-timeout", Safe;
    /// The upstream closed or reset before its answer was complete.
    UpstreamReset = Upstream, BAD_GATEWAY, "upstream-reset", Unsafe;
    /// The upstream's answer breaks a rule of HTTP.
    UpstreamProtocol = Upstream, BAD_GATEWAY, "upstream-protocol", Unsafe;
    /// The upstream did not answer in time.
    Timeout = Upstream, GATEWAY_TIMEOUT, "timeout", Unsafe;
}

/// One failure, with where it came from.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    /// For the client: what was expected and what was found. Nothing of the inside of the proxy.
    pub message: std::borrow::Cow<'static, str>,
    /// For the log only.
    pub source: Option<BoxError>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut source = self.source.as_ref().map(|source| &**source as &dyn Error);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words_and_differ() {
        let mut reasons: Vec<_> = Kind::ALL.iter().map(|kind| kind.reason()).collect();
        assert!(reasons.iter().all(|reason| reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), Kind::ALL.len());
    }

    #[test]
    fn nothing_that_reached_an_endpoint_is_safe_to_send_again() {
        for kind in [Kind::UpstreamReset, Kind::UpstreamProtocol, Kind::Timeout] {
            assert_eq!(kind.retry(), Retry::Unsafe);
        }
    }

    #[test]
    fn a_failure_tells_its_causes_in_order() {
        let cause = std::io::Error::other("refused");
        let failure = Failure::new(Kind::ConnectFailed, "no connection").because(cause);
        assert_eq!(failure.to_string(), "no connection: refused");
    }
}
