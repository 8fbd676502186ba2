//! An authority made for this run, and certificates that it signs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;

/// The name in the certificate of a listener that names none.
pub const EDGE_NAME: &str = "edge.test";

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::make);
static EDGE: LazyLock<Certificate> = LazyLock::new(|| certificate(&[EDGE_NAME]));

/// Somebody who signs certificates, in a folder of its own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn make() -> Self {
        let mut params = CertificateParams::default();
        // Two of the same name would be taken for one that has signed badly.
        static MADE: AtomicU64 = AtomicU64::new(1);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number} of the tests"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority can sign itself");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("authority.pem"), issuer.pem()).expect("a certificate can be written");
        Self { issuer, folder }
    }

    /// The file of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    pub fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// A client that trusts it alone.
    pub fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("the authority's certificate is one");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has every version of TLS");
        builder.with_root_certificates(roots).with_no_client_auth()
    }

    /// A file in which it revokes these.
    pub fn revoking(&self, certificates: &[&Certificate]) -> PathBuf {
        static MADE: AtomicU64 = AtomicU64::new(1);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let revoked = certificates.iter().map(|certificate| RevokedCertParams {
            serial_number: certificate.serial.clone(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("the authority can sign");
        let file = self.folder.path().join(format!("revoked-{number}.pem"));
        std::fs::write(&file, list.pem().expect("a list can be written as PEM")).expect("a list can be written");
        file
    }

    /// Describes a certificate for these names, which are URIs, addresses or DNS names; `make` makes it.
    pub fn certificate(&self, names: &[&str]) -> Wanted<'_> {
        let (uris, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
        let mut params = CertificateParams::new(others.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .expect("the names are names");
        let uri = |uri: &str| SanType::URI(uri.try_into().expect("a URI is ASCII"));
        params.subject_alt_names.extend(uris.into_iter().map(uri));
        params.distinguished_name.push(DnType::CommonName, "a party of the tests");
        Wanted { authority: self, params, name: names.join("+") }
    }
}

/// A certificate that is still to be made.
pub struct Wanted<'a> {
    authority: &'a Authority,
    params: CertificateParams,
    name: String,
}

impl Wanted<'_> {
    pub fn expired(mut self) -> Self {
        (self.params.not_before, self.params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        self
    }

    pub fn until(mut self, year: i32, month: u8, day: u8) -> Self {
        self.params.not_after = date_time_ymd(year, month, day);
        self
    }

    pub fn make(mut self) -> Certificate {
        static MADE: AtomicU64 = AtomicU64::new(1);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let serial = SerialNumber::from(number);
        self.params.serial_number = Some(serial.clone());
        let key = KeyPair::generate().expect("a key can be made");
        let signed = self.params.signed_by(&key, &self.authority.issuer).expect("the authority can sign");
        let folder = self.authority.folder.path();
        let (chain, key_file) = (folder.join(format!("{name}-{number}.pem")), folder.join(format!("{name}-{number}.key")));
        std::fs::write(&chain, signed.pem()).expect("a certificate can be written");
        std::fs::write(&key_file, key.serialize_pem()).expect("a key can be written");
        Certificate { chain, key: key_file, der: signed.der().clone(), serial }
    }
}

/// Another authority, which nobody knows yet.
pub fn authority() -> Authority {
    Authority::make()
}

/// A certificate on disk.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    der: CertificateDer<'static>,
    serial: SerialNumber,
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

    /// What a server needs to show it, and to agree on one of these protocols.
    pub fn server_config_with(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.server_config());
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// What a server needs to show it.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.read();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has every version of TLS").with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key).expect("the key belongs to the certificate"))
    }

    fn read(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_file_iter(&self.chain).and_then(Iterator::collect).expect("the chain was just written");
        (chain, PrivateKeyDer::from_pem_file(&self.key).expect("the key was just written"))
    }

    /// The same for a server that wants to see certificates of this authority, and agrees on one of these protocols.
    pub fn mutual_server_config(&self, authority: &Authority, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let (chain, key) = self.read();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).expect("the authority's certificate is one");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has every version of TLS");
        let builder = builder.with_client_cert_verifier(verifier.expect("there is an authority"));
        let mut config = builder.with_single_cert(chain, key).expect("the key belongs to the certificate");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// Takes the place of another, file by file, as tools that renew certificates do.
    pub fn take_the_place_of(&self, other: &Certificate) {
        for (from, to) in [(&self.chain, &other.chain), (&self.key, &other.key)] {
            crate::proxy::replace(to, &std::fs::read(from).expect("the file is there"));
        }
    }

    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
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
    AUTHORITY.certificate(names).make()
}

/// The same, still to be described.
pub fn describe(names: &[&str]) -> Wanted<'static> {
    AUTHORITY.certificate(names)
}

/// The file of the authority's own certificate, for clients that are other programs.
pub fn authority_file() -> PathBuf {
    AUTHORITY.file()
}

/// A file in which the authority revokes these.
pub fn revoking(certificates: &[&Certificate]) -> PathBuf {
    AUTHORITY.revoking(certificates)
}

/// A client that trusts the authority and offers these protocols.
pub fn client_config(alpn: &[&[u8]]) -> Arc<ClientConfig> {
    client_config_of(rustls::DEFAULT_VERSIONS, alpn)
}

/// The same for some versions of TLS.
pub fn client_config_of(versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
    offering(trusting(versions).with_no_client_auth(), alpn)
}

/// A client that shows a certificate besides.
pub fn client_config_as(shown: &Certificate, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let (chain, key) = shown.read();
    let config = trusting(rustls::DEFAULT_VERSIONS).with_client_auth_cert(chain, key);
    offering(config.expect("the key belongs to the certificate"), alpn)
}

fn trusting(versions: &[&'static SupportedProtocolVersion]) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.issuer.der().clone()).expect("the authority's certificate is one");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    builder.expect("the provider has every version of TLS").with_root_certificates(roots)
}

fn offering(mut config: ClientConfig, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}
