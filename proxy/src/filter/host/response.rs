//! `response`: the head of the answer.

use http::{StatusCode, response};

use crate::exchange::Exchange;
use crate::filter::guest::OutOfPlace;

pub fn head<'a>(exchange: &'a Exchange, function: &'static str) -> Result<&'a response::Parts, OutOfPlace> {
    exchange.response.as_ref().ok_or(OutOfPlace(function, "a response hook"))
}

pub fn head_mut<'a>(exchange: &'a mut Exchange, function: &'static str) -> Result<&'a mut response::Parts, OutOfPlace> {
    exchange.response.as_mut().ok_or(OutOfPlace(function, "a response hook"))
}

/// A final status, for an interim one is no answer.
pub fn final_status(status: u16) -> Result<StatusCode, String> {
    match StatusCode::from_u16(status) {
        Ok(code) if (200..=599).contains(&status) => Ok(code),
        _ => Err(format!("{status} is no status of an answer; expected 200 to 599")),
    }
}
