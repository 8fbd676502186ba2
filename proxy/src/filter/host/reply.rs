//! `reply`: the answer a filter gives itself.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{fields, response};
use crate::exchange::Reply;
use crate::filter::hand::InHand;

/// Bytes of a reply's body: an error page, not a download.
pub const REPLY_BYTES_MAX: usize = 1 << 20;

/// `set`
pub fn set<'a>(
    hand: &mut InHand,
    status: u16,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: Vec<u8>,
) -> Result<(), String> {
    let status = response::final_status(status)?;
    if body.len() > REPLY_BYTES_MAX {
        return Err(format!("the body has {} bytes, expected at most {REPLY_BYTES_MAX}", body.len()));
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        fields::add(&mut map, name, value)?;
    }
    hand.reply = Some(Reply { status, headers: map, body: Bytes::from(body) });
    Ok(())
}

/// `set-grpc`: an answer of trailers only, which every gRPC client understands.
pub fn set_grpc(hand: &mut InHand, status: u32, message: &str) {
    hand.reply = Some(Reply { status: StatusCode::OK, headers: grpc_fields(status, message), body: Bytes::new() });
}

/// The fields of a gRPC answer without a message.
pub fn grpc_fields(status: u32, message: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(status));
    if !message.is_empty()
        && let Ok(message) = HeaderValue::from_str(&percent_encoded(message))
    {
        headers.insert("grpc-message", message);
    }
    headers
}

/// The encoding of grpc-message: everything but printable ASCII without `%` (gRPC over HTTP/2, "Status-Message").
fn percent_encoded(message: &str) -> String {
    use std::fmt::Write;
    message.bytes().fold(String::with_capacity(message.len()), |mut text, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_message_survives_any_text() {
        let fields = grpc_fields(14, "ünavailable 100%\n");
        assert_eq!(fields["grpc-message"], "%C3%BCnavailable 100%25%0A");
        assert_eq!(fields["grpc-status"], "14");
    }
}
