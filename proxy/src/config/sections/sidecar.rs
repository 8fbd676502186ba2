//! The keys of `[sidecar]` and `[services.NAME]`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::defaults;
use crate::config::kind::{
    Choice, EndpointKind, File, Flag, Folder, Identity, Integer, List, Listen, Reference, TrustDomain, Word,
};
use crate::config::table::Table;
use crate::config::types::{Service, Sidecar, SidecarIdentity, TlsMode};

const MODE: Choice<TlsMode> = Choice::of(&[("strict", TlsMode::Strict), ("permissive", TlsMode::Permissive)]);
const PASSTHROUGH_OR_REFUSE: Choice<bool> = Choice::of(&[("passthrough", true), ("refuse", false)]);
const MUTUAL_OR_OFF: Choice<bool> = Choice::of(&[("mutual", true), ("off", false)]);

pub fn sidecar(table: &mut Table<'_>) -> Option<Sidecar> {
    let service = table.required("service", &Word, "The service that it stands beside.");
    let port = table.required("port", &Integer::within(1, u16::MAX), "The port that others call it at.");
    let application = table.optional("application", &Listen, "Where it listens. Without it, at its port on 127.0.0.1.");
    let mode = table.or(
        "mode",
        &MODE,
        TlsMode::Strict,
        "Of calls to the service: `\"strict\"` takes mutual TLS only, `\"permissive\"` plain ones too, while a fleet moves.",
    );
    let identity = identity(table);
    let trust_domain = table.required(
        "trust-domain",
        &TrustDomain,
        "Whoever calls the service, and whoever is called from here, has a SPIFFE ID of this trust domain.",
    );
    let allow = table.or(
        "allow",
        &List::of_distinct(Identity),
        Vec::new(),
        "Who may call the service, as patterns of SPIFFE IDs. Empty: everybody of the trust domain.",
    );
    let passes_unknown = table.or(
        "unknown",
        &PASSTHROUGH_OR_REFUSE,
        true,
        "What becomes of calls to a destination that no `[services.NAME]` is: they go on as they are, or are refused.",
    );
    let filters = List::of(Reference::FILTER);
    let inbound_filters = table.or("inbound-filters", &filters, Vec::new(), "What calls to the service pass, in this order.");
    let outbound_filters = table.or("outbound-filters", &filters, Vec::new(), "What calls of the service pass, in this order.");
    let unfiltered = table.or(
        "unfiltered",
        &List::of_distinct(Reference::FILTER),
        Vec::new(),
        "Of these filters, those without a connection hook that may be passed by what is no HTTP, which is refused otherwise. Calls of the \
         service pass by all of them where `unknown` goes on.",
    );
    let ipv6 = table.or("ipv6", &Flag, true, "Connections over IPv6 are taken as well. `false` where the host has none.");
    let any = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let inbound = table.optional(
        "inbound",
        &Listen,
        "Where calls to the service are redirected to. Without it, port 15006 of every address.",
    );
    let outbound = table.optional(
        "outbound",
        &Listen,
        "Where calls of the service are redirected to. Without it, port 15001 of 127.0.0.1, and of ::1 with `ipv6`.",
    );
    let excluded_ports = table.or(
        "excluded-ports",
        &List::of_distinct(Integer::within(1, u16::MAX)),
        Vec::new(),
        "Calls of the service to these ports are never redirected.",
    );
    let mark = table.optional(
        "mark",
        &Integer::within(1, u32::MAX),
        "The firewall mark (SO_MARK) of what the sidecar opens itself, for rules that go by it; it takes CAP_NET_ADMIN.",
    );
    Some(Sidecar {
        service: service?,
        port: port?,
        application,
        mode,
        identity: identity?,
        trust_domain: trust_domain?,
        allow,
        passes_unknown,
        inbound_filters,
        outbound_filters,
        unfiltered,
        inbound: inbound.unwrap_or(SocketAddr::new(any, defaults::SIDECAR_INBOUND_PORT)),
        outbound: outbound.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, defaults::SIDECAR_OUTBOUND_PORT))),
        ipv6,
        excluded_ports,
        mark,
    })
}

fn identity(table: &mut Table<'_>) -> Option<SidecarIdentity> {
    let certificate =
        table.optional("certificate", &File, "PEM file: the certificate of the service, then those that signed it.");
    let key = table.optional("key", &File, "PEM file: its private key.");
    let ca = table.or(
        "ca",
        &List::of_distinct(File),
        Vec::new(),
        "PEM files of the authorities that vouch for services, of callers and of those that are called.",
    );
    let socket =
        table.optional("workload-api", &File, "The Unix socket of the SPIFFE Workload API, in the place of these files.");
    let directory = table.optional("directory", &Folder, "With `workload-api`, the folder for what it says, as in `[spiffe]`.");
    let expected = "expected `certificate`, `key` and `ca`, or `workload-api` and `directory`";
    match (certificate, key, ca, socket, directory) {
        (Some(certificate), Some(key), ca, None, None) if !ca.is_empty() => Some(SidecarIdentity::Files { certificate, key, ca }),
        (None, None, ca, Some(socket), Some(directory)) if ca.is_empty() => Some(SidecarIdentity::Workload { socket, directory }),
        _ if table.reader().describes() => None,
        _ => {
            table.reader().report(table.span(), format!("nobody knows who the service is; {expected}"));
            None
        }
    }
}

pub fn service(table: &mut Table<'_>) -> Option<Service> {
    let endpoints = table.required("endpoints", &List::of_distinct(EndpointKind), "Where it is, as in `[clusters.NAME]`.");
    let hosts = table.or("hosts", &List::of_distinct(Word), Vec::new(), "The hosts that it is called by. Empty: its name.");
    let addresses = table.or(
        "addresses",
        &List::of_distinct(Listen),
        Vec::new(),
        "Addresses that it is called at besides those of `endpoints`, such as one that stands for all of them. What is no HTTP is known by \
         its address.",
    );
    let identities =
        table.or("identities", &List::of_distinct(Identity), Vec::new(), "Who may answer. Empty: everybody of the trust domain.");
    let mutual = table.or(
        "tls",
        &MUTUAL_OR_OFF,
        true,
        "`\"mutual\"`: there is a sidecar on the other side, and calls are mutual TLS. `\"off\"`: plain ones.",
    );
    Some(Service { endpoints: endpoints?, hosts, addresses, identities, mutual })
}
