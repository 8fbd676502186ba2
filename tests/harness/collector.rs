//! A collector of traces: OTLP over HTTP and gRPC, and Zipkin, on one port. It reads the bytes by itself, with nothing of the proxy.

mod protobuf;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::body;
use crate::certificates::Certificate;
use crate::origin::{Origin, Reply, origin};

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After so many looks a test gives up: far more than a busy machine needs.
const LOOKS_MAX: usize = 4000;

/// A span as any of the three told it. Ids are in hexadecimal, and empty where there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Span {
    /// `otlp-http`, `otlp-grpc` or `zipkin`.
    pub protocol: &'static str,
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    /// `internal`, `server` or `client`.
    pub kind: &'static str,
    pub state: String,
    /// Since 1970, in microseconds.
    pub began: u64,
    pub ended: u64,
    pub failed: bool,
    pub attributes: BTreeMap<String, String>,
    /// Of the process.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// See the module.
pub struct Collector {
    origin: Origin,
    scheme: &'static str,
    spans: Arc<Mutex<Vec<Span>>>,
    /// Bodies of OTLP, without what gRPC puts around them.
    raw: Arc<Mutex<Vec<Bytes>>>,
}

pub fn collector() -> Collector {
    start(None)
}

/// Shows this certificate, which has to be for `localhost`.
pub fn secure_collector(certificate: &Certificate) -> Collector {
    start(Some(certificate))
}

fn start(certificate: Option<&Certificate>) -> Collector {
    let (spans, raw) = (Arc::<Mutex<Vec<Span>>>::default(), Arc::<Mutex<Vec<Bytes>>>::default());
    let taking = |protocol: &'static str| {
        let (spans, raw) = (Arc::clone(&spans), Arc::clone(&raw));
        move |request: Request<Incoming>| {
            let (spans, raw) = (Arc::clone(&spans), Arc::clone(&raw));
            async move { take(protocol, request, &spans, &raw).await }
        }
    };
    let plain = origin()
        .route_fn("/v1/traces", taking("otlp-http"))
        .route_fn("/opentelemetry.proto.collector.trace.v1.TraceService/Export", taking("otlp-grpc"))
        .route_fn("/api/v2/spans", taking("zipkin"));
    let (origin, scheme) = match certificate {
        Some(certificate) => (plain.tls(certificate).run(), "https"),
        None => (plain.run(), "http"),
    };
    Collector { origin, scheme, spans, raw }
}

impl Collector {
    /// What goes into `[tracing]` to send spans here.
    pub fn keys(&self, protocol: &str) -> String {
        let port = self.origin.to_string().rsplit(':').next().unwrap_or_default().to_owned();
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("endpoint = '{}://{host}:{port}'\nprotocol = '{protocol}'\nbatch-wait = '10ms'\n", self.scheme)
    }

    /// What has come until now.
    pub fn present(&self) -> Vec<Span> {
        self.spans.lock().expect("no scenario panics with it").clone()
    }

    pub fn raw(&self) -> Vec<Bytes> {
        self.raw.lock().expect("no scenario panics with it").clone()
    }

    /// Waits until `count` spans have come. More than that many fail the scenario.
    pub async fn spans(&self, count: usize) -> Vec<Span> {
        for _ in 0..LOOKS_MAX {
            let spans = self.present();
            assert!(spans.len() <= count, "{count} spans were expected: {spans:#?}");
            if spans.len() == count {
                return spans;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("{count} spans were expected for a long time: {:#?}", self.present());
    }
}

async fn take(protocol: &'static str, request: Request<Incoming>, spans: &Mutex<Vec<Span>>, raw: &Mutex<Vec<Bytes>>) -> Reply {
    let content = request.headers()["content-type"].to_str().expect("text").to_owned();
    let body = request.into_body().collect().await.expect("a whole body").to_bytes();
    let read = match protocol {
        "zipkin" => {
            assert_eq!(content, "application/json");
            zipkin(&body)
        }
        "otlp-http" => {
            assert_eq!(content, "application/x-protobuf");
            otlp(protocol, &body)
        }
        _ => {
            assert_eq!(content, "application/grpc");
            let length = u32::from_be_bytes(body[1..5].try_into().expect("four bytes"));
            assert_eq!((body[0], length as usize), (0, body.len() - 5), "one message that is not compressed");
            otlp(protocol, &body.slice(5..))
        }
    };
    if protocol != "zipkin" {
        let message = if protocol == "otlp-grpc" { body.slice(5..) } else { body };
        raw.lock().expect("no scenario panics with it").push(message);
    }
    spans.lock().expect("no scenario panics with it").extend(read);
    match protocol {
        "zipkin" => Reply::new(202),
        "otlp-http" => Reply::new(200).header("content-type", "application/x-protobuf"),
        _ => {
            let empty = body::with_trailers(vec![0; 5], &[("grpc-status", "0")]);
            Reply::new(200).header("content-type", "application/grpc").streaming(empty)
        }
    }
}

/// `ExportTraceServiceRequest`, by the numbers of its fields.
fn otlp(protocol: &'static str, bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for group in protobuf::messages(bytes, 1) {
        let resource = protobuf::messages(group, 1).into_iter().flat_map(attributes_1).collect::<BTreeMap<_, _>>();
        for scope in protobuf::messages(group, 2) {
            spans.extend(protobuf::messages(scope, 2).into_iter().map(|span| {
                let hex =
                    |field| protobuf::messages(span, field).concat().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                let status = protobuf::messages(span, 15).concat();
                Span {
                    protocol,
                    service: resource["service.name"].clone(),
                    trace: hex(1),
                    id: hex(2),
                    parent: hex(4),
                    name: protobuf::text(span, 5),
                    kind: ["", "internal", "server", "client"][protobuf::number(span, 6) as usize],
                    state: protobuf::text(span, 3),
                    began: protobuf::number(span, 7) / 1000,
                    ended: protobuf::number(span, 8) / 1000,
                    failed: protobuf::number(&status, 3) == 2,
                    attributes: protobuf::messages(span, 9).into_iter().map(attribute).collect(),
                    resource: resource.clone(),
                }
            }));
        }
    }
    spans
}

fn attributes_1(resource: &[u8]) -> Vec<(String, String)> {
    protobuf::messages(resource, 1).into_iter().map(attribute).collect()
}

/// `KeyValue` with an `AnyValue` that is a text, a flag or a number.
fn attribute(bytes: &[u8]) -> (String, String) {
    let value = protobuf::messages(bytes, 2).concat();
    let text = match protobuf::fields(&value).first() {
        Some((1, _)) => protobuf::text(&value, 1),
        Some((2, _)) => (protobuf::number(&value, 2) == 1).to_string(),
        Some((3, _)) => protobuf::number(&value, 3).to_string(),
        other => panic!("no value of a span: {other:?}"),
    };
    (protobuf::text(bytes, 1), text)
}

fn zipkin(bytes: &[u8]) -> Vec<Span> {
    let list: Vec<Value> = serde_json::from_slice(bytes).expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = list.iter().map(|span| {
        let attributes: BTreeMap<_, _> =
            span["tags"].as_object().expect("tags").iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let began = span["timestamp"].as_u64().expect("microseconds");
        Span {
            protocol: "zipkin",
            service: text(&span["localEndpoint"]["serviceName"]),
            trace: text(&span["traceId"]),
            id: text(&span["id"]),
            parent: text(&span["parentId"]),
            name: text(&span["name"]),
            kind: match span["kind"].as_str() {
                None => "internal",
                Some("SERVER") => "server",
                Some("CLIENT") => "client",
                Some(other) => panic!("no kind: {other}"),
            },
            state: String::new(),
            began,
            ended: began + span["duration"].as_u64().expect("microseconds"),
            failed: attributes.contains_key("error"),
            attributes,
            resource: BTreeMap::new(),
        }
    });
    read.collect()
}
