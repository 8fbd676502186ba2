//! Writes down how each exchange went, as JSON in the store `outcomes` under the request's id, and answers `/outcomes/ID` with it.
//! With a field `x-mirror` it sends a copy of the request to that cluster.

use serde_json::json;
use tamis_sdk::Mirror;
use tamis_sdk::prelude::*;
use tamis_sdk::store::Store;

const OUTCOMES: Store = Store::named("outcomes");

struct Complete;

impl Filter for Complete {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Complete)
    }
}

impl RequestHook for Complete {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if let Some(id) = request.path().strip_prefix("/outcomes/") {
            return match OUTCOMES.get(id) {
                Ok(Some(outcome)) => Reply::new(StatusCode::OK).json(outcome).into(),
                Ok(None) => Reply::new(StatusCode::NOT_FOUND).into(),
                Err(why) => Reply::new(StatusCode::INTERNAL_SERVER_ERROR).text(&why.to_string()).into(),
            };
        }
        if let Some(cluster) = request.header("x-mirror") {
            let cluster = cluster.to_str().unwrap_or_default();
            match request.destination().mirror(cluster, &[("x-mirrored", b"1")], 1024) {
                Ok(mirror) => request.notes().set("mirror", &mirror.id().to_string()),
                Err(why) => return Reply::new(StatusCode::BAD_REQUEST).text(&why.to_string()).into(),
            }
        }
        Verdict::Next
    }
}

impl CompleteHook for Complete {
    fn on_complete(&self, outcome: &Outcome) {
        let request = outcome.request();
        if request.path().starts_with("/outcomes/") {
            return;
        }
        let mirror = outcome.notes().get("mirror").and_then(|id| id.parse().ok()).map(Mirror::with_id);
        let mirrored = mirror.and_then(|mirror| outcome.mirrored(mirror)).map(|result| {
            json!({
                "status": result.status.map(|status| status.as_u16()),
                "body-hash": result.body_hash,
                "duration-us": result.duration.as_micros() as u64,
                "x-copy": mirror.map(|mirror| {
                    let values = outcome.mirrored_headers(mirror, "X-Copy");
                    values.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>()
                }),
            })
        });
        let origin = outcome.response().map(|response| response.origin());
        let json = json!({
            "status": outcome.status().map(|status| status.as_u16()),
            "request-bytes": outcome.request_bytes(),
            "response-bytes": outcome.response_bytes(),
            "duration-us": outcome.duration().as_micros() as u64,
            "upstream": outcome.upstream(),
            "attempts": outcome.attempts(),
            "failure": outcome.failure(),
            "mirrored": mirrored,
            "path": request.path(),
            "origin": origin,
            "cluster": outcome.destination().cluster(),
            "protocol": outcome.connection().protocol(),
        });
        if let Err(why) = OUTCOMES.set(&request.id(), json.to_string(), None) {
            log::error!("an outcome is lost: {why}");
        }
    }
}

tamis_sdk::export!(Complete: request, complete);
