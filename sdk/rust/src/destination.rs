//! Where the request goes.

use std::time::Duration;

use crate::{Refused, host, ms};

/// Where the request goes. After the request phase it can still be read; writing it then no longer changes where the
/// request went.
#[derive(Debug)]
pub struct Destination(());

/// A copy that was sent elsewhere; finds its result in [`Outcome::mirrored`](crate::Outcome::mirrored).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror(pub(crate) u32);

impl Mirror {
    /// The number by which the proxy knows it: what goes into a note, to be found again in another hook.
    pub fn id(self) -> u32 {
        self.0
    }

    /// The copy that has this number.
    pub fn with_id(id: u32) -> Self {
        Mirror(id)
    }
}

impl Destination {
    pub(crate) fn in_hand() -> Self {
        Destination(())
    }

    /// The cluster: a filter's choice, else the listener's; `None` if there is neither.
    pub fn cluster(&self) -> Option<String> {
        host::destination::cluster()
    }

    /// Refused if there is no cluster of that name; then nothing changes.
    pub fn set_cluster(&mut self, name: &str) -> Result<(), Refused> {
        host::destination::set_cluster(name).map_err(Refused)
    }

    /// Where the exchange goes when the cluster has no healthy endpoint. Refused if there is no cluster of that name.
    pub fn set_fallback(&mut self, cluster: &str) -> Result<(), Refused> {
        host::destination::set_fallback(cluster).map_err(Refused)
    }

    /// This very endpoint of the cluster, by its address with the port. Refused if the cluster has none of that address.
    pub fn set_endpoint(&mut self, address: &str) -> Result<(), Refused> {
        host::destination::set_endpoint(address).map_err(Refused)
    }

    /// The name of the route that was taken; `None` if no filter set one.
    pub fn route(&self) -> Option<String> {
        host::destination::route()
    }

    /// Names the route, for logs, metrics, traces and later filters.
    pub fn set_route(&mut self, name: &str) {
        host::destination::set_route(name);
    }

    /// The exchange goes on through this chain after the present one. Refused if there is none of that name.
    pub fn set_chain(&mut self, name: &str) -> Result<(), Refused> {
        host::destination::set_chain(name).map_err(Refused)
    }

    /// Only endpoints that carry all of these labels are eligible.
    pub fn set_subset(&mut self, labels: &[(&str, &str)]) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        host::destination::set_subset(&labels);
    }

    /// What a hashing balancer hashes.
    pub fn set_hash_key(&mut self, key: impl AsRef<[u8]>) {
        host::destination::set_hash_key(key.as_ref());
    }

    /// How long the exchange may take in all, retries included; `None`: as long as it likes. The proxy counts in
    /// milliseconds; less than one counts as one.
    pub fn set_timeout(&mut self, total: Option<Duration>) {
        host::destination::set_timeout_ms(total.map_or(0, |total| ms::short(total).max(1)));
    }

    /// At most `attempts` in all, on these occasions: `connect`, `reset`, `timeout`, `5xx`, `gateway-error`, `retriable-4xx`,
    /// `refused-stream`, a code of gRPC (`cancelled`, `deadline-exceeded`, `resource-exhausted`, `internal`, `unavailable`), or a
    /// status code. Refused if the proxy does not know one of them, or if there are none or too many attempts.
    pub fn set_retry(&mut self, attempts: u32, on: &[&str], per_try: Option<Duration>) -> Result<(), Refused> {
        let on: Vec<_> = on.iter().map(|occasion| (*occasion).to_owned()).collect();
        host::destination::set_retry(attempts, &on, per_try.map(|time| ms::short(time).max(1))).map_err(Refused)
    }

    /// Sends a copy of the request, body included, to another cluster, with these fields set on it; a field `host` takes the
    /// place of the request's authority. Nobody waits for it. A body longer than `body_limit` is not mirrored. Refused if there
    /// is no such cluster, or if a field is one that [`Request::set_header`](crate::Request::set_header) refuses.
    pub fn mirror(&mut self, cluster: &str, fields: &[(&str, &[u8])], body_limit: u32) -> Result<Mirror, Refused> {
        let field = |(name, value): &(&str, &[u8])| host::Field { name: (*name).to_owned(), value: value.to_vec() };
        let fields: Vec<_> = fields.iter().map(field).collect();
        host::destination::mirror(cluster, &fields, body_limit).map(Mirror).map_err(Refused)
    }

    /// How fast the response may flow to the client, in bytes a second; `None`: as fast as it can.
    pub fn set_response_rate(&mut self, bytes_per_second: Option<u64>) {
        host::destination::set_response_rate(bytes_per_second.unwrap_or(0));
    }
}
