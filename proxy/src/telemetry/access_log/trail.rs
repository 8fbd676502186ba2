//! What an exchange did on its way, as a line tells it: the hooks of filters and the attempts upstream.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::ser::{Serialize, SerializeSeq, Serializer};

/// Tells of each, in the order in which they began, without copying.
pub trait Trail: fmt::Debug {
    fn each_hook(&self, tell: &mut dyn FnMut(&HookStep<'_>));
    fn each_attempt(&self, tell: &mut dyn FnMut(&AttemptStep<'_>));
}

/// A hook of a filter; all pieces of one body are one.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct HookStep<'a> {
    pub filter: &'a str,
    pub hook: &'a str,
    /// A verdict, `tripped`, `given-up`, or the kind of a fault.
    pub result: &'a str,
    #[serde(rename = "us", serialize_with = "micros")]
    pub took: Duration,
}

/// One go at one endpoint.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct AttemptStep<'a> {
    pub cluster: &'a str,
    pub endpoint: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    #[serde(rename = "us", serialize_with = "micros")]
    pub took: Duration,
}

fn micros<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
}

/// The hooks of a trail, as a list.
#[derive(Clone, Copy)]
pub struct Hooks<'a>(pub &'a dyn Trail);

/// The attempts of a trail, as a list.
#[derive(Clone, Copy)]
pub struct Attempts<'a>(pub &'a dyn Trail);

impl Serialize for Hooks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut list, mut told) = (serializer.serialize_seq(None)?, Ok(()));
        self.0.each_hook(&mut |step| {
            if told.is_ok() {
                told = list.serialize_element(step);
            }
        });
        told.and_then(|()| list.end())
    }
}

impl Serialize for Attempts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut list, mut told) = (serializer.serialize_seq(None)?, Ok(()));
        self.0.each_attempt(&mut |step| {
            if told.is_ok() {
                told = list.serialize_element(step);
            }
        });
        told.and_then(|()| list.end())
    }
}

/// `acl/request=next,quota/request=replied`
impl fmt::Display for Hooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut between, mut told) = ("", Ok(()));
        self.0.each_hook(&mut |step| {
            if told.is_ok() {
                told = write!(f, "{between}{}/{}={}", step.filter, step.hook, step.result);
                between = ",";
            }
        });
        told
    }
}

/// `10.0.0.1:80=503,10.0.0.2:80=200`
impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut between, mut told) = ("", Ok(()));
        self.0.each_attempt(&mut |step| {
            if told.is_ok() {
                told = match step.status {
                    Some(status) => write!(f, "{between}{}={status}", step.endpoint),
                    None => write!(f, "{between}{}={}", step.endpoint, step.reason.unwrap_or_default()),
                };
                between = ",";
            }
        });
        told
    }
}
