//! The bytes of a raw connection through the filters that look at them: those made for proxy-wasm, which have a context of it.

use std::sync::Arc;

use bytes::Bytes;

use super::super::Filter;
use super::super::abi::proxy_wasm::Streams;
use super::super::hand::Hand;
use super::{Chain, Shared, Step, Way};

impl Chain {
    /// Whether one of them looks at the bytes.
    pub fn wants_bytes(&self) -> bool {
        self.streams.get().is_some_and(Streams::has_any)
    }

    /// Bytes of one direction, in its order; what goes on in their place.
    pub async fn bytes(&self, record: &Shared, way: Way, mut bytes: Bytes, end: bool) -> Result<Bytes, Step> {
        let mut hand = Hand::new(way.piece(), record, &self.reach);
        for filter in self.looking(way) {
            // Nothing is no news, unless it is the end, or something has waited for a chance to go on.
            if bytes.is_empty() && !end && !self.streams().has_released(filter, way) {
                continue;
            }
            self.enforce(filter, way.call(bytes.clone(), end), &mut hand, None).await?;
            if let Some(replaced) = hand.chunk.take() {
                bytes = replaced;
            }
        }
        Ok(bytes)
    }

    fn looking(&self, way: Way) -> impl Iterator<Item = &Arc<Filter>> {
        let count = self.filters.len();
        let all = (0..count).map(move |step| if way == Way::Request { step } else { count - 1 - step });
        all.filter_map(|index| self.filters.get(index)).filter(|filter| self.streams().has(filter))
    }

    /// A filter holds the connection, and may let it go on for what the client says.
    pub fn holds_connection(&self) -> bool {
        self.streams.get().is_some_and(|streams| streams.holding().is_some())
    }

    /// What the client says meanwhile; nothing: its end.
    pub fn early(&self, bytes: Bytes) {
        if let Some(stream) = self.streams().holding() {
            let end = bytes.is_empty();
            self.streams().client_ended.set(end);
            stream.early(bytes, end);
        }
    }

    /// The client has ended while a filter held the connection.
    pub fn client_ended(&self) -> bool {
        self.streams.get().is_some_and(|streams| streams.client_ended.get())
    }

    /// An endpoint is on the other side.
    pub fn opened(&self) {
        self.streams().each(|stream| stream.ends.upstream.set(true));
    }

    /// A side has ended: by the last one the connection does.
    pub fn ended_by(&self, peer: super::Peer) {
        self.streams().each(|stream| stream.ends.by.set(peer));
    }

    /// A filter has said that the connection is over, and what has gone until then is whole.
    pub fn was_closed(&self) -> bool {
        self.streams.get().is_some_and(Streams::was_closed)
    }
}
