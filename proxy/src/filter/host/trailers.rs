//! Trailers, in the hook that has them.

use crate::filter::hand::{InHand, Trailers};

use super::fields::{self, Joined};

const ELSEWHERE: &str = "there are no trailers outside of their hook";

/// `request.trailer`
pub fn of_request(hand: &InHand, name: &str) -> Option<Joined> {
    match &hand.trailers {
        Some(Trailers::Request(trailers)) => fields::joined(trailers, name),
        _ => None,
    }
}

/// `response.trailer`
pub fn of_response(hand: &InHand, name: &str) -> Option<Joined> {
    match &hand.trailers {
        Some(Trailers::Response(trailers)) => fields::joined(trailers, name),
        _ => None,
    }
}

/// `request.set-trailer`
pub fn set_of_request(hand: &mut InHand, name: &str, value: &[u8]) -> Result<(), String> {
    match &mut hand.trailers {
        Some(Trailers::Request(trailers)) => fields::set(trailers, name, value),
        _ => Err(ELSEWHERE.to_owned()),
    }
}

/// `response.set-trailer`
pub fn set_of_response(hand: &mut InHand, name: &str, value: &[u8]) -> Result<(), String> {
    match &mut hand.trailers {
        Some(Trailers::Response(trailers)) => fields::set(trailers, name, value),
        _ => Err(ELSEWHERE.to_owned()),
    }
}
