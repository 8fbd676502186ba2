//! The keys of `tls`, of listeners and of clusters.

use crate::config::bounds::{DURATION_MIN, SPIFFE_WAIT_MAX};
use crate::config::defaults;
use crate::config::kind::{Choice, File, Flag, Folder, Identity, List, ServerName, Time, TrustDomain};
use crate::config::table::Table;
use crate::config::types::{Alpn, Certificate, ClientAuth, ClientAuthMode, ClientTls, ServerTls, Spiffe, TlsMode, TlsVersion};

const MODE: Choice<TlsMode> = Choice::of(&[("strict", TlsMode::Strict), ("permissive", TlsMode::Permissive)]);
const VERSION: Choice<TlsVersion> = Choice::of(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)]);
const ALPN: Choice<Alpn> = Choice::of(&[("h2", Alpn::Http2), ("http/1.1", Alpn::Http1)]);
const CLIENT_AUTH: Choice<ClientAuthMode> =
    Choice::of(&[("none", ClientAuthMode::None), ("optional", ClientAuthMode::Optional), ("required", ClientAuthMode::Required)]);
const FULL_OR_NONE: Choice<bool> = Choice::of(&[("full", true), ("none", false)]);

/// `tls` of a listener.
pub fn server(table: &mut Table<'_>) -> Option<ServerTls> {
    let mode = table.or(
        "mode",
        &MODE,
        TlsMode::Strict,
        "`\"strict\"`: every connection is TLS. `\"permissive\"`: the first byte tells whether it is, and plain ones are served \
         too, while a fleet moves to TLS.",
    );
    let certificates = table.tables(
        "certificates",
        "Chosen by the names in each certificate: the whole name, then a wildcard. The one with `default`, else the first one, \
         serves a client that names none or an unknown one.",
        certificate,
    );
    let defaults = certificates.iter().flatten().filter(|one| one.default).count();
    if let (Some(node), 2..) = (table.node("certificates"), defaults) {
        table.reader().report(node.span.clone(), format!("expected at most one certificate with `default`, found {defaults}"));
    }
    let min_version = min_version(table);
    let alpn = table.or(
        "alpn",
        &List::of_distinct(ALPN),
        defaults::ALPN.to_vec(),
        "What is agreed on with a client that offers a choice, the first one rather than the others. Empty: nothing is, and the \
         first bytes tell.",
    );
    let client_auth = table.table("client-auth", "Certificates of clients.", client_auth);
    Some(ServerTls { mode, certificates: certificates?, min_version, alpn, client_auth })
}

fn min_version(table: &mut Table<'_>) -> TlsVersion {
    table.or("min-version", &VERSION, defaults::TLS_MIN_VERSION, "The oldest version of TLS that is spoken; the newest is 1.3.")
}

fn certificate(table: &mut Table<'_>) -> Option<Certificate> {
    let chain = table.required("chain", &File, "PEM file: the certificate, then those that signed it.");
    let key = table.required("key", &File, "PEM file: the private key of the certificate.");
    let ocsp = table.optional(
        "ocsp",
        &File,
        "DER file: the answer of the authority's OCSP responder, which clients get with the certificate.",
    );
    let default = table.or("default", &Flag, false, "It serves clients that name none or an unknown one.");
    Some(Certificate { chain: chain?, key: key?, ocsp, default })
}

fn client_auth(table: &mut Table<'_>) -> ClientAuth {
    let default = ClientAuth::default();
    let auth = ClientAuth {
        mode: table.or(
            "mode",
            &CLIENT_AUTH,
            default.mode,
            "`\"optional\"`: a client that shows a certificate has to show a good one. `\"required\"`: each has to show one.",
        ),
        ca: table.or(
            "ca",
            &List::of_distinct(File),
            default.ca,
            "PEM files of the authorities that vouch for clients. Those of the system are not asked.",
        ),
        crl: table.or(
            "crl",
            &List::of_distinct(File),
            default.crl,
            "PEM files of revocation lists. With any, there has to be one for each authority of a client's chain.",
        ),
        identities: table.or(
            "identities",
            &List::of_distinct(Identity),
            default.identities,
            "Who is let in, of those that have a good certificate: patterns of its URI and DNS names, one of which has to match. \
             Empty: all.",
        ),
        trust_domain: table.optional(
            "trust-domain",
            &TrustDomain,
            "Certificates have exactly one URI name, a SPIFFE ID of this trust domain.",
        ),
        strict_sni: table.or(
            "strict-sni",
            &Flag,
            default.strict_sni,
            "Under `\"optional\"` and `\"required\"`, a request for another host than the TLS handshake named is 421.",
        ),
        forward: table.or(
            "forward",
            &Flag,
            default.forward,
            "The upstream is told in `x-forwarded-client-cert` whose certificate was verified.",
        ),
    };
    let report = |key: &str, message: &str| {
        if let Some(node) = table.node(key) {
            table.reader().report(node.span.clone(), message.to_owned());
        }
    };
    match auth.mode {
        ClientAuthMode::None => {
            for key in ["ca", "crl", "identities", "trust-domain", "strict-sni", "forward"] {
                report(key, &format!("`{key}` has no effect with `mode = \"none\"`; expected \"optional\" or \"required\""));
            }
        }
        _ if auth.ca.is_empty() && !table.reader().describes() => {
            report("mode", "client certificates need `ca`: the authorities that vouch for them");
        }
        _ => {}
    }
    auth
}

/// `[spiffe]`
pub fn spiffe(table: &mut Table<'_>) -> Option<Spiffe> {
    let socket = table.required("socket", &File, "The Unix socket of the Workload API.");
    let directory = table.required(
        "directory",
        &Folder,
        "The folder for `svid.pem`, `svid.key` and `bundle.pem`, which `tls` of listeners and clusters names. It is written anew \
         whenever the Workload API says something new. The key is in it: it has to be yours alone, and in memory rather than on a \
         disk.",
    );
    let wait = table.or(
        "wait",
        &Time::within(DURATION_MIN, SPIFFE_WAIT_MAX),
        defaults::SPIFFE_WAIT,
        "How long a start waits for the first answer. Past it, it goes on with the files that are there, or fails.",
    );
    Some(Spiffe { socket: socket?, directory: directory?, wait })
}

/// `tls` of a cluster.
pub fn client(table: &mut Table<'_>) -> Option<ClientTls> {
    let ca = table.or(
        "ca",
        &List::of_distinct(File),
        Vec::new(),
        "PEM files of the authorities that vouch for endpoints. Empty: those of the system.",
    );
    let crl = table.or(
        "crl",
        &List::of_distinct(File),
        Vec::new(),
        "PEM files of revocation lists. With any, there has to be one for each authority of an endpoint's chain.",
    );
    let server_name = table.optional(
        "server-name",
        &ServerName,
        "The name that endpoints are asked for (SNI) and that their certificates have to have. Without it, the name by which the \
         endpoint is listed, else its address.",
    );
    let verify = table.or(
        "verify",
        &FULL_OR_NONE,
        true,
        "`\"none\"` believes every certificate: whoever can answer in the place of an endpoint is believed to be it.",
    );
    let certificate =
        table.optional("certificate", &File, "PEM file: what the proxy shows of itself, then those that signed it.");
    let key = table.optional("key", &File, "PEM file: the private key of `certificate`.");
    let min_version = min_version(table);
    let identities = table.or(
        "identities",
        &List::of_distinct(Identity),
        Vec::new(),
        "Who may answer: patterns of the URI and DNS names of its certificate, one of which has to match. They take the place of \
         the endpoint's name; `server-name` is checked besides.",
    );
    let trust_domain = table.optional(
        "trust-domain",
        &TrustDomain,
        "Certificates have exactly one URI name, a SPIFFE ID of this trust domain. It takes the place of the endpoint's name as well.",
    );
    let lone = match (&certificate, &key) {
        (Some(_), None) => Some(("certificate", "key")),
        (None, Some(_)) => Some(("key", "certificate")),
        _ => None,
    };
    if let Some((there, missing)) = lone
        && let (Some(node), None) = (table.node(there), table.node(missing))
    {
        table.reader().report(node.span.clone(), format!("`{there}` needs `{missing}` beside it"));
    }
    if !verify {
        for key in ["ca", "crl", "identities", "trust-domain"] {
            if let Some(node) = table.node(key) {
                table.reader().report(node.span.clone(), format!("`{key}` has no effect with `verify = \"none\"`"));
            }
        }
    }
    Some(ClientTls { ca, crl, server_name, verify, certificate: certificate.zip(key), min_version, identities, trust_domain })
}
