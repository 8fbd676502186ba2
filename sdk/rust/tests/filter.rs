//! A filter, as its author would test it: hooks, verdicts, and what the fake host makes of mistakes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tamis_sdk::collections::HashMap;
use tamis_sdk::log::Severity;
use tamis_sdk::prelude::*;
use tamis_sdk::testing::{Exchange, configure};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Config {
    only_response: bool,
    only_request: bool,
    keep: bool,
    bad: bool,
}

/// Does what the request's field `x-do` says.
#[derive(Debug)]
struct Doer {
    /// Filled by `configure`, which must not draw seeds.
    known: HashMap<String, u32>,
}

impl Filter for Doer {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        if config.only_request {
            setup.want(Hook::Request).map_err(ConfigError::new)?;
        }
        if config.only_response {
            setup.want(Hook::Response).map_err(ConfigError::new)?;
        }
        if config.keep {
            setup.keep_state();
        }
        if config.bad {
            return Err(ConfigError::at("bad", "expected false, found true"));
        }
        log::info!("configured");
        Ok(Doer { known: HashMap::from_iter([("one".to_owned(), 1)]) })
    }
}

impl RequestHook for Doer {
    fn on_request(&self, request: &mut Request) -> Verdict {
        request.notes().set("request", "seen");
        match request.header("x-do").as_ref().map(|what| what.to_str().unwrap()) {
            Some("reply") => Reply::new(StatusCode::FORBIDDEN).text("no").into(),
            Some("grpc") => Reply::grpc(7, "not you: 100%").into(),
            Some("bad-reply") => Reply::new(StatusCode::OK).header("content-length", "5").into(),
            Some("reset") => Verdict::Reset,
            Some("panic") => panic!("as it was told"),
            Some("log") => {
                log::debug!("a line");
                log::warn!("two and two is {}", 4);
                Verdict::Next
            }
            Some("timeout") => {
                request.destination().set_timeout(Some(Duration::from_nanos(1)));
                Verdict::Next
            }
            Some("known") => {
                request.notes().set("one", &self.known["one"].to_string());
                Verdict::Next
            }
            _ => Verdict::Next,
        }
    }
}

impl ResponseHook for Doer {
    fn on_response(&self, response: &mut Response) -> Verdict {
        response.notes().set("response", "seen");
        response.set_header("x-deadline", format!("{:?}", response.request().deadline_left())).unwrap();
        match response.request().header("x-do").as_ref().map(|what| what.to_str().unwrap()) {
            Some("reset-response") => Verdict::Reset,
            _ => Verdict::Next,
        }
    }
}

tamis_sdk::export!(Doer: request, response);

fn told(what: &str) -> Exchange {
    Exchange::get("/").header("x-do", what)
}

#[test]
fn a_reply_stops_the_exchange_before_the_upstream() {
    let filter = configure::<Doer>("{}").unwrap();
    let outcome = told("reply").through(&filter);
    let response = outcome.response().unwrap();
    assert_eq!((response.status().as_u16(), response.text().as_str()), (403, "no"));
    assert_eq!(response.header("content-type").unwrap(), "text/plain; charset=utf-8");
    assert!(outcome.upstream().is_none());
    assert_eq!(outcome.note("response"), None, "a filter's own response hook does not see its reply");
}

#[test]
fn a_grpc_reply_says_so_in_its_fields() {
    let outcome = told("grpc").through(&configure::<Doer>("{}").unwrap());
    let response = outcome.response().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.header("grpc-status").unwrap(), "7");
    assert_eq!(response.header("grpc-message").unwrap(), "not you: 100%25");
}

#[test]
fn a_reset_leaves_the_client_without_an_answer() {
    let filter = configure::<Doer>("{}").unwrap();
    assert!(told("reset").through(&filter).response().is_none());
    let late = told("reset-response").through(&filter);
    assert_eq!((late.verdict(), late.response().is_none(), late.upstream().is_some()), (&Verdict::Reset, true, true));
}

#[test]
fn a_reply_that_the_proxy_refuses_fails_the_filter() {
    let filter = configure::<Doer>("{}").unwrap();
    let failure = catch_unwind(AssertUnwindSafe(|| told("bad-reply").through(&filter))).unwrap_err();
    assert!(failure.downcast_ref::<String>().unwrap().contains("content-length"));
}

#[test]
fn the_exchange_after_a_panic_is_as_good_as_any() {
    let filter = configure::<Doer>("{}").unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| told("panic").through(&filter))).is_err());
    assert_eq!(told("").through(&filter).response().unwrap().status(), StatusCode::OK);
}

#[test]
fn only_wanted_hooks_are_called() {
    let seen = |config: &str| {
        let outcome = told("").through(&configure::<Doer>(config).unwrap());
        (outcome.note("request").is_some(), outcome.note("response").is_some())
    };
    assert_eq!(seen("{}"), (true, true));
    assert_eq!(seen(r#"{"only-request":true}"#), (true, false));
    assert_eq!(seen(r#"{"only-response":true}"#), (false, true));
}

#[test]
fn state_is_kept_only_if_asked() {
    assert!(!configure::<Doer>("{}").unwrap().keeps_state());
    assert!(configure::<Doer>(r#"{"keep":true}"#).unwrap().keeps_state());
}

#[test]
fn a_configuration_is_refused_with_its_path() {
    let said = |config: &str| configure::<Doer>(config).unwrap_err().to_string();
    assert_eq!(said(r#"{"bad":true}"#), "bad: expected false, found true");
    assert_eq!(said(r#"{"bed":true}"#), "bed: unknown key `bed`; the nearest is `bad`");
}

#[test]
fn a_hook_that_is_not_exported_cannot_be_wanted() {
    #[derive(Debug)]
    struct OnlyResponse;
    impl Filter for OnlyResponse {
        type Config = NoConfig;
        fn configure(_: NoConfig, setup: &mut Setup) -> Result<Self, ConfigError> {
            setup.want(Hook::Request).map_err(ConfigError::new)?;
            Ok(OnlyResponse)
        }
    }
    impl ResponseHook for OnlyResponse {
        fn on_response(&self, _: &mut Response) -> Verdict {
            Verdict::Next
        }
    }
    tamis_sdk::export!(OnlyResponse: response);
    assert!(configure::<OnlyResponse>("{}").unwrap_err().to_string().contains("`request`"));
}

#[test]
fn lines_below_the_level_are_not_written() {
    let filter = configure::<Doer>("{}").unwrap();
    let messages = |exchange: Exchange| {
        let outcome = exchange.through(&filter);
        outcome.logs().iter().map(|line| line.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(messages(told("log")), ["a line", "two and two is 4"]);
    assert_eq!(messages(told("log").log_level(Severity::Warn)), ["two and two is 4"]);
}

#[test]
fn a_short_timeout_is_not_none() {
    let outcome = told("timeout").through(&configure::<Doer>("{}").unwrap());
    assert_eq!(outcome.timeout(), Some(Duration::from_millis(1)));
}

#[test]
fn a_map_of_the_configuration_is_found_again_in_a_hook() {
    let outcome = told("known").through(&configure::<Doer>("{}").unwrap());
    assert_eq!(outcome.note("one"), Some("1"));
}

#[test]
fn what_the_proxy_knows_can_be_told_to_the_fake() {
    let exchange = told("").deadline_left(Duration::from_millis(250));
    let outcome = exchange.through(&configure::<Doer>("{}").unwrap());
    assert_eq!(outcome.response().unwrap().header("x-deadline").unwrap(), "Some(250ms)");
}

#[test]
fn the_proxy_cannot_be_called_outside_of_an_exchange() {
    assert!(catch_unwind(entropy::next).is_err());
}
