//! What `[sidecar]` and `[services.NAME]` stand for: listeners, clusters and a filter, written out in the tree of the file beside
//! what stands there. Where the file says something of one of them itself, that holds. Mistakes in what is written out are
//! told at `[sidecar]`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::read::Reader;
use super::sections;
use super::source::Source;
use super::tree::{Entry, Node, Value};
use super::types::{EndpointSpec, Service, Sidecar, SidecarIdentity, TlsMode};

pub const SECTION: &str = "sidecar";
pub const SERVICES: &str = "services";
/// Where calls to the service come in; `outbound` and `outbound-v6` are where its own go out.
const INBOUND: &str = "inbound";
const OUTBOUND: &str = "outbound";
const OUTBOUND_V6: &str = "outbound-v6";
pub(super) const APPLICATION: &str = "application";
pub(super) const PASSTHROUGH: &str = "passthrough";
const ROUTER: &str = "services";

/// The same with everything written out, if it is about a sidecar and right so far.
pub fn written_out(source: Source) -> Source {
    let Some(span) = source.tree().get(SECTION).map(|node| node.span.clone()) else { return source };
    let reader = Reader::new(&source);
    let (sidecar, services) = reader.top(sections::of_a_sidecar);
    let Some(sidecar) = sidecar else { return source };
    let write = Write { span, tree: source.tree(), sidecar: &sidecar };
    let services: Vec<_> = services.iter().map(|(name, service)| (&**name, &**service)).collect();
    let written = write.all(&services);
    let tree = merged(source.tree(), written);
    source.with_tree(tree)
}

/// What the file says goes before what it stands for.
fn merged(said: &Node, written: Node) -> Node {
    let (Value::Table(said_entries), Value::Table(written_entries)) = (&said.value, written.value) else { return said.clone() };
    let mut entries = said_entries.clone();
    for entry in written_entries {
        match entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => known.node = merged(&known.node, entry.node),
            None => entries.push(entry),
        }
    }
    Node { span: said.span.clone(), value: Value::Table(entries) }
}

struct Write<'a> {
    span: Range<usize>,
    tree: &'a Node,
    sidecar: &'a Sidecar,
}

impl Write<'_> {
    fn all(&self, services: &[(&str, &Service)]) -> Node {
        let sidecar = self.sidecar;
        let mut listeners = vec![(INBOUND, self.inbound()), (OUTBOUND, self.outbound(sidecar.outbound, services))];
        // What is sent from this host is redirected to the loopback of its own kind.
        if sidecar.ipv6 && sidecar.outbound.ip() == Ipv4Addr::LOCALHOST {
            let address = SocketAddr::from((Ipv6Addr::LOCALHOST, sidecar.outbound.port()));
            listeners.push((OUTBOUND_V6, self.outbound(address, services)));
        }
        let application = sidecar.application.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, sidecar.port)));
        let application = self.table([("endpoints", self.texts([application.to_string().as_str()]))]);
        let mut clusters = vec![(APPLICATION, application)];
        if sidecar.passes_unknown {
            clusters.push((PASSTHROUGH, self.marked(vec![("original-destination", self.flag(true))])));
        }
        clusters.extend(services.iter().map(|(name, service)| (*name, self.cluster(name, service))));
        let mut top = vec![("listeners", self.table(listeners)), ("clusters", self.table(clusters))];
        if self.routes_needed(services) {
            top.push(("filters", self.table([(ROUTER, self.router(services))])));
        }
        if let SidecarIdentity::Workload { socket, directory } = &sidecar.identity {
            top.push(("spiffe", self.table([("socket", self.path(socket)), ("directory", self.path(directory))])));
        }
        self.table(top)
    }

    fn inbound(&self) -> Node {
        let sidecar = self.sidecar;
        let (certificate, key, ca) = self.identity();
        let mut auth = vec![
            ("mode", self.text("required")),
            ("ca", ca),
            ("trust-domain", self.text(&sidecar.trust_domain)),
            // Services ask for each other by names that are in no certificate.
            ("strict-sni", self.flag(false)),
            ("forward", self.flag(true)),
        ];
        auth.extend(self.said(self.section(), "allow").map(|allow| ("identities", allow)));
        let mode = if sidecar.mode == TlsMode::Strict { "strict" } else { "permissive" };
        let tls = self.table([
            ("mode", self.text(mode)),
            ("min-version", self.text("1.3")),
            ("certificates", self.array([self.table([("chain", certificate), ("key", key)])])),
            ("client-auth", self.table(auth)),
        ]);
        let mut entries = vec![
            ("listen", self.text(&sidecar.inbound.to_string())),
            ("protocol", self.text("auto")),
            ("original-destination", self.flag(true)),
            ("tls", tls),
            ("header-underscores", self.text("pass")),
            ("filters", self.texts(sidecar.inbound_filters.iter().map(|name| &**name))),
            ("cluster", self.text(APPLICATION)),
        ];
        let unfiltered: Vec<_> = sidecar.unfiltered.iter().filter(|name| sidecar.inbound_filters.contains(name)).collect();
        if !unfiltered.is_empty() {
            let unfiltered = self.texts(unfiltered.into_iter().map(|name| &**name));
            entries.push(("tcp", self.table([("unfiltered", unfiltered)])));
        }
        self.table(entries)
    }

    fn outbound(&self, listen: SocketAddr, services: &[(&str, &Service)]) -> Node {
        let sidecar = self.sidecar;
        let router = self.routes_needed(services).then_some(ROUTER);
        let mut entries = vec![
            ("listen", self.text(&listen.to_string())),
            ("protocol", self.text("auto")),
            ("original-destination", self.flag(true)),
            // Nobody but the service itself comes here, and what it says is to arrive as it was said.
            ("trusted", self.texts(["0.0.0.0/0", "::/0"])),
            ("header-underscores", self.text("pass")),
            (
                "paths",
                self.table([
                    ("normalize", self.flag(false)),
                    ("merge-slashes", self.flag(false)),
                    ("escaped-slashes", self.text("keep")),
                ]),
            ),
            ("filters", self.texts(sidecar.outbound_filters.iter().map(|name| &**name).chain(router))),
        ];
        let mut tcp = Vec::new();
        let destinations = destinations(services);
        if !destinations.is_empty() {
            let destinations = destinations.iter().map(|(address, name)| (address.as_str(), self.text(name)));
            tcp.push(("destinations", self.table(destinations)));
        }
        // Whoever may call everything, TLS of its own included, is kept from nothing by filters of HTTP.
        let may = |name: &&Arc<str>| sidecar.passes_unknown || sidecar.unfiltered.contains(name);
        let unfiltered: Vec<_> = sidecar.outbound_filters.iter().filter(may).map(|name| &**name).chain(router).collect();
        if !unfiltered.is_empty() {
            tcp.push(("unfiltered", self.texts(unfiltered)));
        }
        if !tcp.is_empty() {
            entries.push(("tcp", self.table(tcp)));
        }
        if sidecar.passes_unknown {
            entries.push(("cluster", self.text(PASSTHROUGH)));
        }
        self.table(entries)
    }

    fn cluster(&self, name: &str, service: &Service) -> Node {
        let said = self.tree.get(SERVICES).and_then(|services| services.get(name));
        let mut entries = Vec::new();
        entries.extend(self.said(said, "endpoints").map(|endpoints| ("endpoints", endpoints)));
        if service.mutual {
            let (certificate, key, ca) = self.identity();
            let mut tls = vec![
                ("ca", ca),
                ("certificate", certificate),
                ("key", key),
                ("min-version", self.text("1.3")),
                ("trust-domain", self.text(&self.sidecar.trust_domain)),
            ];
            tls.extend(self.said(said, "identities").map(|identities| ("identities", identities)));
            entries.push(("tls", self.table(tls)));
        }
        self.marked(entries)
    }

    fn routes_needed(&self, services: &[(&str, &Service)]) -> bool {
        !services.is_empty() || !self.sidecar.passes_unknown
    }

    fn router(&self, services: &[(&str, &Service)]) -> Node {
        let mut routes: Vec<_> = services
            .iter()
            .map(|(name, service)| {
                let hosts: Vec<&str> =
                    if service.hosts.is_empty() { vec![name] } else { service.hosts.iter().map(|host| &**host).collect() };
                let matched = self.table([("host", self.texts(hosts))]);
                self.table([("name", self.text(name)), ("match", matched), ("to", self.text(name))])
            })
            .collect();
        if !self.sidecar.passes_unknown {
            let body = "no service is known by this name here, and others are refused\n";
            let refusal =
                self.table([("status", Node { span: self.span.clone(), value: Value::Integer(403) }), ("body", self.text(body))]);
            routes.push(self.table([("name", self.text("unknown")), ("respond", refusal)]));
        }
        self.table([("module", self.text("builtin:router")), ("config", self.table([("routes", self.array(routes))]))])
    }

    /// Certificate, key and authorities.
    fn identity(&self) -> (Node, Node, Node) {
        let said = |key| self.said(self.section(), key).unwrap_or_else(|| self.text(""));
        match &self.sidecar.identity {
            SidecarIdentity::Files { .. } => (said("certificate"), said("key"), said("ca")),
            SidecarIdentity::Workload { directory, .. } => {
                let bundle = self.array([self.path(&directory.join("bundle.pem"))]);
                (self.path(&directory.join("svid.pem")), self.path(&directory.join("svid.key")), bundle)
            }
        }
    }

    fn marked(&self, mut entries: Vec<(&str, Node)>) -> Node {
        let mark = self.sidecar.mark.map(|mark| Node { span: self.span.clone(), value: Value::Integer(mark.into()) });
        entries.extend(mark.map(|mark| ("mark", mark)));
        self.table(entries)
    }

    fn section(&self) -> Option<&Node> {
        self.tree.get(SECTION)
    }

    /// As it stands in the file, so that what is wrong with it is told there.
    fn said(&self, table: Option<&Node>, key: &str) -> Option<Node> {
        table.and_then(|table| table.get(key)).cloned()
    }

    fn table<'k>(&self, entries: impl IntoIterator<Item = (&'k str, Node)>) -> Node {
        let entry = |(key, node): (&str, Node)| Entry { key: key.to_owned(), key_span: self.span.clone(), node };
        Node { span: self.span.clone(), value: Value::Table(entries.into_iter().map(entry).collect()) }
    }

    fn array(&self, items: impl IntoIterator<Item = Node>) -> Node {
        Node { span: self.span.clone(), value: Value::Array(items.into_iter().collect()) }
    }

    fn text(&self, text: &str) -> Node {
        Node { span: self.span.clone(), value: Value::String(text.to_owned()) }
    }

    fn texts<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Node {
        self.array(texts.into_iter().map(|text| self.text(text)).collect::<Vec<_>>())
    }

    fn path(&self, path: &Path) -> Node {
        self.text(&path.to_string_lossy())
    }

    fn flag(&self, flag: bool) -> Node {
        Node { span: self.span.clone(), value: Value::Boolean(flag) }
    }
}

/// Where services are called that speak something else than HTTP. The first one of an address has it.
fn destinations<'s>(services: &[(&'s str, &Service)]) -> BTreeMap<String, &'s str> {
    let mut destinations = BTreeMap::new();
    for (name, service) in services {
        let listed = service.endpoints.iter().filter_map(|endpoint| match endpoint.at {
            EndpointSpec::Address(address) => Some(address),
            EndpointSpec::Name { .. } => None,
        });
        for address in listed.chain(service.addresses.iter().copied()) {
            destinations.entry(address.to_string()).or_insert(*name);
        }
    }
    destinations
}
