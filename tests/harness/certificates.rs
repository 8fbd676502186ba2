//! An authority made for this run, and certificates that it signs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;

/// The name in the certificate of a listener that names none.
pub const EDGE_NAME: &str = "edge.test";

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::make);
static EDGE: LazyLock<Certificate> = LazyLock::new(|| certificate(&[EDGE_NAME]));

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn make() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the tests' authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority can sign itself");
        Self { issuer, folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }
}

/// A certificate on disk.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// The value of a listener's `tls` with this certificate alone.
    pub fn tls(&self) -> toml::Value {
        let text = format!("certificates = [{{ chain = '{}', key = '{}' }}]", self.chain.display(), self.key.display());
        text.parse::<toml::Table>().expect("the paths fit into TOML").into()
    }

    /// The same as an element of `certificates`.
    pub fn entry(&self) -> String {
        format!("{{ chain = '{}', key = '{}' }}", self.chain.display(), self.key.display())
    }

    /// What a server needs to show it.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(&self.chain).and_then(Iterator::collect).expect("the chain was just written");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("the key was just written");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has every version of TLS").with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key).expect("the key belongs to the certificate"))
    }

    pub fn is(&self, presented: &CertificateDer<'_>) -> bool {
        self.der == *presented
    }
}

/// The certificate of a listener that names none.
pub fn edge() -> &'static Certificate {
    &EDGE
}

/// A certificate for these names, signed by the authority.
pub fn certificate(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let file_name = format!("{}-{}", names.join("+").replace('*', "any"), MADE.fetch_add(1, Ordering::Relaxed));
    let mut params = CertificateParams::new(names).expect("the names are DNS names");
    params.distinguished_name.push(DnType::CommonName, "a server of the tests");
    let key = KeyPair::generate().expect("a key can be made");
    let signed = params.signed_by(&key, &AUTHORITY.issuer).expect("the authority can sign");
    let folder = AUTHORITY.folder.path();
    let (chain, key_file) = (folder.join(format!("{file_name}.pem")), folder.join(format!("{file_name}.key")));
    std::fs::write(&chain, signed.pem()).expect("a certificate can be written");
    std::fs::write(&key_file, key.serialize_pem()).expect("a key can be written");
    Certificate { chain, key: key_file, der: signed.der().clone() }
}

/// The file of the authority's own certificate, for clients that are other programs.
pub fn authority_file() -> PathBuf {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let file = AUTHORITY.folder.path().join("authority.pem");
        std::fs::write(&file, AUTHORITY.issuer.pem()).expect("a certificate can be written");
        file
    });
    FILE.clone()
}

/// A client that trusts the authority and offers these protocols.
pub fn client_config(alpn: &[&[u8]]) -> Arc<ClientConfig> {
    client_config_of(rustls::DEFAULT_VERSIONS, alpn)
}

/// The same for some versions of TLS.
pub fn client_config_of(versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.issuer.der().clone()).expect("the authority's certificate is one");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let builder = builder.expect("the provider has every version of TLS");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}
