//! Lets a request pass only if its body is JSON as the rules want it; else the client is told what is wrong, and where.

mod config;
mod json;
mod rule;

use tamis_sdk::prelude::*;

use config::Config;
use json::Json;
use rule::Rule;

/// Which requests are read, how much of them, and what must hold.
#[derive(Debug)]
pub struct JsonGuard {
    methods: Vec<String>,
    limit: u32,
    depth_max: usize,
    rules: Vec<Rule>,
}

/// What is wrong with a body, and where: `$.items[3].id`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub path: String,
    pub what: String,
}

impl Filter for JsonGuard {
    type Config = Config;

    fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
        if !(1..=config::DEPTH_MAX).contains(&config.max_depth) {
            let why = format!("expected 1 to {}, found {}", config::DEPTH_MAX, config.max_depth);
            return Err(ConfigError::at("max-depth", why));
        }
        let rules = config.rules.into_iter().enumerate();
        let rules = rules.map(|(at, rule)| Rule::build(rule).map_err(|error| error.within(format_args!("rules[{at}]"))));
        Ok(JsonGuard {
            methods: config.methods.0,
            limit: config.limit,
            depth_max: config.max_depth,
            rules: rules.collect::<Result<_, _>>()?,
        })
    }
}

impl RequestHook for JsonGuard {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if !self.methods.iter().any(|method| request.method().as_str() == method) {
            return Verdict::Next;
        }
        // What cannot be read cannot be checked: to let it pass would be a way around the rules.
        if !is_json(request) {
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a body of JSON without a content coding", None);
        }
        let body = match request.read_body(self.limit) {
            Ok(body) => body,
            Err(BodyError::TooLarge) => {
                let why = format!("expected at most {} bytes", self.limit);
                return refused(StatusCode::PAYLOAD_TOO_LARGE, &why, None);
            }
            Err(BodyError::PeerGone) => return Verdict::Reset,
            Err(why @ BodyError::AlreadyStreamed) => {
                log::error!("{why}: this filter must stand before those that stream");
                return Reply::new(StatusCode::INTERNAL_SERVER_ERROR).into();
            }
        };
        let json = match Json::read(&body) {
            Ok(json) => json,
            Err(why) => return refused(StatusCode::BAD_REQUEST, &why, None),
        };
        let wrong = json.deeper_than(self.depth_max).or_else(|| self.rules.iter().find_map(|rule| rule.broken_by(&json)));
        match wrong {
            None => Verdict::Next,
            Some(wrong) => refused(StatusCode::UNPROCESSABLE_ENTITY, &wrong.what, Some(&wrong.path)),
        }
    }
}

tamis_sdk::export!(JsonGuard: request);

/// `application/json`, or what ends in `+json`, said once, and nothing packed.
fn is_json(request: &Request) -> bool {
    let [content_type] = request.headers("content-type").try_into().unwrap_or([const { HeaderValue::from_static("") }]);
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let plain = request.header("content-encoding").is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    plain && (essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")))
}

fn refused(status: StatusCode, why: &str, path: Option<&str>) -> Verdict {
    let json = match path {
        Some(path) => serde_json::json!({ "error": why, "path": path }),
        None => serde_json::json!({ "error": why }),
    };
    Reply::new(status).json(json.to_string()).into()
}
