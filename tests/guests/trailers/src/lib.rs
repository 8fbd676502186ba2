//! Reads and sets trailers, both ways, and tells which it saw.

use tamis_sdk::prelude::*;

struct Trailers;

impl Filter for Trailers {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Trailers)
    }
}

impl RequestHook for Trailers {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let early = request.set_trailer("x-early", "1").is_err() && request.trailer("x-sum").is_none();
        request.notes().set("trailers.early", if early { "refused" } else { "taken" });
        Verdict::Next
    }
}

impl ResponseHook for Trailers {
    fn on_response(&self, response: &mut Response) -> Verdict {
        for (name, key) in [("x-early", "trailers.early"), ("x-request-sum", "trailers.sum")] {
            if let Some(value) = response.notes().get(key) {
                response.set_header(name, value).expect("a plain field");
            }
        }
        Verdict::Next
    }
}

impl TrailersHook for Trailers {
    fn on_request_trailers(&self, request: &mut Request) {
        let sum = request.trailer("x-sum");
        let sum = sum.as_ref().map_or("none", |sum| sum.to_str().unwrap_or("not text"));
        request.notes().set("trailers.sum", sum);
        request.set_trailer("x-request-seen", sum).expect("a plain trailer");
        let framing = if request.set_trailer("content-length", "1").is_err() { "refused" } else { "taken" };
        request.set_trailer("x-framing", framing).expect("a plain trailer");
    }

    fn on_response_trailers(&self, response: &mut Response) {
        let status = response.trailer("grpc-status");
        let status = status.as_ref().map_or("none", |status| status.to_str().unwrap_or("not text"));
        response.set_trailer("x-response-seen", status).expect("a plain trailer");
    }
}

tamis_sdk::export!(Trailers: request, response, trailers);
