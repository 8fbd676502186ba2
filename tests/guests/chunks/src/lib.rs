//! Changes bodies piece by piece, as `x-request-chunks` and `x-response-chunks` say, and counts the pieces. A piece with `RESET`
//! in it resets the exchange.

use tamis_sdk::prelude::*;

struct Chunks;

impl Filter for Chunks {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Chunks)
    }
}

impl RequestChunkHook for Chunks {
    fn on_request_chunk(&self, request: &mut Request, chunk: Chunk) -> ChunkVerdict {
        count(&mut request.notes(), "chunks.request", &chunk);
        pass(request.header("x-request-chunks"), chunk)
    }
}

impl ResponseHook for Chunks {
    fn on_response(&self, response: &mut Response) -> Verdict {
        if let Some(seen) = response.notes().get("chunks.request") {
            response.set_header("x-request-chunks-seen", seen).expect("a plain field");
        }
        Verdict::Next
    }
}

impl ResponseChunkHook for Chunks {
    fn on_response_chunk(&self, response: &mut Response, chunk: Chunk) -> ChunkVerdict {
        count(&mut response.notes(), "chunks.response", &chunk);
        pass(response.request().header("x-response-chunks"), chunk)
    }
}

tamis_sdk::export!(Chunks: request_chunk, response, response_chunk);

/// `BYTES bytes in PIECES pieces`, and `, ended` once the end was told: notes, because each hook may meet another instance.
fn count(notes: &mut Notes, key: &str, chunk: &Chunk) {
    let before = notes.get(key).unwrap_or_default();
    let mut numbers = before.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let bytes = numbers.next().unwrap_or(0) + chunk.bytes.len() as u64;
    let pieces = numbers.next().unwrap_or(0) + 1;
    let ended = if chunk.end { ", ended" } else { "" };
    notes.set(key, &format!("{bytes} bytes in {pieces} pieces{ended}"));
}

fn pass(how: Option<HeaderValue>, chunk: Chunk) -> ChunkVerdict {
    const MARKER: &[u8] = b"RESET";
    if chunk.bytes.windows(MARKER.len()).any(|window| window == MARKER) {
        return ChunkVerdict::Reset;
    }
    match how.as_ref().map(HeaderValue::as_bytes) {
        Some(b"upper") => ChunkVerdict::Replace(chunk.bytes.to_ascii_uppercase()),
        Some(b"double") => ChunkVerdict::Replace(chunk.bytes.repeat(2)),
        Some(b"half") => ChunkVerdict::Replace(chunk.bytes[..chunk.bytes.len() / 2].to_vec()),
        Some(b"drop") => ChunkVerdict::Replace(Vec::new()),
        Some(b"sign") if chunk.end => ChunkVerdict::Replace([&chunk.bytes, b"-- signed".as_slice()].concat()),
        _ => ChunkVerdict::Keep,
    }
}
