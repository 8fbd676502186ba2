//! What a cluster connects to its endpoints with.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, WebPkiServerVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, HandshakeKind, OtherError, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::{EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder};

use super::certificates::own;
use super::files::{Digest, Files, TlsError, Wrong};
use super::held::Held;
use super::identity::{Allowed, NotAllowed};
use super::trust::Trust;
use super::{provider, versions, words};
use crate::config::{Alpn, ClientTls, Step};

/// What is offered by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    Either,
    Http1,
    Http2,
    /// Nothing: what is spoken is not known here.
    Nothing,
}

/// What a cluster needs to connect by TLS, ready to use by all workers.
pub struct Client {
    pub held: Vec<Held>,
    config: ClientTls,
    read: Digest,
    /// They share what was learnt for resumption.
    either: TlsConnector,
    http1: TlsConnector,
    http2: TlsConnector,
    nothing: TlsConnector,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tls::Client")
    }
}

/// Why there is no TLS with an endpoint.
#[derive(Debug, thiserror::Error)]
#[error("{}", words(error))]
pub struct Refused {
    pub why: Why,
    error: std::io::Error,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $why:ident = $name:literal;)+) => {
        /// One word for it, in metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Why { $($(#[$doc])* $why),+ }

        impl Why {
            pub const ALL: &[Why] = &[$(Why::$why),+];

            pub const fn name(self) -> &'static str {
                match self { $(Why::$why => $name),+ }
            }
        }
    };
}

reasons! {
    WrongName = "wrong-name";
    UnknownIssuer = "unknown-issuer";
    Expired = "expired";
    NotYetValid = "not-yet-valid";
    Revoked = "revoked";
    /// The certificate is good, and not of anybody who may answer.
    Identity = "identity";
    /// Anything else about the certificate.
    Certificate = "certificate";
    /// The endpoint does not want this proxy.
    Refused = "refused";
    /// What it says is no TLS, or none that is spoken here.
    Protocol = "protocol";
    /// The connection ended meanwhile.
    Closed = "closed";
    Timeout = "timeout";
}

impl Client {
    /// Reads and checks everything. Where nothing is new it is the previous one.
    pub fn build(config: &ClientTls, previous: Option<&Arc<Self>>) -> Result<Arc<Self>, TlsError> {
        let files = Files::read(config.files());
        let read = files.digest();
        if let Some(previous) = previous.filter(|previous| previous.config == *config && previous.read == read) {
            return Ok(Arc::clone(previous));
        }
        let mut held = Vec::new();
        let setup = |error: Error| Wrong::Setup(error.to_string()).at([]);
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&versions(config.min_version)).map_err(setup)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier(&files, config, &mut held)?);
        let client = match &config.certificate {
            Some((chain, key)) => {
                let place = |part| vec![Step::Key(if part == "chain" { "certificate" } else { "key" })];
                let (certified, shown) = own(&files, (chain, key), place)?;
                held.insert(0, shown);
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        let offering = |alpn: &[Alpn]| {
            let mut client = client.clone();
            client.alpn_protocols = alpn.iter().map(|protocol| protocol.name().into()).collect();
            TlsConnector::from(Arc::new(client))
        };
        Ok(Arc::new(Self {
            held,
            config: config.clone(),
            read,
            either: offering(&[Alpn::Http2, Alpn::Http1]),
            http1: offering(&[Alpn::Http1]),
            http2: offering(&[Alpn::Http2]),
            nothing: offering(&[]),
        }))
    }

    /// Whether its files are not what they were.
    pub fn is_stale(&self) -> bool {
        Files::read(self.config.files()).digest() != self.read
    }

    /// The handshake with an endpoint that is listed by this name, or by its address alone.
    pub async fn connect(
        &self,
        stream: TcpStream,
        host: Option<&str>,
        address: SocketAddr,
        offer: Offer,
    ) -> Result<TlsStream<TcpStream>, Refused> {
        let connector = match offer {
            Offer::Either => &self.either,
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
            Offer::Nothing => &self.nothing,
        };
        let name = match self.config.server_name.as_deref().or(host) {
            Some(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|error| Refused {
                why: Why::WrongName,
                error: std::io::Error::other(format!("`{name}` is no name that a certificate could have: {error}")),
            })?,
            None => ServerName::IpAddress(address.ip().into()),
        };
        connector.connect(name, stream).await.map_err(|error| Refused { why: why(&error), error })
    }

    /// Whether a handshake took up an earlier one.
    pub fn is_resumed(session: &ClientConnection) -> bool {
        session.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

fn why(error: &std::io::Error) -> Why {
    let Some(error) = error.get_ref().and_then(|source| source.downcast_ref::<Error>()) else { return Why::Closed };
    match error {
        Error::InvalidCertificate(wrong) => match wrong {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Why::WrongName,
            CertificateError::UnknownIssuer => Why::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Why::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Why::NotYetValid,
            CertificateError::Revoked | CertificateError::UnknownRevocationStatus => Why::Revoked,
            CertificateError::Other(OtherError(other)) if other.is::<NotAllowed>() => Why::Identity,
            _ => Why::Certificate,
        },
        Error::AlertReceived(_) => Why::Refused,
        _ => Why::Protocol,
    }
}

fn verifier(files: &Files, config: &ClientTls, held: &mut Vec<Held>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if !config.verify {
        return Ok(Arc::new(Anybody));
    }
    let trust = Trust::load(files, &[], &config.ca, &config.crl)?;
    held.extend(trust.held);
    let roots = if config.ca.is_empty() { of_the_system()? } else { trust.roots };
    let allowed = Allowed::endpoints(config);
    let has_name = allowed.is_none() || config.server_name.is_some();
    let setup = |error: &dyn fmt::Display| Wrong::Setup(error.to_string()).at([]);
    if !has_name {
        let lists = trust.revocations.iter().map(|list| OwnedCertRevocationList::from_der(list));
        let revoked: Result<Vec<_>, _> = lists.map(|list| list.map(webpki::CertRevocationList::from)).collect();
        let revoked = revoked.map_err(|error| setup(&error))?;
        return Ok(Arc::new(Acquaintances { roots, revoked, allowed: allowed.unwrap_or_default() }));
    }
    let builder = WebPkiServerVerifier::builder_with_provider(roots, provider());
    let names = builder.with_crls(trust.revocations).build().map_err(|error| setup(&error))?;
    Ok(match allowed {
        Some(allowed) => Arc::new(Named { names, allowed }),
        None => names,
    })
}

fn of_the_system() -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Systems have a few that nobody can parse.
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        let why = system.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        return Err(Wrong::Nobody(why).at([]));
    }
    Ok(Arc::new(roots))
}

macro_rules! signatures_as_usual {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, leaf, signed, &provider().signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, leaf, signed, &provider().signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            provider().signature_verification_algorithms.supported_schemes()
        }
    };
}

/// Whoever has the name and is somebody who may answer.
#[derive(Debug)]
struct Named {
    names: Arc<WebPkiServerVerifier>,
    allowed: Allowed,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        staple: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.names.verify_server_cert(leaf, intermediates, name, staple, now)?;
        self.allowed.check(leaf)?;
        Ok(verified)
    }

    signatures_as_usual!();
}

/// Whoever may answer, whatever its name is: identities take the place of names.
#[derive(Debug)]
struct Acquaintances {
    roots: Arc<RootCertStore>,
    revoked: Vec<webpki::CertRevocationList<'static>>,
    allowed: Allowed,
}

impl ServerCertVerifier for Acquaintances {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = EndEntityCert::try_from(leaf).map_err(of_webpki)?;
        let lists: Vec<_> = self.revoked.iter().collect();
        // Without any list nothing is asked of them.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(RevocationOptionsBuilder::build);
        let algorithms = provider().signature_verification_algorithms.all;
        let usage = KeyUsage::server_auth();
        let verified = certificate.verify_for_usage(algorithms, &self.roots.roots, intermediates, now, usage, revocation, None);
        verified.map_err(of_webpki)?;
        self.allowed.check(leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures_as_usual!();
}

fn of_webpki(error: webpki::Error) -> Error {
    Error::InvalidCertificate(match error {
        webpki::Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        webpki::Error::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        webpki::Error::CertRevoked => CertificateError::Revoked,
        webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        error => CertificateError::Other(OtherError(Arc::new(error))),
    })
}

/// `verify = "none"`: the connection is secret, from whomever it is with.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_as_usual!();
}
