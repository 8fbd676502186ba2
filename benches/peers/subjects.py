"""The proxies that are compared: how each is configured to do the same, and started on a port."""

import json
import pathlib
import shutil
import site
import sys

# Everybody: one worker, keep-alive towards both sides without a limit, no access log unless said.
TAMIS = """
workers = 1
admin = {{ listen = "127.0.0.1:{admin}" }}
{log}
[listeners.edge]
listen = "127.0.0.1:{port}"
cluster = "origin"
timeouts = {{ connection-age = "0s" }}
limits = {{ requests-per-connection = 0 }}
filters = {filters}
[listeners.tls]
listen = "127.0.0.1:{tls}"
cluster = "origin"
timeouts = {{ connection-age = "0s" }}
limits = {{ requests-per-connection = 0 }}
tls = {{ certificates = [{{ chain = "{work}/edge.pem", key = "{work}/edge.key" }}] }}
filters = {filters}
[listeners.h2]
listen = "127.0.0.1:{h2}"
cluster = "origin-h2"
timeouts = {{ connection-age = "0s" }}
limits = {{ requests-per-connection = 0 }}
filters = {filters}
[clusters.origin]
endpoints = ["127.0.0.1:{origin}"]
[clusters.origin-h2]
endpoints = ["127.0.0.1:{origin_h2}"]
protocol = "h2"
{definitions}
"""

# What the five filters do for an ordinary API: one header read and one set, four decisions of others.
FIVE = {
    "acl": 'config = { rules = [{ name = "them", action = "deny", match = { source = ["192.0.2.0/24"] } }], default = "allow" }',
    "quota": 'config = { rules = [{ name = "clients", key = ["source"], limit = "1000000000/h" }] }',
    "router": 'config = { routes = [{ match = { path-prefix = "/" }, to = [{ cluster = "origin" }] }] }',
    "headers": 'config = { request = { set = { x-client = "{header:user-agent}" } } }',
    "attributes": 'config = { attributes = [{ name = "client", value = "{header:host}", default = "unknown" }] }',
}

NGINX = """
worker_processes 1;
daemon off;
pid {work}/nginx.pid;
error_log /dev/null crit;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    # The others stream as well.
    proxy_buffering off;
    client_body_temp_path {work}/nginx-body; proxy_temp_path {work}/nginx-proxy; fastcgi_temp_path {work}/nginx-f;
    uwsgi_temp_path {work}/nginx-u; scgi_temp_path {work}/nginx-s;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 1000000000; }}
    upstream origin-h2 {{ server 127.0.0.1:{origin_h2}; keepalive 128; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {work}/edge.pem; ssl_certificate_key {work}/edge.key;
        location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
    }}
    server {{
        listen 127.0.0.1:{h2down} http2;
        location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
    }}
    server {{ listen 127.0.0.1:{h2} http2; location / {{ grpc_pass grpc://origin-h2; }} }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend edge
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{tls} ssl crt {work}/edge.both
    bind 127.0.0.1:{h2down} proto h2
    default_backend origin
frontend h2
    bind 127.0.0.1:{h2} proto h2
    default_backend origin-h2
backend origin
    server one 127.0.0.1:{origin}
backend origin-h2
    server one 127.0.0.1:{origin_h2} proto h2
"""

# What serves: nginx, as lean as it is, on the core of the load.
ORIGIN = """
worker_processes 1;
daemon off;
pid {work}/origin.pid;
error_log /dev/null crit;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    sendfile on;
    client_body_temp_path {work}/origin-body; proxy_temp_path {work}/origin-proxy; fastcgi_temp_path {work}/origin-f;
    uwsgi_temp_path {work}/origin-u; scgi_temp_path {work}/origin-s;
    open_file_cache max=10;
    server {{ listen 127.0.0.1:{origin} backlog=4096; location / {{ return 200 "twenty bytes of text"; }} location /files/ {{ root {work}; }} }}
    server {{ listen 127.0.0.1:{origin_h2} http2; location / {{ return 200 "twenty bytes of text"; }} }}
}}
"""


def envoy_binary():
    """The wheel's program, or what is on the path."""
    for folder in [*site.getsitepackages(), *(pathlib.Path(sys.prefix) / "lib").glob("python*/site-packages")]:
        for found in pathlib.Path(folder).glob("envoy*/**/envoy"):
            if found.is_file():
                return str(found)
    return shutil.which("envoy")


def envoy(ports, work, wasm, count):
    def manager(cluster, h2):
        filters = [
            {
                "name": f"wasm{number}",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                    "config": {
                        "name": f"wasm{number}",
                        "root_id": f"wasm{number}",
                        "vm_config": {"vm_id": f"v{number}", "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": wasm}}},
                    },
                },
            }
            for number in range(count)
        ]
        filters.append({"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}})
        return {
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "edge",
                "codec_type": "HTTP2" if h2 else "AUTO",
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]},
                "http_filters": filters,
            },
        }

    def listener(port, cluster, h2=False, tls=False):
        chain = {"filters": [manager(cluster, h2)]}
        if tls:
            chain["transport_socket"] = {
                "name": "tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                    "common_tls_context": {"tls_certificates": [{"certificate_chain": {"filename": f"{work}/edge.pem"}, "private_key": {"filename": f"{work}/edge.key"}}]},
                },
            }
        return {"name": f"l{port}", "address": address(port), "filter_chains": [chain]}

    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def cluster(name, port, h2=False):
        made = {
            "name": name,
            "type": "STATIC",
            "circuit_breakers": {"thresholds": [{"max_connections": 30000, "max_pending_requests": 30000, "max_requests": 30000}]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
        }
        if h2:
            made["typed_extension_protocol_options"] = {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            }
        return made

    return json.dumps(
        {
            "static_resources": {
                "listeners": [
                    listener(ports["port"], "origin"),
                    listener(ports["tls"], "origin", tls=True),
                    listener(ports["h2down"], "origin", h2=True),
                    listener(ports["h2"], "origin-h2", h2=True),
                ],
                "clusters": [cluster("origin", ports["origin"]), cluster("origin-h2", ports["origin_h2"], h2=True)],
            }
        }
    )


def tamis(ports, work, filters, log, module=None, count=0):
    names, definitions = list(filters), [f'[filters.{name}]\nmodule = "builtin:{name}"\n{FIVE[name]}' for name in filters]
    for number in range(count):
        names.append(f"wasm{number}")
        definitions.append(f'[filters.wasm{number}]\nmodule = "{module}"')
    return TAMIS.format(**ports, work=work, log=log, filters=json.dumps(names), definitions="\n".join(definitions))
