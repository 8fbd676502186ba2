//! The order of hooks: requests first to last, responses last to first, and an answer in between unwinds what has run.

use tamis_tests::{Edge, Origin, Proxy, guest, matrix, origin};

fn chain(edge: Edge, origin: &Origin, filters: &[&str]) -> Proxy {
    let modules: String = filters.iter().map(|name| format!("[filters.{name}]\nmodule = '{}'\n", guest(name))).collect();
    edge.proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\nfilters = {filters:?}\n{modules}[clusters.origin]\nendpoints = ['{origin}']"
    ))
}

matrix!(each_filter_sees_what_the_one_before_it_left);
async fn each_filter_sees_what_the_one_before_it_left(edge: Edge) {
    let origin = origin().echo("/").run();
    let filters: String = (1..=3)
        .map(|number| {
            format!(
                "[filters.f{number}]\nmodule = 'builtin:headers'\n[filters.f{number}.config]\nrequest = {{ add = {{ x-order = '{number}' }} }}\nresponse = {{ add = {{ x-order = '{number}' }} }}\n"
            )
        })
        .collect();
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'origin'\nfilters = ['f1', 'f2', 'f3']\n{filters}[clusters.origin]\nendpoints = ['{origin}']"
    ));
    let answer = proxy.client().await.get("/").await;
    assert_eq!(answer.json()["headers"]["x-order"], serde_json::json!(["1", "2", "3"]), "requests go first to last");
    assert_eq!(answer.headers.get_all("x-order").iter().collect::<Vec<_>>(), ["3", "2", "1"], "responses go last to first");
}

matrix!(response_hooks_run_last_to_first);
async fn response_hooks_run_last_to_first(edge: Edge) {
    let origin = origin().route("/", "").run();
    for (filters, last_to_write) in [(["stamp-a", "stamp-b"], "a"), (["stamp-b", "stamp-a"], "b")] {
        let proxy = chain(edge, &origin, &filters);
        assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some(last_to_write), "{filters:?}");
    }
}

matrix!(request_hooks_run_first_to_last);
async fn request_hooks_run_first_to_last(edge: Edge) {
    let origin = origin().route("/", "").run();
    for (filters, status) in [(["reply", "trap"], 418), (["trap", "reply"], 500)] {
        let proxy = chain(edge, &origin, &filters);
        let answer = proxy.client().await.get("/").header("x-reply", "1").header("x-trap", "1").await;
        assert_eq!(answer.status, status, "{filters:?}: the first of the two ends the request phase");
    }
}

matrix!(a_reply_runs_the_response_hooks_of_the_filters_before_it_only);
async fn a_reply_runs_the_response_hooks_of_the_filters_before_it_only(edge: Edge) {
    let origin = origin().route("/", "").run();
    for (filters, stamp) in [(["stamp-a", "reply", "stamp-b"], Some("a")), (["stamp-b", "reply", "stamp-a"], Some("b"))] {
        let proxy = chain(edge, &origin, &filters);
        let answer = proxy.client().await.get("/").header("x-reply", "1").await;
        assert_eq!((answer.status, answer.header("x-stamp")), (418, stamp), "{filters:?}");
    }
    let proxy = chain(edge, &origin, &["reply", "stamp-a"]);
    let answer = proxy.client().await.get("/").header("x-reply", "1").await;
    assert_eq!((answer.status, answer.header("x-stamp")), (418, None));
}

matrix!(a_failure_of_the_upstream_unwinds_through_every_filter);
async fn a_failure_of_the_upstream_unwinds_through_every_filter(edge: Edge) {
    let nobody = origin().run().stop();
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'dead'\nfilters = ['stamp']\n[filters.stamp]\nmodule = '{}'\n[clusters.dead]\nendpoints = ['{nobody}']",
        guest("stamp-a")
    ));
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason(), answer.header("x-stamp")), (502, Some("connect-failed"), Some("a")));
}

matrix!(a_failure_of_a_filter_unwinds_through_those_before_it);
async fn a_failure_of_a_filter_unwinds_through_those_before_it(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = chain(edge, &origin, &["stamp-a", "trap", "stamp-b"]);
    let answer = proxy.client().await.get("/").header("x-trap", "1").await;
    assert_eq!((answer.status, answer.reason(), answer.header("x-stamp")), (500, Some("filter-failed"), Some("a")));
}

matrix!(a_failure_in_a_response_hook_replaces_the_answer);
async fn a_failure_in_a_response_hook_replaces_the_answer(edge: Edge) {
    let origin = origin().route("/", "the origin's").run();
    let proxy = chain(edge, &origin, &["stamp-a", "trap", "stamp-b"]);
    let answer = proxy.client().await.get("/").header("x-trap-response", "1").await;
    assert_eq!((answer.status, answer.reason(), answer.header("x-stamp")), (500, Some("filter-failed"), Some("a")));
    let proxy = chain(edge, &origin, &["trap", "stamp-b"]);
    let answer = proxy.client().await.get("/").header("x-trap-response", "1").await;
    assert_eq!((answer.status, answer.header("x-stamp")), (500, None), "what was set on the first answer went with it");
}

matrix!(a_malformed_request_meets_no_filter, http2, because "in HTTP/1 the library answers before there is an exchange");
async fn a_malformed_request_meets_no_filter(edge: Edge) {
    let origin = origin().route("/", "").run();
    let proxy = chain(edge, &origin, &["reply"]);
    let answer = proxy.client().await.get("/").header("host", "other.test").header("x-reply", "1").await;
    assert_eq!((answer.status, answer.reason()), (400, Some("malformed-request")));
}
