//! How the exchange went.

use crate::testing::hand::{Ended, Hand, Phase, with};

pub struct MirrorResult {
    pub status: u16,
    pub body_hash: u64,
    pub duration_us: u64,
}

fn with_outcome<T>(call: impl FnOnce(&Hand, &Ended) -> T) -> T {
    with(|hand| {
        assert!(hand.phase == Phase::Complete, "trap: there is an outcome only in the complete hook");
        call(hand, &hand.ended)
    })
}

pub fn status() -> u16 {
    with_outcome(|_, ended| ended.status)
}

pub fn request_bytes() -> u64 {
    with_outcome(|_, ended| ended.request_bytes)
}

pub fn response_bytes() -> u64 {
    with_outcome(|_, ended| ended.response_bytes)
}

pub fn duration_us() -> u64 {
    with_outcome(|_, ended| ended.duration.as_micros() as u64)
}

pub fn upstream() -> Option<String> {
    with_outcome(|_, ended| ended.upstream.clone())
}

pub fn attempts() -> u32 {
    with_outcome(|_, ended| ended.attempts)
}

pub fn failure() -> Option<String> {
    with_outcome(|_, ended| ended.failure.clone())
}

pub fn mirrored_headers(id: u32, name: &str) -> Vec<Vec<u8>> {
    with_outcome(|hand, ended| {
        let Some((cluster, ..)) = hand.goal.mirrors.get(id as usize) else { return Vec::new() };
        let of_cluster = ended.mirrored_headers.iter().filter(|(known, ..)| known == cluster);
        let named = of_cluster.filter(|(_, field, _)| field.as_str().eq_ignore_ascii_case(name));
        named.map(|(_, _, value)| value.as_bytes().to_vec()).collect()
    })
}

pub fn mirrored(id: u32) -> Option<MirrorResult> {
    with_outcome(|hand, ended| {
        let (cluster, ..) = hand.goal.mirrors.get(id as usize)?;
        let (_, result) = ended.mirrored.iter().find(|(known, _)| known == cluster)?;
        Some(MirrorResult {
            status: result.status.map_or(0, |status| status.as_u16()),
            body_hash: result.body_hash,
            duration_us: result.duration.as_micros() as u64,
        })
    })
}
