//! Counts requests and bytes by client, in a store that all workers share, and tells the totals as metrics and in the log.

mod clients;

use std::time::Duration;

use tamis_sdk::config::duration;
use tamis_sdk::metrics::{Counter, Gauge};
use tamis_sdk::prelude::*;
use tamis_sdk::store::{self, Store};

use clients::Clients;

/// A client's name is cut here, so that it fits a key of any store.
const CLIENT_BYTES_MAX: usize = 128;
/// The list of clients is one value of the store.
const CLIENTS_MAX: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default = "usage")]
    store: String,
    /// The field that names the client; without it, its address does.
    header: Option<String>,
    #[serde(default = "ten_seconds", deserialize_with = "duration")]
    report_every: Duration,
    #[serde(default = "a_day", deserialize_with = "duration")]
    forget_after: Duration,
    #[serde(default = "hundred")]
    clients_max: usize,
}

fn usage() -> String {
    "usage".to_owned()
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn a_day() -> Duration {
    Duration::from_secs(86_400)
}

fn hundred() -> usize {
    100
}

/// Where it counts, and what it tells.
#[derive(Debug)]
pub struct UsageMeter {
    clients: Clients,
    header: Option<String>,
    requests: Counter,
    bytes: Counter,
    requests_by_client: Gauge,
    bytes_by_client: Gauge,
}

impl Filter for UsageMeter {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        for (key, time) in [("report-every", config.report_every), ("forget-after", config.forget_after)] {
            if time.is_zero() {
                return Err(ConfigError::at(key, "expected more than 0ms, found 0ms"));
            }
        }
        if !(1..=CLIENTS_MAX).contains(&config.clients_max) {
            let why = format!("expected 1 to {CLIENTS_MAX}, found {}", config.clients_max);
            return Err(ConfigError::at("clients-max", why));
        }
        setup.tick_every(config.report_every);
        Ok(UsageMeter {
            clients: Clients::new(Store::from(config.store), config.forget_after, config.clients_max),
            header: config.header,
            requests: setup.counter("usage_requests_total", "Exchanges that ended", &[]).map_err(ConfigError::new)?,
            bytes: setup.counter("usage_bytes_total", "Bytes of bodies", &["direction"]).map_err(ConfigError::new)?,
            requests_by_client: setup
                .gauge("usage_client_requests", "Exchanges since the client was first seen", &["client"])
                .map_err(ConfigError::new)?,
            bytes_by_client: setup
                .gauge("usage_client_bytes", "Bytes since the client was first seen", &["client"])
                .map_err(ConfigError::new)?,
        })
    }
}

impl CompleteHook for UsageMeter {
    fn on_complete(&self, outcome: &Outcome) {
        let (received, sent) = (outcome.request_bytes(), outcome.response_bytes());
        self.requests.increment(&[]);
        self.bytes.add(&["in"], received as f64);
        self.bytes.add(&["out"], sent as f64);
        let client = self.client(outcome);
        if let Err(why) = self.clients.count(&client, received.saturating_add(sent)) {
            log::warn!("an exchange of {client} is not counted: {why}");
        }
    }
}

impl TickHook for UsageMeter {
    fn on_tick(&self) {
        if let Err(why) = self.report() {
            log::warn!("usage cannot be told: {why}");
        }
    }
}

tamis_sdk::export!(UsageMeter: complete, tick);

impl UsageMeter {
    fn client(&self, outcome: &Outcome) -> String {
        let named = self.header.as_ref().map(|header| match outcome.request().header(header) {
            Some(name) => String::from_utf8_lossy(name.as_bytes()).into_owned(),
            None => "anonymous".to_owned(),
        });
        let mut client = named.unwrap_or_else(|| outcome.connection().source());
        client.truncate(client.floor_char_boundary(CLIENT_BYTES_MAX));
        client
    }

    /// Sets the gauges of the clients that are known, forgets those whose time is over, and logs the sums.
    fn report(&self) -> Result<(), store::Error> {
        let (mut requests, mut bytes) = (0, 0);
        let known = self.clients.totals()?;
        for (client, total) in &known {
            let (of_requests, of_bytes) = total.map_or((0, 0), |total| (total.requests, total.bytes));
            self.requests_by_client.set(&[client], of_requests as f64);
            self.bytes_by_client.set(&[client], of_bytes as f64);
            requests += of_requests;
            bytes += of_bytes;
        }
        let gone: Vec<&str> = known.iter().filter(|(_, total)| total.is_none()).map(|(client, _)| client.as_str()).collect();
        self.clients.forget(&gone)?;
        log::info!("usage of {} clients: {requests} requests, {bytes} bytes", known.len() - gone.len());
        Ok(())
    }
}
