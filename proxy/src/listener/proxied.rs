//! The PROXY protocol on the way in: a peer that is trusted says who its client is, before anything else.

use std::net::SocketAddr;

use tokio::time::{Instant, timeout_at};

use super::handshake::Client;
use super::unmapped;
use crate::config::{Listener, ProxyHeaders};
use crate::exchange::Connection;
use crate::exchange::proxy_header::{Addresses, Parsed, parse};

/// Reads the header, if there is to be one. `Err` says what is wrong; false: the peer came and went without a word.
pub async fn introduce(stream: &mut Client, connection: &mut Connection, config: &Listener) -> Result<bool, String> {
    let required = match config.proxy_protocol {
        ProxyHeaders::Off => return Ok(true),
        ProxyHeaders::Optional if !connection.trusted => return Ok(true),
        ProxyHeaders::Required if !connection.trusted => {
            return Err(format!(
                "expected a PROXY header, which only trusted peers may send, and {} is none",
                connection.peer.ip()
            ));
        }
        ProxyHeaders::Optional => false,
        ProxyHeaders::Required => true,
    };
    let limit = config.timeouts.proxy_header;
    let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
    loop {
        match parse(stream.seen(), config.limits.proxy_header_bytes) {
            Parsed::Header(length, addresses) => {
                stream.drop_first(length);
                if let Some(addresses) = addresses {
                    adopt(connection, addresses, config);
                }
                return Ok(true);
            }
            Parsed::NotOne if required => return Err("expected a PROXY header, found something else".to_owned()),
            Parsed::NotOne => return Ok(true),
            Parsed::Wrong(why) => return Err(format!("the PROXY header is wrong: {why}")),
            Parsed::More => {}
        }
        let read = match deadline {
            Some(deadline) => timeout_at(deadline, stream.see_more()).await,
            None => Ok(stream.see_more().await),
        };
        match read {
            // What is no header by now is none, where there need not be any.
            Err(_) if !required && stream.seen().is_empty() => return Ok(true),
            Err(_) => return Err("the PROXY header did not arrive in time".to_owned()),
            Ok(Ok(0)) if stream.seen().is_empty() => return Ok(false),
            // What has come is for whoever comes next.
            Ok(Ok(0)) if !required => return Ok(true),
            Ok(Ok(0)) => return Err("the connection ended within its PROXY header".to_owned()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("the PROXY header cannot be read: {error}")),
        }
    }
}

/// From now on it is a connection of that client: what the client claims of others is judged by its own address.
fn adopt(connection: &mut Connection, addresses: Addresses, config: &Listener) {
    let Addresses { source, destination } = addresses;
    let (source, destination): (SocketAddr, SocketAddr) = (unmapped(source), unmapped(destination));
    connection.trusted = config.trusted.iter().any(|range| range.contains(&source.ip()));
    connection.proxied = Some(Addresses { source, destination });
}
