//! What a user of the filter would notice.

mod rules;
mod signer;

use std::time::Duration;

use jwt::Jwt;
use serde_json::{Value, json};
use signer::Issuer;
use tamis_sdk::testing::{Configured, Exchange, Host, Outcome};

const NOW: u64 = 1_800_000_000;

fn claims() -> Value {
    json!({ "iss": "https://idp.example", "sub": "ann", "aud": ["shop", "blog"], "exp": NOW + 300, "iat": NOW - 10 })
}

fn claiming(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// A provider `idp` with the key for this algorithm, and what else the test wants of it.
fn provider(issuer: &Issuer, algorithm: &str, more: Value) -> Value {
    let mut provider = json!({ "keys": [issuer.jwk(algorithm)], "algorithms": algorithm });
    provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "providers": { "idp": provider } })
}

fn configured(config: Value) -> Configured<Jwt> {
    Host::new().configure(config).unwrap_or_else(|error| panic!("{error}"))
}

fn get(token: &str) -> Exchange {
    Exchange::get("/").header("authorization", format!("Bearer {token}")).now(Duration::from_secs(NOW))
}

/// Why it was refused; empty if it was not.
fn refused(outcome: &Outcome) -> &str {
    outcome.note("jwt.refused").unwrap_or_default()
}

fn challenge(outcome: &Outcome) -> String {
    let response = outcome.response().unwrap();
    format!("{} {}", response.status().as_u16(), response.header("www-authenticate").map_or("", |value| value.to_str().unwrap()))
}

#[test]
fn every_algorithm_is_verified() {
    let issuer = Issuer::new(1);
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256", "HS384", "HS512"]
    {
        let filter = configured(provider(&issuer, algorithm, json!({})));
        let good = get(&issuer.token(algorithm, claims())).through(&filter);
        assert!(good.upstream().is_some(), "{algorithm}: {}", refused(&good));
        assert_eq!(good.note("jwt.provider"), Some("idp"), "{algorithm}");
        let forged = issuer.token(algorithm, claims()).replace("eyJ", "eyK");
        assert!(get(&forged).through(&filter).upstream().is_none(), "{algorithm}");
        let (head, signature) = (issuer.token(algorithm, claims()), issuer.token(algorithm, claiming("sub", json!("eve"))));
        let mixed = format!("{}.{}", head.rsplit_once('.').unwrap().0, signature.rsplit_once('.').unwrap().1);
        assert_eq!(refused(&get(&mixed).through(&filter)), "signature", "{algorithm}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let issuer = Issuer::new(1);
    // All algorithms are accepted, as in a careless configuration.
    let config = provider(&issuer, "RS256", json!({ "algorithms": ["RS256", "HS256", "ES256", "EdDSA"] }));
    let filter = configured(config);
    let header = json!({ "alg": "HS256", "kid": "RS256" });
    let forged = issuer.with_header(header, "HS256", claims());
    assert_eq!(refused(&get(&forged).through(&filter)), "unknown-key");
}

#[test]
fn an_unsigned_token_is_none() {
    let issuer = Issuer::new(1);
    let filter = configured(provider(&issuer, "RS256", json!({})));
    for alg in ["none", "None", "", "RS1", "ES512"] {
        let token = issuer.with_header(json!({ "alg": alg }), "RS256", claims());
        assert_eq!(refused(&get(&token).through(&filter)), "algorithm", "{alg}");
    }
    let token = issuer.token("RS256", claims());
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    assert_eq!(refused(&get(&unsigned).through(&filter)), "signature");
}

#[test]
fn only_the_named_algorithms_are_accepted() {
    let issuer = Issuer::new(1);
    let mut config =
        json!({ "providers": { "idp": { "keys": [issuer.jwk("HS256"), issuer.jwk("EdDSA"), issuer.jwk("ES384")] } } });
    let filter = configured(config.clone());
    assert!(get(&issuer.token("EdDSA", claims())).through(&filter).upstream().is_some());
    for asked_for in ["HS256", "ES384"] {
        let refusal = get(&issuer.token(asked_for, claims())).through(&filter);
        assert_eq!(refused(&refusal), "algorithm", "{asked_for} must be asked for");
    }
    config["providers"]["idp"]["algorithms"] = json!(["HS256"]);
    let filter = configured(config);
    assert!(get(&issuer.token("HS256", claims())).through(&filter).upstream().is_some());
    assert_eq!(refused(&get(&issuer.token("EdDSA", claims())).through(&filter)), "algorithm");
}

#[test]
fn a_secret_that_can_verify_nothing_is_refused() {
    let secret = |bytes: usize, algorithms: &[&str]| {
        let host = Host::new().input("key", "x".repeat(bytes));
        let idp = json!({ "secret": { "input": "key" }, "algorithms": algorithms });
        host.configure::<Jwt>(json!({ "providers": { "idp": idp } })).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(secret(32, &["HS256"]), Ok(()));
    for (bytes, algorithms) in [(31, &["HS256"][..]), (32, &["HS512"]), (64, &[]), (64, &["RS256"])] {
        let why = secret(bytes, algorithms).expect_err("it can verify nothing");
        assert!(why.starts_with("providers.idp.secret.input: expected a secret"), "{why}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let issuer = Issuer::new(1);
    let filter = configured(provider(&issuer, "EdDSA", json!({ "token-bytes-max": 2000 })));
    let good = issuer.token("EdDSA", claims());
    let header = |header: Value| issuer.with_header(header, "EdDSA", claims());
    for (token, word) in [
        ("x".to_owned(), "malformed"),
        ("a.b".to_owned(), "malformed"),
        ("a.b.c.d.e".to_owned(), "malformed"),
        (format!("{good}="), "malformed"),
        (format!("{good}\u{e9}"), "malformed"),
        (good.replace('.', "/"), "malformed"),
        (header(json!({ "alg": "EdDSA", "crit": ["exp"] })), "critical"),
        (header(json!({ "alg": "EdDSA", "crit": [] })), "critical"),
        (header(json!({ "alg": "EdDSA", "b64": false })), "critical"),
        (header(json!({ "kid": "EdDSA" })), "malformed"),
        (header(json!({ "alg": "EdDSA", "kid": 7 })), "malformed"),
        (header(json!(["EdDSA"])), "malformed"),
        (issuer.token("EdDSA", json!("text")), "malformed"),
        (issuer.token("EdDSA", claiming("exp", json!("tomorrow"))), "malformed"),
        (issuer.token("EdDSA", claiming("more", json!("x".repeat(2000)))), "too-long"),
    ] {
        let outcome = get(&token).through(&filter);
        assert_eq!(refused(&outcome), word, "{token}");
        assert!(challenge(&outcome).starts_with("401 Bearer error=\"invalid_token\", error_description=\"the token "));
    }
}

#[test]
fn times_are_kept_with_leeway() {
    let issuer = Issuer::new(1);
    let filter = configured(provider(&issuer, "EdDSA", json!({ "leeway": "30s", "age-max": "1h" })));
    for (name, value, word) in [
        ("exp", json!(NOW - 29), ""),
        ("exp", json!(NOW - 30), "expired"),
        ("exp", json!(NOW as f64 + 0.5), ""),
        ("exp", json!(-1), "expired"),
        ("exp", json!(null), "malformed"),
        ("nbf", json!(NOW + 30), ""),
        ("nbf", json!(NOW + 31), "not-yet"),
        ("iat", json!(NOW + 31), "not-yet"),
        ("iat", json!(NOW - 3629), ""),
        ("iat", json!(NOW - 3630), "too-old"),
    ] {
        let outcome = get(&issuer.token("EdDSA", claiming(name, value.clone()))).through(&filter);
        assert_eq!(refused(&outcome), word, "{name} = {value}");
    }
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        issuer.token("EdDSA", claims)
    };
    assert_eq!(refused(&get(&without("exp")).through(&filter)), "no-expiry");
    assert_eq!(refused(&get(&without("iat")).through(&filter)), "too-old");
    let eternal = configured(provider(&issuer, "EdDSA", json!({ "needs-expiry": false })));
    assert!(get(&without("exp")).through(&eternal).upstream().is_some());
}

#[test]
fn issuer_audience_and_type_are_kept() {
    let issuer = Issuer::new(1);
    let config = json!({ "issuer": ["https://idp.example"], "audience": "shop", "type": "at+jwt" });
    let filter = configured(provider(&issuer, "EdDSA", config));
    let typed = |kind: &str, claims: Value| issuer.with_header(json!({ "alg": "EdDSA", "typ": kind }), "EdDSA", claims);
    for (token, word) in [
        (typed("at+jwt", claims()), ""),
        (typed("application/AT+JWT", claims()), ""),
        (typed("JWT", claims()), "type"),
        (typed("at+jwt", claiming("iss", json!("https://idp.example/"))), "issuer"),
        (typed("at+jwt", claiming("iss", json!(["https://idp.example"]))), "issuer"),
        (typed("at+jwt", claiming("aud", json!("shop"))), ""),
        (typed("at+jwt", claiming("aud", json!("shop blog"))), "audience"),
        (typed("at+jwt", claiming("aud", json!(["blog"]))), "audience"),
        (typed("at+jwt", claiming("aud", json!(null))), "audience"),
    ] {
        assert_eq!(refused(&get(&token).through(&filter)), word);
    }
}

#[test]
fn a_token_names_its_key() {
    let (old, new) = (Issuer::new(1), Issuer::new(2));
    let named = |issuer: &Issuer, name: Option<&str>| {
        let mut key = issuer.jwk("EdDSA");
        key["kid"] = json!(name);
        key
    };
    let token = |issuer: &Issuer, name: Option<&str>| {
        let mut header = json!({ "alg": "EdDSA" });
        if let Some(name) = name {
            header["kid"] = json!(name);
        }
        issuer.with_header(header, "EdDSA", claims())
    };
    let both = json!({ "providers": { "idp": { "keys": [named(&old, Some("old")), named(&new, Some("new"))] } } });
    let filter = configured(both);
    for (token, word) in [
        (token(&old, Some("old")), ""),
        (token(&new, Some("new")), ""),
        (token(&new, Some("old")), "signature"),
        (token(&new, Some("other")), "unknown-key"),
        (token(&new, None), ""),
        (token(&Issuer::new(3), None), "signature"),
    ] {
        assert_eq!(refused(&get(&token).through(&filter)), word);
    }
    let unnamed = configured(json!({ "providers": { "idp": { "keys": [named(&old, None)] } } }));
    assert!(get(&token(&old, Some("any"))).through(&unnamed).upstream().is_some());
}

#[test]
fn a_set_and_a_secret_come_as_inputs() {
    let issuer = Issuer::new(1);
    let set = json!({ "keys": [issuer.jwk("EdDSA"), { "kty": "EC", "crv": "P-521" }] }).to_string();
    let host = Host::new().input("idp", set).input("hmac", "0123456789abcdef0123456789abcdef\n");
    let filter = host.configure::<Jwt>(json!({ "providers": {
        "idp": { "jwks": "idp" },
        "own": { "secret": { "input": "hmac" }, "algorithms": "HS256" },
    } }));
    let filter = filter.unwrap();
    let good = get(&issuer.token("EdDSA", claims())).through(&filter);
    assert_eq!(good.note("jwt.provider"), Some("idp"));
    for (config, said) in [
        (
            json!({ "jwks": "other" }),
            "providers.a.jwks: expected an input of the filter, found \"other\", which it does not have",
        ),
        (json!({ "jwks": "hmac" }), "providers.a.jwks: expected a JSON Web Key Set, found "),
        (json!({}), "providers.a: expected one of `jwks`, `keys` and `secret`, found none"),
        (json!({ "keys": [{ "kty": "oct" }] }), "providers.a.keys[0]: missing member `k`"),
        (json!({ "jwks": "idp", "algorithms": "none" }), "providers.a.algorithms: expected one of RS256, "),
        (
            json!({ "jwks": "idp", "headers": { "host": "sub" } }),
            "providers.a.headers.host: expected a field that a filter may change",
        ),
    ] {
        let error = host.configure::<Jwt>(json!({ "providers": { "a": config } })).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn a_token_is_found_where_the_provider_says() {
    let issuer = Issuer::new(1);
    let token = issuer.token("EdDSA", claims());
    let from = json!(["bearer", { "header": { "name": "x-token", "prefix": "Token " } }, { "cookie": "session" }, { "query": "access_token" }]);
    let filter = configured(provider(&issuer, "EdDSA", json!({ "from": from })));
    let at = |target: &str| Exchange::get(target).now(Duration::from_secs(NOW));
    let header = at("/").header("x-token", format!("token {token}")).header("x-token", "other");
    let cookie = at("/").header("cookie", format!("a=1; session={token}; b=2"));
    let query = at(&format!("/p?a=1&access_token={token}&b=2"));
    for exchange in [get(&token), header, cookie, query] {
        let outcome = exchange.through(&filter);
        let sent = outcome.upstream().unwrap();
        let all = format!("{:?} {:?}", sent.target(), sent.headers());
        assert!(!all.contains(&token), "it does not go on: {all}");
        assert!(all.contains("authorization") || !all.contains("b=2") || all.contains("a=1"), "what else is there stays: {all}");
    }
    let cookie = at("/").header("cookie", format!("a=1; session={token}; b=2")).through(&filter);
    assert_eq!(cookie.upstream().unwrap().header("cookie").unwrap(), "a=1; b=2");
    let query = at(&format!("/p?access_token={token}")).through(&filter);
    assert_eq!(query.upstream().unwrap().target(), "/p");
    let basic = at("/").header("authorization", "Basic YTpi").header("cookie", format!("session={token}")).through(&filter);
    assert_eq!(basic.upstream().unwrap().header("authorization").unwrap(), "Basic YTpi");
    let twice = get(&token).header("authorization", format!("bearer {token}")).through(&filter);
    assert_eq!(
        challenge(&twice),
        "400 Bearer error=\"invalid_request\", error_description=\"expected one token, found several\""
    );
    let hidden = at(&format!("/?access_token={token}&access%5ftoken=x")).through(&filter);
    assert_eq!(refused(&hidden), "several-tokens", "an escape hides no second one");
    let kept = configured(provider(&issuer, "EdDSA", json!({ "forward": true })));
    assert!(get(&token).through(&kept).upstream().unwrap().header("authorization").is_some());
}

#[test]
fn claims_become_notes_and_fields_that_no_client_can_forge() {
    let issuer = Issuer::new(1);
    let config = json!({
        "notes": { "user": "sub", "roles": "realm.roles", "none": "nothing.there" },
        "headers": { "x-user": "sub", "x-roles": "realm.roles", "x-site": "https://example.com/site", "x-level": "level", "x-none": "none" },
    });
    let mut config = provider(&issuer, "EdDSA", config);
    config["otherwise"] = json!("optional");
    let filter = configured(config);
    let mut claims = claims();
    claims["realm"] = json!({ "roles": ["a", "b"] });
    claims["https://example.com/site"] = json!("north");
    claims["level"] = json!(3);
    let forged = |exchange: Exchange| exchange.header("x-user", "root").header("x-none", "root");
    let outcome = forged(get(&issuer.token("EdDSA", claims))).through(&filter);
    assert_eq!((outcome.note("user"), outcome.note("roles"), outcome.note("none")), (Some("ann"), Some("a,b"), None));
    let sent = outcome.upstream().unwrap();
    for (name, value) in [("x-user", "ann"), ("x-roles", "a,b"), ("x-site", "north"), ("x-level", "3")] {
        assert_eq!(sent.header(name).unwrap(), value);
    }
    assert_eq!(sent.header("x-none"), None);
    let anonymous = forged(Exchange::get("/")).through(&filter);
    assert_eq!(anonymous.upstream().unwrap().header("x-user"), None, "nor by showing no token");
}

#[test]
fn a_token_that_comes_again_is_known_until_its_time_is_over() {
    let issuer = Issuer::new(1);
    let filter = configured(provider(&issuer, "EdDSA", json!({ "leeway": "0s" })));
    let token = issuer.token("EdDSA", claims());
    let at = |now: u64| refused(&get(&token).now(Duration::from_secs(now)).through(&filter)).to_owned();
    assert_eq!([at(NOW), at(NOW), at(NOW + 299), at(NOW + 300), at(NOW)], ["", "", "", "expired", ""]);
}
