//! Calls to other services, which a test scripts.

use super::Field;
use crate::testing::call::Call;
use crate::testing::hand::with_process;

/// Calls of one `send-all`.
const CALLS_MAX: usize = 64;

#[derive(Debug, Clone)]
pub struct Outgoing {
    pub cluster: String,
    pub method: String,
    pub target: String,
    pub authority: Option<String>,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
    pub timeout_ms: u32,
}

#[derive(Debug, Clone)]
pub struct Incoming {
    pub status: u16,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    NotAllowed,
    NoSuchCluster,
    NoHealthyEndpoint,
    Timeout,
    Reset,
    TooLarge,
    Protocol,
}

impl From<crate::http_client::Error> for Error {
    fn from(error: crate::http_client::Error) -> Self {
        use crate::http_client::Error as Told;
        match error {
            Told::NotAllowed => Error::NotAllowed,
            Told::NoSuchCluster => Error::NoSuchCluster,
            Told::NoHealthyEndpoint => Error::NoHealthyEndpoint,
            Told::Timeout => Error::Timeout,
            Told::Reset => Error::Reset,
            Told::TooLarge => Error::TooLarge,
            Told::Protocol => Error::Protocol,
        }
    }
}

/// A cluster that the test does not script is one that the filter is not granted.
pub fn send(request: &Outgoing) -> Result<Incoming, Error> {
    let service = with_process(|process| process.services.get(&request.cluster).cloned());
    let service = service.ok_or(Error::NotAllowed)?;
    let call = Call::sent(request).ok_or(Error::Protocol)?;
    let answer = service(&call);
    with_process(|process| process.calls.push(call));
    Ok(answer?.crossing())
}

pub fn send_all(requests: &[Outgoing]) -> Vec<Result<Incoming, Error>> {
    requests.iter().enumerate().map(|(at, request)| if at < CALLS_MAX { send(request) } else { Err(Error::TooLarge) }).collect()
}
