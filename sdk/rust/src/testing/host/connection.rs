//! Who is speaking.

use crate::testing::hand::with_exchange;

pub fn source_address() -> String {
    with_exchange(|hand| hand.wire.source.clone())
}

pub fn peer_address() -> String {
    with_exchange(|hand| hand.wire.peer.clone())
}

pub fn local_address() -> String {
    with_exchange(|hand| hand.wire.local.clone())
}

pub fn original_destination() -> Option<String> {
    with_exchange(|hand| hand.wire.original_destination.clone())
}

pub fn trusted() -> bool {
    with_exchange(|hand| hand.wire.trusted)
}

pub fn listener() -> String {
    with_exchange(|hand| hand.wire.listener.clone())
}

pub fn protocol() -> String {
    with_exchange(|hand| hand.wire.protocol.clone())
}

pub fn tls_version() -> Option<String> {
    with_exchange(|hand| hand.wire.tls_version.clone())
}

pub fn server_name() -> Option<String> {
    with_exchange(|hand| hand.wire.server_name.clone())
}

pub fn client_identities() -> Vec<String> {
    with_exchange(|hand| hand.wire.client_identities.clone())
}

pub fn client_fingerprint() -> Option<String> {
    with_exchange(|hand| hand.wire.client_fingerprint.clone())
}
