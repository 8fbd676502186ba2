//! Clients and servers that know nothing of the proxy talk through it unchanged: gRPC and WebSocket in Python.

use tamis_tests::command::{Running, output, python, python_script, stderr, stdout};
use tamis_tests::{Edge, Proxy, certificates, matrix};

/// Starts a server and returns it with the port it printed.
async fn server(script: &str) -> (Running, u16) {
    let mut server = Running::start(python(), &[python_script(script).to_str().unwrap()]);
    let line = server.prints("port ").await;
    let port = line.trim_start_matches("port ").parse().expect("the server prints its port");
    (server, port)
}

/// Runs all cases of a client through the proxy.
async fn client_passes(script: &str, edge: Edge, proxy: &Proxy) {
    let (script, address, authority) = (python_script(script), proxy.address().to_string(), certificates::authority_file());
    let mut arguments = vec![script.to_str().unwrap(), &address];
    if edge.tls {
        arguments.extend([authority.to_str().unwrap(), certificates::EDGE_NAME]);
    }
    let ran = output(python(), &arguments).await;
    let said = stdout(&ran);
    assert!(ran.status.success() && said.ends_with("all passed\n"), "{said}{}", stderr(&ran));
}

matrix!(a_grpc_client_and_server_talk, http2, because "gRPC is HTTP/2");
async fn a_grpc_client_and_server_talk(edge: Edge) {
    let (_server, port) = server("grpc_server.py").await;
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "grpc"
        [clusters.grpc]
        endpoints = ["127.0.0.1:{port}"]
        protocol = "h2"
        "#
    ));
    client_passes("grpc_client.py", edge, &proxy).await;
}

matrix!(a_grpc_call_that_is_unavailable_is_tried_again, http2, because "gRPC is HTTP/2");
async fn a_grpc_call_that_is_unavailable_is_tried_again(edge: Edge) {
    let (_server, port) = server("grpc_server.py").await;
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "grpc"
        [clusters.grpc]
        endpoints = ["127.0.0.1:{port}"]
        protocol = "h2"
        retry = {{ attempts = 3, on = ["unavailable"] }}
        "#
    ));
    client_passes("grpc_retry_client.py", edge, &proxy).await;
    assert_eq!(proxy.metric(r#"tamis_cluster_retries_total{cluster="grpc"}"#).await, Some(5.0));
}

matrix!(a_websocket_client_and_server_talk, http1, because "WebSocket over HTTP/2 is not offered");
async fn a_websocket_client_and_server_talk(edge: Edge) {
    let (_server, port) = server("websocket_server.py").await;
    websockets_pass("websocket_client.py", edge, port, "http/1.1").await;
}

matrix!(websockets_travel_over_http2_between_two_proxies, http1, because "over HTTP/2 there is no Upgrade");
async fn websockets_travel_over_http2_between_two_proxies(edge: Edge) {
    let (_server, port) = server("websocket_server.py").await;
    let near = Edge::HTTP2_PLAIN.proxy(sockets(port, "http/1.1"));
    websockets_pass("websocket_client.py", edge, near.address().port(), "h2").await;
}

matrix!(websockets_over_http2_reach_a_service_over_http1, http2, because "it is about HTTP/2 (RFC 8441)");
async fn websockets_over_http2_reach_a_service_over_http1(edge: Edge) {
    let (_server, port) = server("websocket_server.py").await;
    websockets_pass("websocket_h2_client.py", edge, port, "http/1.1").await;
}

matrix!(websockets_over_http2_reach_a_service_over_http2, http2, because "it is about HTTP/2 (RFC 8441)");
async fn websockets_over_http2_reach_a_service_over_http2(edge: Edge) {
    let (_server, port) = server("websocket_h2_server.py").await;
    websockets_pass("websocket_h2_client.py", edge, port, "h2").await;
}

async fn websockets_pass(client: &str, edge: Edge, port: u16, protocol: &str) {
    client_passes(client, edge, &edge.proxy(sockets(port, protocol))).await;
}

fn sockets(port: u16, protocol: &str) -> String {
    format!(
        r#"
        [listeners.edge]
        cluster = "sockets"
        filters = ["router"]
        [filters.router]
        module = "builtin:router"
        config = {{ routes = [
            {{ match = {{ path = "/made" }}, respond = {{ status = 200, body = "made here" }} }},
            {{ to = "sockets" }},
        ] }}
        [clusters.sockets]
        endpoints = ["127.0.0.1:{port}"]
        protocol = "{protocol}"
        "#
    )
}
