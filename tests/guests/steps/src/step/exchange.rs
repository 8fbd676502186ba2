//! Steps that speak of the exchange in hand.

use tamis_sdk::prelude::*;
use tamis_sdk::{Fields, Mirror};

use super::Words;
use crate::words::{done, encoded, list, option, value};

pub fn request(words: &Words, request: &mut Request) -> String {
    match words.text(0) {
        "request.method" => value(request.method().as_str()),
        "request.scheme" => value(request.scheme()),
        "request.authority" => value(request.authority()),
        "request.path" => value(request.path()),
        "request.query" => option(request.query()),
        "request.id" => value(request.id()),
        "request.deadline-left" => request.deadline_left().map_or("none".to_owned(), |left| left.as_millis().to_string()),
        "request.set-method" => match Method::from_bytes(words.text(1).as_bytes()) {
            Ok(method) => done(request.set_method(&method)),
            Err(why) => done(Err(why)),
        },
        "request.set-authority" => done(request.set_authority(words.text(1))),
        "request.set-target" => done(request.set_target(words.text(1))),
        "request.header" => option(request.header(words.text(1))),
        "request.headers" => list(request.headers(words.text(1)).iter().map(value)),
        "request.all-headers" => fields(&request.all_headers()),
        "request.set-header" => done(request.set_header(words.text(1), words.bytes(2))),
        "request.add-header" => done(request.add_header(words.text(1), words.bytes(2))),
        "request.remove-header" => {
            request.remove_header(words.text(1));
            "ok".to_owned()
        }
        "request.trailer" => option(request.trailer(words.text(1))),
        "request.set-trailer" => done(request.set_trailer(words.text(1), words.bytes(2))),
        "request.read-body" => body(request.read_body(words.number(1)), value),
        "request.read-body-length" => body(request.read_body(words.number(1)), |bytes| bytes.len().to_string()),
        "request.set-body" => {
            request.set_body(words.bytes(1));
            "ok".to_owned()
        }
        other => panic!("no such step: {other}"),
    }
}

pub fn response(words: &Words, response: &mut Response) -> String {
    match words.text(0) {
        "response.status" => response.status().as_str().to_owned(),
        "response.set-status" => match StatusCode::from_u16(words.number(1)) {
            Ok(status) => done(response.set_status(status)),
            Err(why) => done(Err(why)),
        },
        "response.origin" => value(response.origin()),
        "response.header" => option(response.header(words.text(1))),
        "response.headers" => list(response.headers(words.text(1)).iter().map(value)),
        "response.all-headers" => fields(&response.all_headers()),
        "response.set-header" => done(response.set_header(words.text(1), words.bytes(2))),
        "response.add-header" => done(response.add_header(words.text(1), words.bytes(2))),
        "response.remove-header" => {
            response.remove_header(words.text(1));
            "ok".to_owned()
        }
        "response.trailer" => option(response.trailer(words.text(1))),
        "response.set-trailer" => done(response.set_trailer(words.text(1), words.bytes(2))),
        "response.read-body" => body(response.read_body(words.number(1)), value),
        "response.read-body-length" => body(response.read_body(words.number(1)), |bytes| bytes.len().to_string()),
        "response.set-body" => {
            response.set_body(words.bytes(1));
            "ok".to_owned()
        }
        other => panic!("no such step: {other}"),
    }
}

pub fn outcome(words: &Words, outcome: &Outcome) -> String {
    let status = |status: Option<StatusCode>| status.map_or(0, |status| status.as_u16());
    let mirror = || Mirror::with_id(words.number(1));
    match words.text(0) {
        "outcome.status" => status(outcome.status()).to_string(),
        "outcome.request-bytes" => outcome.request_bytes().to_string(),
        "outcome.response-bytes" => outcome.response_bytes().to_string(),
        "outcome.duration" => outcome.duration().as_micros().to_string(),
        "outcome.upstream" => option(outcome.upstream()),
        "outcome.attempts" => outcome.attempts().to_string(),
        "outcome.failure" => option(outcome.failure()),
        "outcome.mirrored" => outcome.mirrored(mirror()).map_or("none".to_owned(), |copy| status(copy.status).to_string()),
        "outcome.mirrored-headers" => list(outcome.mirrored_headers(mirror(), words.text(2)).iter().map(value)),
        other => panic!("no such step: {other}"),
    }
}

pub fn connection(words: &Words, connection: &Connection) -> String {
    match words.text(0) {
        "connection.source-address" => value(connection.source()),
        "connection.peer-address" => value(connection.peer()),
        "connection.local-address" => value(connection.local()),
        "connection.original-destination" => option(connection.original_destination()),
        "connection.trusted" => connection.trusted().to_string(),
        "connection.listener" => value(connection.listener()),
        "connection.protocol" => value(connection.protocol()),
        "connection.tls-version" => option(connection.tls_version()),
        "connection.server-name" => option(connection.server_name()),
        "connection.client-identities" => list(connection.client_identities().iter().map(value)),
        "connection.client-fingerprint" => option(connection.client_fingerprint()),
        other => panic!("no such step: {other}"),
    }
}

pub fn destination(words: &Words, destination: &mut Destination) -> String {
    match words.text(0) {
        "destination.cluster" => option(destination.cluster()),
        "destination.set-cluster" => done(destination.set_cluster(words.text(1))),
        "destination.set-fallback" => done(destination.set_fallback(words.text(1))),
        "destination.set-endpoint" => done(destination.set_endpoint(words.text(1))),
        "destination.route" => option(destination.route()),
        "destination.set-route" => {
            destination.set_route(words.text(1));
            "ok".to_owned()
        }
        "destination.set-chain" => done(destination.set_chain(words.text(1))),
        "destination.set-subset" => {
            let words = words.rest(1);
            let labels: Vec<_> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
            destination.set_subset(&labels);
            "ok".to_owned()
        }
        "destination.set-hash-key" => {
            destination.set_hash_key(words.bytes(1));
            "ok".to_owned()
        }
        "destination.set-timeout" => {
            destination.set_timeout(words.time(1));
            "ok".to_owned()
        }
        "destination.set-retry" => done(destination.set_retry(words.number(1), &words.rest(3), words.time(2))),
        "destination.mirror" => {
            let pairs: Vec<_> = words.pairs(3).collect();
            let fields: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_slice())).collect();
            match destination.mirror(words.text(1), &fields, words.number(2)) {
                Ok(mirror) => mirror.id().to_string(),
                Err(why) => done(Err(why)),
            }
        }
        "destination.set-response-rate" => {
            destination.set_response_rate(words.some(1).map(|_| words.number(1)));
            "ok".to_owned()
        }
        other => panic!("no such step: {other}"),
    }
}

pub fn notes(words: &Words, notes: &mut Notes) -> String {
    match words.text(0) {
        "notes.get" => option(notes.get(words.text(1))),
        "notes.set" => {
            notes.set(words.text(1), words.text(2));
            "ok".to_owned()
        }
        other => panic!("no such step: {other}"),
    }
}

/// Those whose names begin with `x-`.
fn fields(all: &Fields) -> String {
    list(all.iter().filter(|(name, _)| name.starts_with("x-")).map(|(name, value)| format!("{name}={}", encoded(value))))
}

fn body(read: Result<Vec<u8>, BodyError>, written: impl FnOnce(Vec<u8>) -> String) -> String {
    match read {
        Ok(bytes) => written(bytes),
        Err(BodyError::TooLarge) => "!too-large".to_owned(),
        Err(BodyError::PeerGone) => "!peer-gone".to_owned(),
        Err(BodyError::AlreadyStreamed) => "!already-streamed".to_owned(),
    }
}
