//! Reads and replaces bodies, as fields of the request say: `x-limit`, `x-replace`, `x-repeat`, `x-echo` for the request's,
//! `x-answer-limit` and `x-answer-replace` for the response's. What came of it stands in fields of the response.

use tamis_sdk::prelude::*;

struct Body;

impl Filter for Body {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Body)
    }
}

impl RequestHook for Body {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let mut read = None;
        if let Some(limit) = number(request, "x-limit") {
            let body = request.read_body(limit);
            request.notes().set("body.request", &told(&body));
            match body {
                Ok(body) => read = Some(body),
                Err(why) if request.header("x-echo").is_some() => {
                    let json = format!(r#"{{"error":"{}"}}"#, word(why));
                    return Reply::new(StatusCode::BAD_REQUEST).json(json).into();
                }
                Err(_) => {}
            }
        }
        if request.header("x-echo").is_some() {
            return Reply::new(StatusCode::OK).body(read.unwrap_or_default()).into();
        }
        if let (Some(times), Some(body)) = (number(request, "x-repeat"), &read) {
            request.set_body(body.repeat(times as usize));
        }
        if let Some(body) = request.header("x-replace") {
            request.set_body(body);
        }
        Verdict::Next
    }
}

impl ResponseHook for Body {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let request = response.request();
        if let Some(read) = request.notes().get("body.request") {
            set(response, "x-request-body", &read);
        }
        if request.header("x-late").is_some() {
            let late = request.read_body(u32::MAX);
            set(response, "x-late-body", &told(&late));
        }
        if let Some(limit) = number(&request, "x-answer-limit") {
            let body = response.read_body(limit);
            set(response, "x-response-body", &told(&body));
        }
        if let Some(body) = request.header("x-answer-replace") {
            response.set_body(body);
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Body: request, response);

/// The length and a hash of a body, or why there is none.
fn told(body: &Result<Vec<u8>, BodyError>) -> String {
    match body {
        Ok(body) => format!("{} {:016x}", body.len(), hash(body)),
        Err(why) => word(*why).to_owned(),
    }
}

/// FNV-1a, which a test can compute as well.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn word(why: BodyError) -> &'static str {
    match why {
        BodyError::TooLarge => "too-large",
        BodyError::PeerGone => "peer-gone",
        BodyError::AlreadyStreamed => "already-streamed",
    }
}

fn number(request: &Request, name: &str) -> Option<u32> {
    request.header(name)?.to_str().ok()?.parse().ok()
}

fn set(response: &mut Response, name: &str, value: &str) {
    response.set_header(name, value).expect("a plain field");
}
