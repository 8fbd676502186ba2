//! How a client reaches the proxy: the protocol and whether over TLS. `matrix!` runs one scenario over all four edges.

use std::time::Duration;

use crate::origin::Origin;
use crate::proxy::{self, Proxy};

/// No scenario takes longer, on a busy machine either; one that does hangs.
const SCENARIO_TIME_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub protocol: Protocol,
    pub tls: bool,
}

impl Edge {
    pub const HTTP1_PLAIN: Edge = Edge { protocol: Protocol::Http1, tls: false };
    pub const HTTP1_TLS: Edge = Edge { protocol: Protocol::Http1, tls: true };
    pub const HTTP2_PLAIN: Edge = Edge { protocol: Protocol::Http2, tls: false };
    pub const HTTP2_TLS: Edge = Edge { protocol: Protocol::Http2, tls: true };

    /// A proxy with this configuration, whose listener `edge` is of this kind.
    pub fn proxy(self, toml: impl AsRef<str>) -> Proxy {
        proxy::start(toml.as_ref(), self)
    }

    /// A proxy that sends everything to this origin.
    pub fn forward_to(self, origin: &Origin) -> Proxy {
        self.proxy(format!(
            r#"
            [listeners.edge]
            cluster = "origin"
            [clusters.origin]
            endpoints = ["{origin}"]
            "#
        ))
    }

    pub fn is_http1(self) -> bool {
        self.protocol == Protocol::Http1
    }

    pub fn is_http2(self) -> bool {
        self.protocol == Protocol::Http2
    }

    pub fn scheme(self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// Runs a scenario to its end, or fails it when it hangs.
pub fn run(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let ended = tokio::time::timeout(SCENARIO_TIME_MAX, scenario).await;
        assert!(ended.is_ok(), "the scenario hangs: it did not end within {SCENARIO_TIME_MAX:?}");
    });
}

/// `matrix!(name);` before `async fn name(edge: Edge)` makes it four tests. An exception says where it runs, and why only there:
/// `matrix!(name, http1, because "HTTP/2 has no chunked coding");` (`http1`, `http2`, `plain`, `tls`).
#[macro_export]
macro_rules! matrix {
    ($name:ident) => {
        $crate::matrix!(@tests $name, http1_plain HTTP1_PLAIN, http1_tls HTTP1_TLS, http2_plain HTTP2_PLAIN, http2_tls HTTP2_TLS);
    };
    ($name:ident, http1, because $reason:literal) => {
        $crate::matrix!(@tests $name, http1_plain HTTP1_PLAIN, http1_tls HTTP1_TLS);
    };
    ($name:ident, http2, because $reason:literal) => {
        $crate::matrix!(@tests $name, http2_plain HTTP2_PLAIN, http2_tls HTTP2_TLS);
    };
    ($name:ident, plain, because $reason:literal) => {
        $crate::matrix!(@tests $name, http1_plain HTTP1_PLAIN, http2_plain HTTP2_PLAIN);
    };
    ($name:ident, tls, because $reason:literal) => {
        $crate::matrix!(@tests $name, http1_tls HTTP1_TLS, http2_tls HTTP2_TLS);
    };
    (@tests $name:ident, $($test:ident $edge:ident),+) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    $crate::edge::run(super::$name($crate::Edge::$edge));
                }
            )+
        }
    };
}

/// `scenario!(name);` before `async fn name()` makes it one test: what it shows does not depend on the edge, or it has edges of its own.
#[macro_export]
macro_rules! scenario {
    ($name:ident) => {
        mod $name {
            #[test]
            fn once() {
                $crate::edge::run(super::$name());
            }
        }
    };
}
