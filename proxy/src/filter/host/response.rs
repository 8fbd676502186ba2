//! `response`: the head of the answer.

use http::{StatusCode, response};

use crate::filter::OutOfPlace;
use crate::filter::hand::InHand;

const PLACE: &str = "a response hook";

/// Looks at the head, which there is from the response phase on.
pub fn look<T>(hand: &InHand, function: &'static str, job: impl FnOnce(&response::Parts) -> T) -> Result<T, OutOfPlace> {
    let exchange = hand.exchange.as_ref().ok_or(OutOfPlace(function, PLACE))?.borrow();
    exchange.response.as_ref().map(job).ok_or(OutOfPlace(function, PLACE))
}

/// Changes the head. When the client has it already, only later hooks see the change.
pub fn change<T>(hand: &InHand, function: &'static str, job: impl FnOnce(&mut response::Parts) -> T) -> Result<T, OutOfPlace> {
    let mut exchange = hand.exchange.as_ref().ok_or(OutOfPlace(function, PLACE))?.borrow_mut();
    exchange.response.as_mut().map(job).ok_or(OutOfPlace(function, PLACE))
}

/// `origin`
pub fn origin(hand: &InHand) -> Result<&'static str, OutOfPlace> {
    look(hand, "origin", |_| ())?;
    let exchange = hand.exchange.as_ref().ok_or(OutOfPlace("origin", PLACE))?;
    Ok(exchange.borrow().origin.reason())
}

/// `set-status`
pub fn set_status(head: &mut response::Parts, status: u16) -> Result<(), String> {
    head.status = final_status(status)?;
    Ok(())
}

/// A final status, for an interim one is no answer.
pub fn final_status(status: u16) -> Result<StatusCode, String> {
    match StatusCode::from_u16(status) {
        Ok(code) if (200..=599).contains(&status) => Ok(code),
        _ => Err(format!("{status} is no status of an answer; expected 200 to 599")),
    }
}
