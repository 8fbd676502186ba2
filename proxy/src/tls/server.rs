//! What a listener accepts TLS with.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use super::certificates::Certificates;
use super::files::{Digest, Files, TlsError, Wrong};
use super::held::Held;
use super::identity::Allowed;
use super::trust::Trust;
use super::{provider, versions};
use crate::config::{ClientAuth, ClientAuthMode, ServerTls, Step};

/// What a listener needs to accept TLS, ready to use by all workers.
pub struct Server {
    pub acceptor: TlsAcceptor,
    pub held: Vec<Held>,
    config: ServerTls,
    /// Of every file, and of those that say who is believed.
    read: Digest,
    trust: Digest,
    /// Its keys change every six hours; the one before is still read.
    tickets: Arc<dyn ProducesTickets>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tls::Server")
    }
}

impl Server {
    /// Reads and checks everything. Where nothing is new it is the previous one.
    pub fn build(config: &ServerTls, previous: Option<&Arc<Self>>) -> Result<Arc<Self>, TlsError> {
        let files = Files::read(config.files());
        let read = files.digest();
        if let Some(previous) = previous.filter(|previous| previous.config == *config && previous.read == read) {
            return Ok(Arc::clone(previous));
        }
        let auth = &config.client_auth;
        let trust = files.digest_among(auth.ca.iter().chain(&auth.crl));
        let (certificates, mut held) = Certificates::load(&files, &config.certificates)?;
        let setup = |error: Error| Wrong::Setup(error.to_string()).at([]);
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&versions(config.min_version)).map_err(setup)?;
        let builder = match verifier(&files, auth, &mut held)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_cert_resolver(Arc::new(certificates));
        server.alpn_protocols = config.alpn.iter().map(|protocol| protocol.name().into()).collect();
        // Tickets are all that is needed to resume; a table of sessions would be a lock that workers share.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        // A ticket says that its client was verified, by the rules of when it was made out.
        let kept = previous.filter(|previous| previous.config.client_auth == *auth && previous.trust == trust);
        let tickets = match kept {
            Some(previous) => Arc::clone(&previous.tickets),
            None => Ticketer::new().map_err(setup)?,
        };
        server.ticketer = Arc::clone(&tickets);
        let acceptor = TlsAcceptor::from(Arc::new(server));
        Ok(Arc::new(Self { acceptor, held, config: config.clone(), read, trust, tickets }))
    }

    /// Whether its files are not what they were.
    pub fn is_stale(&self) -> bool {
        Files::read(self.config.files()).digest() != self.read
    }
}

fn verifier(files: &Files, auth: &ClientAuth, held: &mut Vec<Held>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if auth.mode == ClientAuthMode::None {
        return Ok(None);
    }
    let trust = Trust::load(files, &[Step::Key("client-auth")], &auth.ca, &auth.crl)?;
    held.extend(trust.held);
    let mut builder = WebPkiClientVerifier::builder_with_provider(trust.roots, provider()).with_crls(trust.revocations);
    if auth.mode == ClientAuthMode::Optional {
        builder = builder.allow_unauthenticated();
    }
    let chains = builder.build().map_err(|error| Wrong::Setup(error.to_string()).at([Step::Key("client-auth")]))?;
    Ok(Some(match Allowed::clients(auth) {
        Some(allowed) => Arc::new(Guests { chains, allowed }),
        None => chains,
    }))
}

/// Lets in whom an authority vouches for, if it is somebody who is wanted.
#[derive(Debug)]
struct Guests {
    chains: Arc<dyn ClientCertVerifier>,
    allowed: Allowed,
}

impl ClientCertVerifier for Guests {
    fn offer_client_auth(&self) -> bool {
        self.chains.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chains.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chains.verify_client_cert(leaf, intermediates, now)?;
        self.allowed.check(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
