//! Answers 418 by itself when the request has a field `x-reply`, whose value goes into the body; with a
//! field `x-reply-grpc`, the gRPC status that it names.

use tamis_sdk::prelude::*;

struct Answer;

impl Filter for Answer {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Answer)
    }
}

impl RequestHook for Answer {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if let Some(status) = request.header("x-reply-grpc").and_then(|status| status.to_str().ok()?.parse().ok()) {
            let message = request.header("x-message").map(|words| String::from_utf8_lossy(words.as_bytes()).into_owned());
            return Reply::grpc(status, message.unwrap_or_default()).into();
        }
        let Some(words) = request.header("x-reply") else { return Verdict::Next };
        let words = String::from_utf8_lossy(words.as_bytes()).into_owned();
        Reply::new(StatusCode::IM_A_TEAPOT).header("x-replied-by", "reply").text(&format!("short and stout: {words}\n")).into()
    }
}

tamis_sdk::export!(Answer: request);
