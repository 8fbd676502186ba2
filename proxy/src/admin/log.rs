//! `/log`: what the proxy's own log tells, and how to have it tell other things until the process ends.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{api, json_answer};
use crate::telemetry::log::{self, LogError, Told};

/// A level, or a few directives.
const BODY_BYTES_MAX: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    level: String,
}

/// Whoever asks may do so: the admin has seen to that.
pub async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let told = match *request.method() {
        Method::PUT => match wanted(request).await {
            Ok(wanted) => log::tell(Some(&wanted.level)),
            Err(refused) => return refused,
        },
        Method::DELETE => log::tell(None),
        _ => log::told(),
    };
    match told {
        Ok(told) => json_answer(StatusCode::OK, &shown(&told)),
        Err(error) => {
            let status = match error {
                LogError::Directives(_) => StatusCode::BAD_REQUEST,
                LogError::NotOurs => StatusCode::CONFLICT,
                LogError::Reload(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            json_answer(status, &json!({ "error": error.to_string() }))
        }
    }
}

async fn wanted(request: Request<Incoming>) -> Result<Wanted, Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let refused = |status, error: String| json_answer(status, &json!({ "error": error }));
    let body = api::read(&head.headers, body, BODY_BYTES_MAX).await;
    let body = body.map_err(|error| refused(error.status(), error.to_string()))?;
    serde_json::from_slice(&body)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("expected {{\"level\": \"debug\"}} as JSON: {error}")))
}

fn shown(told: &Told) -> Value {
    json!({ "level": told.now, "configured": told.configured })
}
