//! Takes the quotas of its configuration: 429 if one is refused, else the exchange goes on with the decisions in `x-quota`.

use std::time::Duration;

use serde_json::{Value, json};
use tamis_sdk::prelude::*;
use tamis_sdk::quota::{self, Decision};
use tamis_sdk::store::Store;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    store: String,
    asks: Vec<Ask>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Ask {
    key: String,
    kind: Kind,
    limit: u64,
    #[serde(default)]
    window_ms: u64,
    burst: Option<u64>,
    #[serde(default = "one")]
    cost: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Rate,
    Calendar,
    Concurrency,
}

struct Quotas {
    store: Store,
    asks: Vec<Ask>,
}

impl Filter for Quotas {
    type Config = Config;

    fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Quotas { store: Store::from(config.store), asks: config.asks })
    }
}

impl RequestHook for Quotas {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let user = request.header("x-key");
        let user = user.as_ref().map_or("", |user| user.to_str().unwrap_or_default());
        let asks: Vec<_> = self.asks.iter().map(|ask| ask.by(user)).collect();
        let decisions = match quota::take(&self.store, &asks) {
            Ok(decisions) => decisions,
            Err(why) => return Reply::new(StatusCode::SERVICE_UNAVAILABLE).text(&why.to_string()).into(),
        };
        let json: Value = decisions.iter().map(told).collect();
        if decisions.iter().all(|decision| decision.allowed) {
            request.notes().set("quota", &json.to_string());
            return Verdict::Next;
        }
        Reply::new(StatusCode::TOO_MANY_REQUESTS).json(json.to_string()).into()
    }
}

impl ResponseHook for Quotas {
    fn on_response(&self, response: &mut Response) -> Verdict {
        if let Some(decisions) = response.notes().get("quota") {
            response.set_header("x-quota", decisions).expect("JSON without line breaks");
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Quotas: request, response);

impl Ask {
    fn by(&self, user: &str) -> quota::Ask {
        let key = format!("{}:{user}", self.key);
        let window = Duration::from_millis(self.window_ms);
        let ask = match self.kind {
            Kind::Rate => quota::Ask::rate(key, self.limit, window),
            Kind::Calendar => quota::Ask::calendar(key, self.limit, window),
            Kind::Concurrency => quota::Ask::concurrency(key, self.limit),
        };
        self.burst.map_or(ask.clone(), |burst| ask.burst(burst)).cost(self.cost)
    }
}

fn told(decision: &Decision) -> Value {
    json!({
        "allowed": decision.allowed,
        "remaining": decision.remaining,
        "retry-after-ms": decision.retry_after.as_millis() as u64,
        "reset-after-ms": decision.reset_after.as_millis() as u64,
    })
}

fn one() -> u64 {
    1
}
