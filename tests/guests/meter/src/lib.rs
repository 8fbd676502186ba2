//! Counts requests by their field `x-label`, sets a gauge to `x-gauge`, and puts `x-size` into a histogram.

use tamis_sdk::metrics::{Counter, Gauge, Histogram};
use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Config {
    counter: String,
    gauge: String,
    histogram: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            counter: "guest_requests_total".to_owned(),
            gauge: "guest_level".to_owned(),
            histogram: "guest_size_bytes".to_owned(),
        }
    }
}

struct Meter {
    requests: Counter,
    level: Gauge,
    sizes: Histogram,
}

impl Filter for Meter {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let at = |path: &'static str| move |why| ConfigError::at(path, why);
        Ok(Meter {
            requests: setup.counter(&config.counter, "Requests by label", &["label", "method"]).map_err(at("counter"))?,
            level: setup.gauge(&config.gauge, "What a request set last", &[]).map_err(at("gauge"))?,
            sizes: setup.histogram(&config.histogram, "What requests said", &["label"]).map_err(at("histogram"))?,
        })
    }
}

impl RequestHook for Meter {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let label = request.header("x-label");
        let label = label.as_ref().map_or("none", |label| label.to_str().unwrap_or("not text"));
        self.requests.increment(&[label, request.method().as_str()]);
        if let Some(level) = number(request, "x-gauge") {
            self.level.set(&[], level);
        }
        if let Some(size) = number(request, "x-size") {
            self.sizes.observe(&[label], size);
        }
        if let Some(more) = number(request, "x-add") {
            self.requests.add(&[label, "added"], more);
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Meter: request);

fn number(request: &Request, name: &str) -> Option<f64> {
    request.header(name)?.to_str().ok()?.parse().ok()
}
