//! The jwt filter that ships: its examples, with tokens that another library has signed.

mod issuer;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tamis_tests::command::repository;
use tamis_tests::{Answer, Client, Edge, Origin, Proxy, Reply, matrix, origin, scenario, shipped};

use issuer::{Ecdsa, Hmac, Rsa, claims, token};

/// An identity provider whose set of keys can be changed.
fn idp(set: &Arc<Mutex<Value>>) -> Origin {
    let served = set.clone();
    origin()
        .route_fn("*", move |_| {
            let body = served.lock().unwrap().to_string();
            async move { Reply::new(200).body(body) }
        })
        .run()
}

async fn get(client: &Client, path: &str, token: &str) -> Answer {
    client.get(path).header("authorization", &format!("Bearer {token}")).header("x-user", "root").await
}

fn challenge(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("www-authenticate").unwrap_or_default())
}

matrix!(tokens_of_an_identity_provider_are_verified);
async fn tokens_of_an_identity_provider_are_verified(edge: Edge) {
    let (rsa, ecdsa) = (Rsa::generate(), Ecdsa::generate());
    let idp = idp(&Arc::new(Mutex::new(json!({ "keys": [rsa.jwk("one"), ecdsa.jwk("two")] }))));
    let app = origin().echo("*").run();
    let proxy = edge.proxy(shipped("jwt", "identity-provider", &[("app", &app), ("idp", &idp)]));
    let client = proxy.client().await;
    let mut claims = claims("https://idp.example.com", "ann");
    claims["aud"] = json!(["https://api.example.com"]);
    claims["realm_access"] = json!({ "roles": ["staff", "dev"] });
    for signed in [
        token(json!({ "alg": "RS256", "kid": "one" }), &claims, |text| rsa.sign(text)),
        token(json!({ "alg": "PS256", "kid": "one" }), &claims, |text| rsa.sign_pss(text)),
        token(json!({ "alg": "ES256", "kid": "two" }), &claims, |text| ecdsa.sign(text)),
    ] {
        let seen = get(&client, "/orders", &signed).await.json();
        let field = |name: &str| seen["headers"][name].clone();
        assert_eq!((field("x-user"), field("x-roles")), (json!(["ann"]), json!(["staff,dev"])));
        assert_eq!(field("authorization"), json!(null), "the token stays here");
        assert_eq!(get(&client, "/orders", &signed).await.status, 200, "and is good a second time");
    }
    let forged = token(json!({ "alg": "ES256", "kid": "two" }), &claims, |text| Ecdsa::generate().sign(text));
    let wrong = "Bearer error=\"invalid_token\", error_description=\"the signature of the token is wrong\"";
    assert_eq!(challenge(&get(&client, "/orders", &forged).await), (401, wrong));
    let unsigned = token(json!({ "alg": "none" }), &claims, |_| Vec::new());
    assert_eq!(get(&client, "/orders", &unsigned).await.status, 401);
    let confused = token(json!({ "alg": "HS256", "kid": "one" }), &claims, |text| Hmac::new(&rsa.public()).sign(text));
    assert_eq!(get(&client, "/orders", &confused).await.status, 401, "a public key is no secret");
    assert_eq!(challenge(&client.get("/orders").await), (401, "Bearer"));
    assert_eq!(client.get("/health").header("x-user", "root").await.json()["headers"]["x-user"], json!(null));
    let lines = proxy.access_log().lines(11).await;
    assert_eq!((&lines[0]["notes"]["user"], &lines[0]["notes"]["jwt.provider"]), (&json!("ann"), &json!("idp")));
    assert_eq!((&lines[6]["notes"]["jwt.refused"], &lines[6]["status"]), (&json!("signature"), &json!(401)));
    let series = r#"jwt_tokens_total{filter="jwt",provider="idp",result="accepted"}"#;
    assert_eq!(proxy.metric(series).await, Some(6.0));
    assert_eq!(proxy.failures("jwt").await, 0);
}

/// Waits until a token is taken, or no longer.
async fn becomes(client: &Client, token: &str, status: u16) {
    while get(client, "/orders", token).await.status != status {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

scenario!(keys_that_change_are_fetched_again);
async fn keys_that_change_are_fetched_again() {
    let (old, new) = (Ecdsa::generate(), Ecdsa::generate());
    let set = Arc::new(Mutex::new(json!({ "keys": [old.jwk("old")] })));
    let idp = idp(&set);
    let app = origin().route("*", "data").run();
    let toml = shipped("jwt", "identity-provider", &[("app", &app), ("idp", &idp)]).replace("\"5m\"", "\"50ms\"");
    let proxy = tamis_tests::proxy(toml);
    let client = proxy.client().await;
    let mut claims = claims("https://idp.example.com", "ann");
    claims["aud"] = json!("https://api.example.com");
    let of = |key: &Ecdsa, name: &str| token(json!({ "alg": "ES256", "kid": name }), &claims, |text| key.sign(text));
    let (before, after) = (of(&old, "old"), of(&new, "new"));
    becomes(&client, &before, 200).await;
    assert_eq!(get(&client, "/orders", &after).await.status, 401);
    *set.lock().unwrap() = json!({ "keys": [old.jwk("old"), new.jwk("new")] });
    becomes(&client, &after, 200).await;
    assert_eq!(get(&client, "/orders", &before).await.status, 200, "both are good for a while");
    *set.lock().unwrap() = json!("no set of keys");
    let filter = proxy.filter_becomes("jwt", |filter| !filter["failed"].is_null()).await;
    assert!(filter["failed"].to_string().contains("expected a JSON Web Key Set"), "{filter}");
    assert_eq!(get(&client, "/orders", &after).await.status, 200, "what cannot be read changes nothing");
    *set.lock().unwrap() = json!({ "keys": [new.jwk("new")] });
    becomes(&client, &before, 401).await;
    assert_eq!(get(&client, "/orders", &after).await.status, 200);
}

fn scoped(key: &Ecdsa, kind: &str, scope: &str) -> String {
    let mut claims = claims("https://idp.example.com", "ann");
    claims["scope"] = json!(scope);
    token(json!({ "alg": "ES256", "kid": "k", "typ": kind }), &claims, |text| key.sign(text))
}

matrix!(scopes_say_who_may_write);
async fn scopes_say_who_may_write(edge: Edge) {
    let key = Ecdsa::generate();
    let idp = idp(&Arc::new(Mutex::new(json!({ "keys": [key.jwk("k")] }))));
    let app = origin().route("*", "data").run();
    let proxy = edge.proxy(shipped("jwt", "scopes", &[("app", &app), ("idp", &idp)]));
    let client = proxy.client().await;
    let reader = scoped(&key, "at+jwt", "orders:read");
    let writer = scoped(&key, "at+jwt", "orders:write orders:read");
    let post = |token: &str| client.post("/orders", "1").header("authorization", &format!("Bearer {token}"));
    assert_eq!(get(&client, "/orders", &reader).await.text(), "data");
    assert_eq!(post(&writer).await.text(), "data");
    let missing = "Bearer realm=\"orders\", error=\"insufficient_scope\", error_description=\"the token does not have the scope that is needed\", scope=\"orders:write\"";
    assert_eq!(challenge(&post(&reader).await), (403, missing));
    let id_token = scoped(&key, "JWT", "orders:read");
    assert_eq!(get(&client, "/orders", &id_token).await.status, 401);
    assert_eq!(get(&client, "/partner/stock", &writer).await.status, 401, "that is the partner's");
    let grpc = client.post("/orders.Orders/Add", "").header("content-type", "application/grpc").await;
    assert_eq!((grpc.status, grpc.header("grpc-status")), (200, Some("16")));
}

scenario!(a_session_is_a_cookie);
async fn a_session_is_a_cookie() {
    let secret = repository().join("filters/jwt/examples/session.key");
    let site = origin().echo("*").run();
    let toml =
        shipped("jwt", "session", &[("site", &site)]).replace("\"session.key\"", &format!("{:?}", secret.display().to_string()));
    let proxy: Proxy = tamis_tests::proxy(toml);
    let client = proxy.client().await;
    let key = Hmac::new(std::fs::read_to_string(secret).unwrap().trim_end().as_bytes());
    let session = token(json!({ "alg": "HS256" }), &claims("me", "ann"), |text| key.sign(text));
    let mut over = claims("me", "ann");
    over["exp"] = json!(1_000_000_000);
    let over = token(json!({ "alg": "HS256" }), &over, |text| key.sign(text));
    let with = |path: &str, session: &str| client.get(path).header("cookie", &format!("a=1; session={session}"));
    let seen = with("/", &session).await.json();
    assert_eq!((&seen["headers"]["x-visitor"], &seen["headers"]["cookie"]), (&json!(["ann"]), &json!(["a=1"])));
    let seen = with("/", &over).await.json();
    assert_eq!((&seen["headers"]["x-visitor"], &seen["headers"]["cookie"]), (&json!(null), &json!(["a=1"])));
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(with("/account", &session).await.status, 200);
    assert_eq!(with("/account", &over).await.status, 401);
    assert_eq!(client.get("/account").await.status, 401);
}
