//! What a user of the filter would notice.

use std::time::Duration;

use external_auth::ExternalAuth;
use serde_json::json;
use tamis_sdk::http_client::Error;
use tamis_sdk::testing::{Answer, Call, Configured, Exchange, Host, configure};

fn asking(answer: impl Fn(&Call) -> Result<Answer, Error> + 'static) -> Configured<ExternalAuth> {
    let config = json!({
        "cluster": "auth", "path": "/check", "timeout": "100ms", "send": ["authorization"], "pass": ["x-user", "x-group"],
    });
    Host::new().answering("auth", answer).configure(config).unwrap()
}

#[test]
fn the_service_hears_what_it_needs_and_no_more() {
    let filter = asking(|_| Ok(Answer::new(200)));
    let exchange = Exchange::post("/a?b=c").header("authorization", "one").header("authorization", "two").header("cookie", "x=1");
    exchange.id("id-1").through(&filter);
    let call = &filter.calls()[0];
    assert_eq!((call.cluster(), call.method().as_str(), call.target()), ("auth", "GET", "/check"));
    assert_eq!(call.timeout(), Some(Duration::from_millis(100)));
    let sent: Vec<_> = call.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let expected = [
        ("x-original-method", "POST"),
        ("x-original-uri", "/a?b=c"),
        ("x-original-host", "a.example"),
        ("x-original-client", "192.0.2.1"),
        ("x-request-id", "id-1"),
        ("authorization", "one"),
        ("authorization", "two"),
    ];
    assert_eq!(sent.len(), expected.len());
    assert!(expected.iter().all(|field| sent.contains(field)), "{sent:?}");
}

#[test]
fn a_yes_lets_pass_with_the_services_word_alone() {
    let filter = asking(|_| Ok(Answer::new(204).header("x-user", "eve").header("x-other", "1")));
    let outcome = Exchange::get("/").header("x-user", "root").header("x-group", "admins").through(&filter);
    let sent = outcome.upstream().unwrap();
    assert_eq!(sent.headers().get_all("x-user").iter().collect::<Vec<_>>(), ["eve"]);
    assert_eq!((sent.header("x-group"), sent.header("x-other")), (None, None), "forged, and not asked for");
}

#[test]
fn a_no_is_the_clients_answer() {
    let filter =
        asking(|_| Ok(Answer::new(401).header("www-authenticate", "Bearer").header("x-internal", "1").body("who are you?")));
    let outcome = Exchange::get("/").through(&filter);
    let response = outcome.response().unwrap();
    assert_eq!((response.status().as_u16(), response.text().as_str()), (401, "who are you?"));
    assert_eq!(response.header("www-authenticate").unwrap(), "Bearer");
    assert_eq!(response.header("x-internal"), None);
    assert!(outcome.upstream().is_none());
    let forbidden = asking(|_| Ok(Answer::new(403)));
    assert_eq!(Exchange::get("/").through(&forbidden).response().unwrap().status(), 403);
}

#[test]
fn whatever_is_neither_yes_nor_no_fails_closed() {
    for status in [302, 400, 404, 500, 503] {
        let outcome = Exchange::get("/").through(&asking(move |_| Ok(Answer::new(status))));
        assert_eq!(outcome.response().unwrap().status(), 503, "{status}");
        assert!(outcome.upstream().is_none());
    }
    let errors = [
        Error::NotAllowed,
        Error::NoSuchCluster,
        Error::NoHealthyEndpoint,
        Error::Timeout,
        Error::Reset,
        Error::TooLarge,
        Error::Protocol,
    ];
    for error in errors {
        let outcome = Exchange::get("/").through(&asking(move |_| Err(error)));
        assert_eq!(outcome.response().unwrap().status(), 503, "{error}");
        assert!(outcome.logs()[0].message.contains("`auth` gives no answer"));
    }
}

#[test]
fn mistakes_are_told_with_their_path() {
    let said = |config| configure::<ExternalAuth>(config).unwrap_err().to_string();
    assert_eq!(said(json!({})), "missing key `cluster`");
    assert_eq!(said(json!({ "cluster": "a", "path": "check" })), r#"path: expected a path that begins with "/", found "check""#);
    assert_eq!(
        said(json!({ "cluster": "a", "pass": ["x-user", "Connection"] })),
        "pass[1]: expected a field that a filter may set, found `connection`, which is the proxy's"
    );
    assert_eq!(said(json!({ "cluster": "a", "timeout": "0ms" })), "timeout: expected more than 0ms, found 0ms");
    assert_eq!(said(json!({ "cluster": "a", "send": ["X-Request-Id"] })), "send[0]: `x-request-id` is sent by the filter itself");
    assert_eq!(said(json!({ "cluster": "a", "passs": [] })), "passs: unknown key `passs`; the nearest is `pass`");
}

#[test]
fn the_configuration_that_ships_is_taken() {
    let file: toml::Table = toml::from_str(include_str!("../tamis.toml")).unwrap();
    let config = &file["filters"]["external-auth"]["config"];
    let taken = configure::<ExternalAuth>(serde_json::to_value(config).unwrap());
    assert!(taken.is_ok(), "{:?}", taken.err());
}
