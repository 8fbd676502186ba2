//! Sends the exchange where its fields say, and answers 400 with what the proxy refused.

use std::collections::BTreeMap;
use std::time::Duration;

use tamis_sdk::prelude::*;

struct Steer;

impl Filter for Steer {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Steer)
    }
}

impl RequestHook for Steer {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let mut refused = BTreeMap::new();
        // The cluster comes first: an endpoint is one of it.
        const FIELDS: [&str; 11] = [
            "x-cluster",
            "x-fallback",
            "x-endpoint",
            "x-chain",
            "x-subset",
            "x-hash-key",
            "x-timeout",
            "x-retry",
            "x-mirror",
            "x-rate",
            "x-route",
        ];
        for name in FIELDS {
            let Some(value) = request.header(name) else { continue };
            let value = value.to_str().unwrap_or_default();
            if let Err(why) = steer(&mut request.destination(), name, value) {
                refused.insert(name, why);
            }
        }
        if refused.is_empty() {
            return Verdict::Next;
        }
        let json = serde_json::to_string(&refused).expect("a map of strings");
        Reply::new(StatusCode::BAD_REQUEST).json(json).into()
    }
}

impl ResponseHook for Steer {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let destination = response.destination();
        for (name, value) in [("x-to-cluster", destination.cluster()), ("x-by-route", destination.route())] {
            if let Some(value) = value {
                response.set_header(name, value).expect("a name of the configuration");
            }
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Steer: request, response);

fn steer(destination: &mut Destination, name: &str, value: &str) -> Result<(), String> {
    let told = |why: Refused| why.to_string();
    match name {
        "x-cluster" => destination.set_cluster(value).map_err(told),
        "x-fallback" => destination.set_fallback(value).map_err(told),
        "x-endpoint" => destination.set_endpoint(value).map_err(told),
        "x-chain" => destination.set_chain(value).map_err(told),
        "x-mirror" => destination.mirror(value, &[("x-mirrored", b"1")], 64 * 1024).map(drop).map_err(told),
        "x-retry" => {
            // `ATTEMPTS OCCASION,OCCASION PER-TRY-MS`, the last of them optional.
            let mut words = value.split(' ');
            let attempts = words.next().unwrap_or_default().parse().map_err(|_| "expected a number of attempts".to_owned())?;
            let on: Vec<&str> = words.next().unwrap_or_default().split(',').filter(|occasion| !occasion.is_empty()).collect();
            let per_try = words.next().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
            destination.set_retry(attempts, &on, per_try).map_err(told)
        }
        "x-subset" => {
            let labels: Vec<_> = value.split(',').filter_map(|label| label.split_once('=')).collect();
            destination.set_subset(&labels);
            Ok(())
        }
        "x-hash-key" => {
            destination.set_hash_key(value);
            Ok(())
        }
        "x-timeout" => {
            let ms: u64 = value.parse().map_err(|_| "expected milliseconds".to_owned())?;
            destination.set_timeout((ms > 0).then(|| Duration::from_millis(ms)));
            Ok(())
        }
        "x-rate" => {
            let rate: u64 = value.parse().map_err(|_| "expected bytes a second".to_owned())?;
            destination.set_response_rate((rate > 0).then_some(rate));
            Ok(())
        }
        _ => {
            destination.set_route(value);
            Ok(())
        }
    }
}
