//! Filters made for Higress ask a real Redis, as clusters of the configuration lead to it.

use std::time::Duration;

use tamis_tests::{Proxy, Redis, chain, origin, proxy, scenario};

/// `account` is what the filter logs in with, `more` of the filter.
fn asking(redis: &str, account: &str, more: &str) -> Proxy {
    let origin = origin().run().stop();
    let filter =
        format!("config = '{account}'\nallow = {{ clusters = ['redis'] }}\n{more}\n[clusters.redis]\nendpoints = ['{redis}']");
    proxy(format!("workers = 1\n{}", chain(origin, &[("pw-redis", &filter)])))
}

fn address(redis: &Redis) -> String {
    redis.url().trim_start_matches("redis://").to_owned()
}

async fn told(proxy: &Proxy, path: &str) -> String {
    proxy.client().await.get(path).await.header("x-redis").expect("it tells").to_owned()
}

scenario!(commands_are_sent_and_replies_come_as_they_are);
async fn commands_are_sent_and_replies_come_as_they_are() {
    let redis = Redis::start().await;
    let proxy = asking(&address(&redis), "redis?db=2 - - 5000", "");
    for (path, reply) in [
        ("/SET/key/value", "0 +OK"),
        ("/GET/key", "0 $5|value"),
        ("/GET/none", "0 $-1"),
        ("/MGET/key/none", "0 *2|$5|value|$-1"),
        ("/INCR/key", "0 -ERR value is not an integer or out of range"),
        ("/twice", "0 :1, 0 :2"),
    ] {
        assert_eq!(told(&proxy, path).await, reply, "{path}");
    }
    assert_eq!(redis.cli(&["-n", "2", "get", "key"]).await, "value", "in the database that the service names");
    assert_eq!(
        redis.cli(&["info", "clients"]).await.lines().find(|line| line.contains("connected_clients")).unwrap().trim(),
        "connected_clients:2"
    );
    assert_eq!(proxy.failures("pw-redis").await, 0);
}

scenario!(many_exchanges_share_one_connection);
async fn many_exchanges_share_one_connection() {
    let redis = Redis::start().await;
    let proxy = asking(&address(&redis), "redis?db=2 - - 20000", "");
    let mut asking = Vec::new();
    for number in 0..50 {
        let client = proxy.client().await;
        asking.push(tokio::spawn(async move {
            let (path, reply) = (format!("/ECHO/{number}"), format!("0 ${}|{number}", number.to_string().len()));
            assert_eq!(client.get(&path).await.header("x-redis"), Some(reply.as_str()));
        }));
    }
    for asking in asking {
        asking.await.unwrap();
    }
}

scenario!(what_would_disturb_others_is_refused);
async fn what_would_disturb_others_is_refused() {
    let redis = Redis::start().await;
    let proxy = asking(&address(&redis), "redis?db=2 - - 5000", "");
    for path in ["/SUBSCRIBE/a", "/select/1", "/CLIENT/REPLY/OFF"] {
        assert_eq!(told(&proxy, path).await, "refused 2", "{path}");
    }
    let client = proxy.client().await;
    let other = client.get("/GET/a").header("x-service", "redis").await;
    assert_eq!(other.header("x-redis"), Some("refused 2"), "it has not said how to log in there");
    assert!(
        tamis_tests::refused(
            chain("127.0.0.1:1", &[("pw-redis", "config = 'redis - - 5000'")])
                .replace("[listeners.edge]\n", "[listeners.edge]\nlisten = '127.0.0.1:0'\n")
        )
        .contains("`proxy_on_configure` said no"),
        "without a grant"
    );
}

scenario!(an_account_is_logged_in);
async fn an_account_is_logged_in() {
    let redis = Redis::with(&["--requirepass", "secret"]).await;
    let proxy = asking(&address(&redis), "redis?db=2 - secret 5000", "");
    assert_eq!(told(&proxy, "/PING").await, "0 +PONG");
    let proxy = asking(&address(&redis), "redis?db=2 default secret 5000", "");
    assert_eq!(told(&proxy, "/PING").await, "0 +PONG");
    let proxy = asking(&address(&redis), "redis?db=2 - wrong 5000", "");
    assert_eq!(told(&proxy, "/PING").await, "-1");
}

scenario!(a_redis_that_hangs_or_dies_is_told_and_asked_again);
async fn a_redis_that_hangs_or_dies_is_told_and_asked_again() {
    let mut redis = Redis::start().await;
    let proxy = asking(&address(&redis), "redis?db=2 - - 200", "");
    assert_eq!(told(&proxy, "/PING").await, "0 +PONG");
    redis.hang().await;
    assert_eq!(told(&proxy, "/PING").await, "-1");
    redis.go_on().await;
    while told(&proxy, "/PING").await != "0 +PONG" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    redis.kill().await;
    assert_eq!(told(&proxy, "/PING").await, "-1");
    redis.restart().await;
    while told(&proxy, "/PING").await != "0 +PONG" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(proxy.failures("pw-redis").await, 0);
}
