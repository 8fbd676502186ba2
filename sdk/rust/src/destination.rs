//! Where the request goes.

use std::time::Duration;

use crate::{Refused, host};

/// Where the request goes. After the request phase it can still be read; writing it then no longer changes where the
/// request went.
#[derive(Debug)]
pub struct Destination(());

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

    /// The name of the route that was taken; `None` if no filter set one.
    pub fn route(&self) -> Option<String> {
        host::destination::route()
    }

    /// Names the route, for logs, metrics, traces and later filters.
    pub fn set_route(&mut self, name: &str) {
        host::destination::set_route(name);
    }

    /// How long the exchange may take in all, retries included; `None`: as long as it likes. The proxy counts in
    /// milliseconds; less than one counts as one.
    pub fn set_timeout(&mut self, total: Option<Duration>) {
        let ms = total.map_or(0, |total| u32::try_from(total.as_millis()).unwrap_or(u32::MAX).max(1));
        host::destination::set_timeout_ms(ms);
    }
}
