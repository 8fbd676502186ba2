//! Where a Redis is.

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::types::RedisUrl;

const EXPECTED: &str =
    "\"redis://host:port\" or \"rediss://host:port\", with user and password before the host and a database after it";

/// A URL with the scheme `redis`, or `rediss` for TLS.
pub struct RedisNode;

impl Kind for RedisNode {
    type Value = RedisUrl;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn takes(&self) -> String {
        "a URL such as \"redis://user:password@10.0.0.1:6379/0\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<RedisUrl> {
        let Some(text) = node.as_str() else { return reader.mismatch(EXPECTED, node) };
        let Some((_, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "redis" | "rediss")) else {
            return reader.mismatch(EXPECTED, node);
        };
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        let host = place.rsplit('@').next().unwrap_or_default();
        if host.is_empty() || host.starts_with(':') || text.contains(char::is_whitespace) {
            return reader.mismatch(EXPECTED, node);
        }
        match parse(text) {
            Ok(()) => Some(RedisUrl(text.to_owned())),
            Err(why) => reader.mismatch_with_help(EXPECTED, node, why),
        }
    }

    fn show(&self, value: &RedisUrl) -> String {
        format!("\"{value:?}\"")
    }
}

/// What the client itself makes of it.
#[cfg(feature = "redis")]
fn parse(text: &str) -> Result<(), String> {
    redis::IntoConnectionInfo::into_connection_info(text).map(drop).map_err(|error| error.to_string())
}

#[cfg(not(feature = "redis"))]
fn parse(_: &str) -> Result<(), String> {
    Ok(())
}
