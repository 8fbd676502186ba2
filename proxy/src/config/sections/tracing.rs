//! The keys of `[tracing]`.

use std::time::Duration;

use crate::config::bounds::*;
use crate::config::defaults::*;
use crate::config::kind::{Choice, Collector, FieldName, File, Integer, List, Share, Text, Texts, Time};
use crate::config::table::Table;
use crate::config::types::{AcceptFrom, Export, ExportProtocol, Propagation, Tracing};

const FORMATS: Choice<Propagation> =
    Choice::of(&[("w3c", Propagation::W3c), ("b3", Propagation::B3), ("b3-single", Propagation::B3Single)]);
/// Keys that mean nothing unless spans are sent somewhere.
const OF_EXPORT: [&str; 8] = ["protocol", "fields", "ca", "queue", "batch", "batch-wait", "timeout", "attempts"];

pub fn tracing(table: &mut Table<'_>, mark: Option<u32>) -> Option<Tracing> {
    let default = Tracing::default();
    let tracing = Tracing {
        accept: table.or(
            "accept",
            &List::of_distinct(FORMATS),
            default.accept,
            "In which fields a trace may come from the client: `traceparent` and `tracestate` (W3C), `X-B3-…`, or the one field `b3`. \
             The first that is there counts.",
        ),
        emit: table.or(
            "emit",
            &List::of_distinct(FORMATS),
            default.emit,
            "In which fields it goes on. Those of the others are removed.",
        ),
        accept_from: table.or(
            "accept-from",
            &Choice::of(&[("any", AcceptFrom::Any), ("trusted", AcceptFrom::Trusted)]),
            default.accept_from,
            "Whose traces go on here: those of every client, or of peers in `trusted` of the listener only. For others a new one begins.",
        ),
        sample: table.or(
            "sample",
            &Share,
            default.sample,
            "The share of the exchanges with which a trace begins that is sampled. All others do as their parent does.",
        ),
        force_header: table.optional(
            "force-header",
            &FieldName,
            "A field with which a peer in `trusted` has its exchange sampled, whatever it says. It is removed from requests of others.",
        ),
        service: table.or("service", &Text::up_to(TRACING_TEXT_MAX), default.service, "The name of this service in traces."),
        attributes: table.or("attributes", &Texts, default.attributes, "More that is told of this process with each batch of spans."),
        export: export(table, mark),
    };
    Some(tracing)
}

/// Asks for every key, so that the reference has them; what comes of it counts only if there is an endpoint.
fn export(table: &mut Table<'_>, mark: Option<u32>) -> Option<Export> {
    let endpoint = table.optional(
        "endpoint",
        &Collector,
        "Where spans are sent. A path that is not there is that of the protocol: `/v1/traces`, `/api/v2/spans`. Without an \
         endpoint traces go on, but nothing is told of this proxy.",
    );
    let usual = Export::to(http::Uri::default(), ExportProtocol::OtlpHttp);
    let export = Export {
        protocol: table.or(
            "protocol",
            &Choice::of(&[
                ("otlp-http", ExportProtocol::OtlpHttp),
                ("otlp-grpc", ExportProtocol::OtlpGrpc),
                ("zipkin", ExportProtocol::Zipkin),
            ]),
            usual.protocol,
            "What is spoken there: OTLP as protobuf over HTTP/1.1 or over gRPC, or Zipkin's JSON (version 2).",
        ),
        fields: table.or("fields", &Texts, usual.fields, "Fields of each request to the endpoint, for a token say."),
        ca: table.optional(
            "ca",
            &File,
            "A PEM file of authorities that an https:// endpoint is trusted by, besides the system's.",
        ),
        mark,
        queue: table.or(
            "queue",
            &Integer::within(1, TRACING_QUEUE_MAX),
            TRACING_QUEUE,
            "Sampled exchanges whose spans wait to be sent; those of further ones are dropped and counted.",
        ),
        batch: table.or(
            "batch",
            &Integer::within(1, TRACING_BATCH_MAX),
            TRACING_BATCH,
            "Exchanges whose spans are sent at once.",
        ),
        batch_wait: table.or(
            "batch-wait",
            &Time::within(Duration::ZERO, TRACING_WAIT_MAX),
            TRACING_BATCH_WAIT,
            "How long the first of a batch waits for others.",
        ),
        timeout: table.or(
            "timeout",
            &Time::within(DURATION_MIN, TRACING_WAIT_MAX),
            TRACING_TIMEOUT,
            "One attempt to send a batch, the connection included.",
        ),
        attempts: table.or(
            "attempts",
            &Integer::within(1, TRACING_ATTEMPTS_MAX),
            TRACING_ATTEMPTS,
            "How often a batch is sent before it is dropped and counted.",
        ),
        ..usual
    };
    check_fields(table, &export);
    let Some(endpoint) = endpoint else {
        if table.node("endpoint").is_none() {
            for key in OF_EXPORT {
                if let Some(node) = table.node(key) {
                    table.reader().report(node.span.clone(), format!("`{key}` is for spans that are sent; it needs `endpoint`"));
                }
            }
        }
        return None;
    };
    if export.protocol == ExportProtocol::OtlpGrpc
        && !matches!(endpoint.path(), "" | "/")
        && let Some(node) = table.node("endpoint")
    {
        table.reader().report(node.span.clone(), "gRPC has a path of its own: expected an endpoint without one");
    }
    if let (Some("http"), Some(node)) = (endpoint.scheme_str(), table.node("ca")) {
        table.reader().report(node.span.clone(), "`ca` is for an https:// endpoint");
    }
    Some(Export { endpoint, ..export })
}

/// What cannot be a field would be missed at run time only.
fn check_fields(table: &Table<'_>, export: &Export) {
    let Some(node) = table.node("fields") else { return };
    for (name, value) in &export.fields {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() || http::HeaderValue::from_str(value).is_err() {
            table.reader().report(node.span.clone(), format!("`{name}` with this text cannot be a field"));
        }
    }
}
