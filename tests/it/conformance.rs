//! What the SDK promises holds in the real host as it does in the fake one: every case, as Wasm.

use tamis_sdk_conformance::{CASE, Case, Client as ClientSees, RESULT, Upstream, cases};
use tamis_tests::origin::Seen;
use tamis_tests::{Answer, Client, Edge, Origin, Reply, guest, matrix, origin};

fn answering() -> Origin {
    origin()
        .route_fn("*", |request| async move {
            let name = request.headers().get(CASE).expect("the case is named").to_str().unwrap();
            let case = cases().iter().find(|case| case.name == name).expect("there is such a case");
            let reply = Reply::new(case.answer.status).body("upstream");
            case.answer.headers.iter().fold(reply, |reply, (name, value)| reply.header_bytes(name, value))
        })
        .run()
}

async fn ask(client: &Client, case: &Case) -> Answer {
    let request = client.request(case.method, case.target).header(CASE, case.name);
    case.headers.iter().fold(request, |request, (name, value)| request.header_bytes(name, value)).await
}

fn values<'a>(headers: &'a http::HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect()
}

fn the_client_sees(name: &str, expected: &ClientSees, answer: &Answer) {
    assert_eq!(answer.header(RESULT), Some("ok"), "{name}: {answer:?}");
    assert_eq!((answer.status, answer.text()), (expected.status, expected.body), "{name}");
    for (field, expected) in expected.headers {
        assert_eq!(values(&answer.headers, field), *expected, "{name}: the client's {field}");
    }
    for field in expected.absent {
        assert_eq!(answer.headers.get(*field), None, "{name}: the client's {field}");
    }
}

fn the_upstream_sees(name: &str, expected: &Upstream, seen: &Seen) {
    assert_eq!((seen.method.as_str(), seen.target.as_str()), (expected.method, expected.target), "{name}");
    if let Some(authority) = expected.authority {
        assert_eq!(seen.header("host"), Some(authority), "{name}");
    }
    for (field, expected) in expected.headers {
        assert_eq!(values(&seen.headers, field), *expected, "{name}: the upstream's {field}");
    }
    for field in expected.absent {
        assert_eq!(seen.headers.get(*field), None, "{name}: the upstream's {field}");
    }
}

matrix!(every_case_holds_in_the_host);
async fn every_case_holds_in_the_host(edge: Edge) {
    let origin = answering();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["conformance"]
        [filters.conformance]
        module = "{}"
        deadline = "1s"
        [clusters.origin]
        endpoints = ["{origin}"]
        "#,
        guest("conformance")
    ));
    let client = proxy.client().await;
    for case in cases() {
        let before = origin.requests().len();
        let answer = ask(&client, case).await;
        the_client_sees(case.name, &case.client, &answer);
        let requests = origin.requests();
        match (&case.upstream, &requests[before..]) {
            (None, []) => {}
            (Some(expected), [seen]) => the_upstream_sees(case.name, expected, seen),
            (expected, seen) => panic!("{}: the upstream should see {expected:?}, and saw {seen:?}", case.name),
        }
    }
}
