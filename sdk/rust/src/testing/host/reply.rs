//! A filter's own answer.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Field;
use crate::testing::body::Body;
use crate::testing::hand::{ResponseHead, with_exchange};
use crate::testing::rules;

pub fn set(status: u16, fields: &[Field], body: &[u8]) -> Result<(), String> {
    let status = rules::status(status)?;
    let mut headers = HeaderMap::new();
    for field in fields {
        let (name, value) = rules::field(&field.name, &field.value)?;
        headers.append(name, value);
    }
    if body.len() > REPLY_BYTES_MAX {
        return Err(format!("the body has {} bytes, expected at most {REPLY_BYTES_MAX}", body.len()));
    }
    offer(status, headers, body);
    Ok(())
}

pub fn set_grpc(status: u32, message: &str) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(status));
    if !message.is_empty()
        && let Ok(message) = HeaderValue::from_str(&rules::percent_encoded(message))
    {
        headers.insert("grpc-message", message);
    }
    offer(StatusCode::OK, headers, &[]);
}

const REPLY_BYTES_MAX: usize = 1 << 20;

fn offer(status: StatusCode, headers: HeaderMap, body: &[u8]) {
    let (origin, body) = ("filter".to_owned(), Body::whole(body.to_vec()));
    let reply = ResponseHead { status, origin, headers, body, trailers: HeaderMap::new() };
    with_exchange(|hand| hand.reply = Some(reply));
}
