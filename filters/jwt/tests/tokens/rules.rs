//! What is asked of which requests.

use super::*;

#[test]
fn rules_say_what_is_asked_of_whom() {
    let (ours, theirs) = (Issuer::new(1), Issuer::new(2));
    let config = json!({
        "realm": "shop",
        "providers": {
            "ours": { "issuer": "https://idp.example", "keys": [ours.jwk("EdDSA")] },
            "theirs": { "issuer": "https://partner.example", "keys": [theirs.jwk("EdDSA")] },
        },
        "rules": [
            { "match": { "path": "/health" }, "token": "off" },
            { "match": { "path-prefix": "/open" }, "token": "lenient" },
            { "match": { "path-prefix": "/maybe" }, "token": "optional" },
            { "match": { "path-prefix": "/admin" }, "providers": ["ours"], "scopes": ["admin", "write"] },
            { "match": { "path-prefix": "/staff" }, "claims": { "realm.roles": { "contains": "staff" }, "tenant": ["a", "b"] } },
        ],
    });
    let filter = configured(config);
    let our = |name: &str, value: Value| ours.token("EdDSA", claiming(name, value));
    let their = theirs.token("EdDSA", claiming("iss", json!("https://partner.example")));
    let at = |path: &str, token: &str| {
        let exchange = Exchange::get(path).now(Duration::from_secs(NOW));
        let exchange = if token.is_empty() { exchange } else { exchange.header("authorization", format!("Bearer {token}")) };
        let outcome = exchange.through(&filter);
        outcome
            .upstream()
            .map_or_else(|| challenge(&outcome), |_| format!("passed {}", outcome.note("jwt.provider").unwrap_or("nobody")))
    };
    let staff = |roles: &str, tenant: &str| {
        let mut claims = claiming("realm", json!({ "roles": [roles, "dev"] }));
        claims["tenant"] = json!(tenant);
        ours.token("EdDSA", claims)
    };
    let invalid = |text: &str| format!("401 Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"{text}\"");
    let claims_refused = "403 Bearer realm=\"shop\", error=\"insufficient_scope\", error_description=\"the token does not have the claims that are needed\"";
    for (path, token, said) in [
        ("/", "", "401 Bearer realm=\"shop\""),
        ("/", their.as_str(), "passed theirs"),
        ("/", &our("x", json!(1)), "passed ours"),
        ("/health", "nonsense", "passed nobody"),
        ("/open/x", "", "passed nobody"),
        ("/open/x", "nonsense", "passed nobody"),
        ("/open/x", &their, "passed theirs"),
        ("/maybe", "", "passed nobody"),
        ("/maybe", "nonsense", &invalid("the token is not a signed JSON Web Token")),
        ("/admin", &our("scope", json!("write read admin")), "passed ours"),
        ("/admin", &our("scp", json!(["write", "admin"])), "passed ours"),
        (
            "/admin",
            &our("scope", json!("administer write")),
            "403 Bearer realm=\"shop\", error=\"insufficient_scope\", error_description=\"the token does not have the scope that is needed\", scope=\"admin\"",
        ),
        ("/admin", &their, &invalid("the token is from an issuer that is not accepted")),
        ("/staff", &staff("staff", "b"), "passed ours"),
        ("/staff", &staff("staffer", "b"), claims_refused),
        ("/staff", &staff("staff", "c"), claims_refused),
    ] {
        assert_eq!(at(path, token), said, "{path} {token}");
    }
    assert_eq!(filter.counted("jwt_tokens_total", &["ours", "accepted"]), 4.0);
    assert_eq!(filter.counted("jwt_tokens_total", &["", "missing"]), 3.0);
}

#[test]
fn grpc_gets_a_status_of_its_own() {
    let issuer = Issuer::new(1);
    let mut config = provider(&issuer, "EdDSA", json!({}));
    config["rules"] = json!([{ "scopes": "admin" }]);
    let filter = configured(config);
    let status = |exchange: Exchange| {
        let outcome = exchange.header("content-type", "application/grpc+proto").through(&filter);
        outcome.response().unwrap().header("grpc-status").unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(status(Exchange::post("/a.B/C")), "16");
    assert_eq!(status(get(&issuer.token("EdDSA", claims()))), "7");
}

#[test]
fn a_rule_that_contradicts_itself_is_refused() {
    let issuer = Issuer::new(1);
    let said = |rule: Value| {
        let mut config = provider(&issuer, "EdDSA", json!({}));
        config["rules"] = json!([rule]);
        Host::new().configure::<Jwt>(config).unwrap_err().to_string()
    };
    assert_eq!(
        said(json!({ "token": "optional", "scopes": "a" })),
        "rules[0].scopes: expected a rule with `token = \"required\"`, found one that passes without a token"
    );
    assert_eq!(said(json!({ "providers": ["other"] })), "rules[0].providers: expected one of idp, found \"other\"");
    assert!(said(json!({ "scopes": ["a b"] })).starts_with("rules[0].scopes: expected words without spaces"));
    assert!(said(json!({ "claims": { "a": { "has": 1 } } })).starts_with("rules[0].claims.a"));
}
