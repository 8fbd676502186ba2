//! The SPIFFE Workload API: an agent on this machine says who the proxy is, and says so again whenever that changes.
//!
//! What it says is written into a folder, as three files that listeners and clusters name like any others. So there is one way
//! in which certificates are read and renewed, and a proxy that starts while the agent does not answer has those from before.

use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::config::Spiffe;

/// The files, in the order in which they are written: whoever sees the certificate finds the rest.
const BUNDLE: &str = "bundle.pem";
const KEY: &str = "svid.key";
const CHAIN: &str = "svid.pem";
/// One message: bundles of many authorities are some 100 KiB.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// How often an agent is asked that does not answer at a start.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long an agent that went away is left alone, the first time and at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// An agent that says nothing for hours is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// Why it is not known who the proxy is.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    #[error("cannot connect to `{socket}`: {source}")]
    Connect { socket: String, source: io::Error },
    #[error("the call failed: {0}")]
    Call(#[from] hyper::Error),
    #[error("it answered {0}")]
    Answer(String),
    #[error("what it says cannot be read: {0}")]
    Message(String),
    #[error("cannot write `{path}`: {source}")]
    Write { path: String, source: io::Error },
    #[error("it said nothing within {0:?}")]
    Late(Duration),
}

/// `X509SVIDResponse` of workload.proto, as far as it is read.
#[derive(Clone, PartialEq, Message)]
struct Said {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Svid>,
}

#[derive(Clone, PartialEq, Message)]
struct Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    /// Certificates in DER, one behind the other, the own one first.
    #[prost(bytes = "vec", tag = "2")]
    chain: Vec<u8>,
    /// PKCS#8, in DER.
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
    /// The authorities of the trust domain, one behind the other.
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
}

/// Waits for the first answer, and writes it. Files of an earlier time will do if there is none.
pub async fn first(config: &Spiffe) -> Result<(), WorkloadError> {
    let mut why = WorkloadError::Late(config.wait);
    let known = tokio::time::timeout(config.wait, async {
        // The agent may be starting as well.
        while let Err(error) = once(config).await {
            why = error;
            tokio::time::sleep(ASK_AGAIN).await;
        }
    });
    if known.await.is_ok() {
        return Ok(());
    }
    if [BUNDLE, KEY, CHAIN].iter().all(|name| config.directory.join(name).exists()) {
        tracing::warn!(error = %why, "the SPIFFE Workload API does not say who the proxy is; what it said before holds");
        return Ok(());
    }
    Err(why)
}

async fn once(config: &Spiffe) -> Result<(), WorkloadError> {
    let mut stream = Stream::open(&config.socket).await?;
    write(&stream.next().await?, &config.directory)
}

/// Writes everything that it says, for ever.
pub async fn follow(config: Spiffe) {
    let (mut pause, mut failing) = (RETRY, false);
    loop {
        let Err(error) = listen(&config, || {
            pause = RETRY;
            if std::mem::take(&mut failing) {
                tracing::info!("the SPIFFE Workload API answers again");
            }
        })
        .await;
        if !std::mem::replace(&mut failing, true) {
            tracing::warn!(%error, "the SPIFFE Workload API has gone away; what it said before holds");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

async fn listen(config: &Spiffe, mut heard: impl FnMut()) -> Result<Infallible, WorkloadError> {
    let mut stream = Stream::open(&config.socket).await?;
    loop {
        let said = stream.next().await?;
        write(&said, &config.directory)?;
        heard();
    }
}

/// The answers to one call.
struct Stream {
    body: Incoming,
    read: BytesMut,
    /// What drives the connection ends with it.
    _driver: JoinSet<()>,
}

impl Stream {
    async fn open(socket: &Path) -> Result<Self, WorkloadError> {
        let connected = UnixStream::connect(socket).await;
        let stream = connected.map_err(|source| WorkloadError::Connect { socket: socket.display().to_string(), source })?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_while_idle(true);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        let response = sender.send_request(request()).await?;
        if response.status() != StatusCode::OK {
            return Err(WorkloadError::Answer(response.status().to_string()));
        }
        refused(response.headers())?;
        Ok(Self { body: response.into_body(), read: BytesMut::new(), _driver: driver })
    }

    /// The next message; it is for the agent never to end the call.
    async fn next(&mut self) -> Result<Said, WorkloadError> {
        loop {
            if let Some(message) = message(&mut self.read)? {
                return Said::decode(message).map_err(|error| WorkloadError::Message(error.to_string()));
            }
            let frame = match self.body.frame().await {
                None => return Err(WorkloadError::Answer("and ended the call".to_owned())),
                Some(frame) => frame?,
            };
            match frame.into_data() {
                Ok(data) => self.read.extend_from_slice(&data),
                Err(frame) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        refused(trailers)?;
                    }
                }
            }
        }
    }
}

/// `FetchX509SVID` with an empty message.
fn request() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::from(Bytes::from_static(&[0; PREFIX])));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = http::Uri::from_static("http://localhost/SpiffeWorkloadAPI/FetchX509SVID");
    let fields = request.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert(TE, HeaderValue::from_static("trailers"));
    // Whoever makes an agent's machine send requests for him cannot set it.
    fields.insert("workload.spiffe.io", HeaderValue::from_static("true"));
    request
}

fn refused(fields: &HeaderMap) -> Result<(), WorkloadError> {
    let text = |name| fields.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status") {
        None => Ok(()),
        Some(status) if status == "0" => Ok(()),
        Some(status) => Err(WorkloadError::Answer(format!("gRPC status {status}: {}", text("grpc-message").unwrap_or_default()))),
    }
}

/// The flag and the length before each message of gRPC.
const PREFIX: usize = 5;

fn message(read: &mut BytesMut) -> Result<Option<Bytes>, WorkloadError> {
    let Some(prefix) = read.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if prefix[0] != 0 || length > MESSAGE_BYTES_MAX {
        return Err(WorkloadError::Message(format!("a message of {length} bytes, or a compressed one")));
    }
    if read.len() < PREFIX + length {
        return Ok(None);
    }
    read.advance(PREFIX);
    Ok(Some(read.split_to(length).freeze()))
}

/// The first identity is the default one; files that are right already are left alone.
fn write(said: &Said, directory: &Path) -> Result<(), WorkloadError> {
    let Some(svid) = said.svids.first() else { return Err(WorkloadError::Message("it names no identity".to_owned())) };
    let files = [
        (BUNDLE, pem("CERTIFICATE", certificates(&svid.bundle)?)),
        (KEY, pem("PRIVATE KEY", vec![&svid.key])),
        (CHAIN, pem("CERTIFICATE", certificates(&svid.chain)?)),
    ];
    let mut changed = false;
    for (name, text) in &files {
        let path = directory.join(name);
        let is_ours = fs::metadata(&path).is_ok_and(|found| found.permissions().mode() & 0o077 == 0);
        if is_ours && fs::read(&path).is_ok_and(|present| present == text.as_bytes()) {
            continue;
        }
        changed = true;
        let written = replace(&path, text.as_bytes());
        written.map_err(|source| WorkloadError::Write { path: path.display().to_string(), source })?;
    }
    if changed {
        tracing::info!(identity = svid.spiffe_id, "the SPIFFE Workload API says who the proxy is");
    }
    Ok(())
}

/// A whole file in the place of another, for nobody else to read.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let _ = fs::remove_file(&next);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?.write_all(content)?;
    fs::rename(&next, path)
}

/// Those that stand one behind the other.
fn certificates(mut der: &[u8]) -> Result<Vec<&[u8]>, WorkloadError> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, _) = X509Certificate::from_der(der).map_err(|error| WorkloadError::Message(error.to_string()))?;
        found.push(&der[..der.len() - rest.len()]);
        der = rest;
    }
    if found.is_empty() { Err(WorkloadError::Message("a certificate is missing".to_owned())) } else { Ok(found) }
}

/// RFC 7468.
fn pem<D: AsRef<[u8]>>(label: &str, items: Vec<D>) -> String {
    let mut text = String::new();
    for item in items {
        text.push_str(&format!("-----BEGIN {label}-----\n"));
        for line in item.as_ref().chunks(48) {
            STANDARD.encode_string(line, &mut text);
            text.push('\n');
        }
        text.push_str(&format!("-----END {label}-----\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_pieces() {
        let mut read = BytesMut::from(&[0, 0, 0, 0, 2, b'a'][..]);
        assert_eq!(message(&mut read).expect("sound"), None);
        read.extend_from_slice(&[b'b', 0, 0, 0, 0, 0]);
        assert_eq!(message(&mut read).expect("sound").as_deref(), Some(&b"ab"[..]));
        assert_eq!(message(&mut read).expect("sound").as_deref(), Some(&b""[..]));
        read.extend_from_slice(&[0, 0xff, 0, 0, 0]);
        assert!(message(&mut read).is_err());
        assert!(message(&mut BytesMut::from(&[1, 0, 0, 0, 0][..])).is_err(), "compressed");
    }

    #[test]
    fn what_is_no_certificate_is_not_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let svid = Svid { spiffe_id: "spiffe://a/b".into(), chain: b"x".to_vec(), key: Vec::new(), bundle: b"x".to_vec() };
        for svids in [vec![], vec![svid]] {
            write(&Said { svids }, folder.path()).expect_err("nothing to write");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
