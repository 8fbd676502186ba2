//! Speaks to the admin of a running proxy: one request on one connection. It knows HTTP and no command.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

const CONNECT: Duration = Duration::from_secs(5);
/// Sending a module over a slow line, compiling it, and what waits before it.
const ANSWER: Duration = Duration::from_secs(600);
/// The list of thousands of filters with their histories.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("--admin: expected http://127.0.0.1:9901 or the like, or unix: and the path of a socket, found `{0}`")]
    Address(String),
    #[error("cannot read the token in `{path}`: {source}")]
    Token { path: PathBuf, source: std::io::Error },
    #[error("the token in `{0}` is none that fits into a header")]
    TokenText(PathBuf),
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("cannot connect to {0} within 5 seconds")]
    ConnectTime(String),
    #[error("{0} did not answer within 10 minutes; whether it did what was asked shows `tamis filter list`")]
    AnswerTime(String),
    #[error("{0} did not answer as a proxy's admin does: {1}")]
    Http(String, String),
    /// What the proxy itself says.
    #[error("{error}")]
    Refused { status: StatusCode, error: String, answer: Box<Value> },
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    /// Host and port, or what stands for them.
    authority: String,
    /// The socket of the file system, where it is one.
    socket: Option<PathBuf>,
    token: Option<String>,
}

/// What the socket of the file system is asked as.
const SOCKET_HOST: &str = "localhost";

impl Client {
    pub fn build(admin: &str, token_file: Option<&Path>) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(admin.to_owned());
        let token = token_file.map(read_token).transpose()?;
        if let Some(path) = admin.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self { authority: SOCKET_HOST.to_owned(), socket: Some(path.into()), token });
        }
        let uri: Uri = admin.parse().map_err(|_| wrong())?;
        let plain = uri.scheme_str() == Some("http") && uri.path_and_query().is_none_or(|path| path == "/");
        let authority = uri.authority().filter(|authority| plain && !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(80);
        let authority = format!("{}:{port}", authority.host());
        Ok(Self { authority, socket: None, token })
    }

    /// What the admin answers, where it is a yes.
    pub fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, ClientError> {
        let no_runtime = |error: std::io::Error| ClientError::Http(self.place(), error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
        runtime.block_on(async {
            let asking = tokio::time::timeout(ANSWER, self.exchange(method, path, body));
            asking.await.map_err(|_| ClientError::AnswerTime(self.place()))?
        })
    }

    /// Where it is, for people.
    fn place(&self) -> String {
        self.socket.as_ref().map_or_else(|| self.authority.clone(), |path| path.display().to_string())
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Value, ClientError> {
        let (answer, connection) = self.send(method, path, &[], body).await?;
        let answer = self.whole(answer).await;
        connection.abort();
        answer
    }

    /// Sends a request, and waits for the head of its answer. The body comes while the task runs.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(Response<Incoming>, JoinHandle<()>), ClientError> {
        let odd = |error: hyper::Error| ClientError::Http(self.place(), error.to_string());
        let connected = async {
            match &self.socket {
                Some(path) => self.handshake(UnixStream::connect(path).await).await,
                None => self.handshake(TcpStream::connect(&self.authority).await).await,
            }
        };
        let connected = tokio::time::timeout(CONNECT, connected).await;
        let (mut sender, connection) = connected.map_err(|_| ClientError::ConnectTime(self.place()))??;
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| ClientError::Http(self.place(), error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(odd)?;
        Ok((answer, connection))
    }

    async fn handshake<S>(&self, stream: std::io::Result<S>) -> Result<(SendRequest<Full<Bytes>>, JoinHandle<()>), ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = stream.map_err(|error| ClientError::Connect(self.place(), error))?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| ClientError::Http(self.place(), error.to_string()))?;
        Ok((sender, tokio::spawn(async { drop(connection.await) })))
    }

    /// It did not behave as a proxy's admin does.
    pub fn odd(&self, what: &str) -> ClientError {
        ClientError::Http(self.place(), what.to_owned())
    }

    /// The whole answer, where it is a yes.
    pub async fn whole(&self, answer: Response<Incoming>) -> Result<Value, ClientError> {
        let to = || self.place();
        let status = answer.status();
        let is_json = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| ClientError::Http(to(), error.to_string()))?.to_bytes();
        let odd = || ClientError::Http(to(), format!("{status}, {} bytes that are no JSON of its own", body.len()));
        let value: Value = if is_json { serde_json::from_slice(&body).map_err(|_| odd())? } else { return Err(odd()) };
        if status.is_success() {
            return Ok(value);
        }
        let error = value["error"].as_str().map_or_else(|| value.to_string(), str::to_owned);
        Err(ClientError::Refused { status, error, answer: Box::new(value) })
    }
}

fn read_token(file: &Path) -> Result<String, ClientError> {
    let mut token = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut token))
        .map_err(|source| ClientError::Token { path: file.to_owned(), source })?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ClientError::TokenText(file.to_owned()));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let authority = |admin| Client::build(admin, None).map(|client| client.authority).ok();
        assert_eq!(authority("http://127.0.0.1:9901").as_deref(), Some("127.0.0.1:9901"));
        assert_eq!(authority("http://[::1]:9901/").as_deref(), Some("[::1]:9901"));
        assert_eq!(authority("http://tamis").as_deref(), Some("tamis:80"));
        let socket = Client::build("unix:/run/tamis.sock", None).expect("an address").socket;
        assert_eq!(socket.as_deref(), Some(Path::new("/run/tamis.sock")));
        for wrong in ["unix:", "127.0.0.1:9901", "https://tamis:1", "http://tamis/filters", "http://a@b", "", "http://"] {
            assert_eq!(authority(wrong), None, "{wrong}");
        }
    }
}
