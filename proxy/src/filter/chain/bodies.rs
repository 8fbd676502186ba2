//! Bodies and trailers: piece by piece through all filters that want them.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

use super::super::abi::Call;
use super::super::hand::{Hand, Trailers};
use super::super::{Filter, Hook};
use super::{Chain, Shared, Step, Way};

/// What filters do with the pieces of a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pieces {
    /// One wants them.
    pub wanted: bool,
    /// One may put others in their place, and the length is another one then.
    pub replaced: bool,
    /// The same, but it says so in the head.
    pub shared: bool,
}

impl Way {
    /// The hook for the pieces of its body.
    fn piece(self) -> Hook {
        match self {
            Way::Request => Hook::RequestChunk,
            Way::Response => Hook::ResponseChunk,
        }
    }

    pub(super) fn call(self, piece: Bytes, end: bool) -> Call {
        match self {
            Way::Request => Call::RequestChunk(piece, end),
            Way::Response => Call::ResponseChunk(piece, end),
        }
    }
}

impl Chain {
    /// A piece of a body through all filters that want it; what goes on in its place.
    pub async fn chunk(&self, record: &Shared, way: Way, chunk: Bytes, end: bool) -> Result<Bytes, Step> {
        let mut hand = Hand::new(way.piece(), record, &self.reach);
        let mut chunk = chunk;
        for filter in self.passing(way, &[way.piece()]) {
            // Nothing is no news, unless it is the end, or something has waited for a chance to go on.
            if chunk.is_empty() && !end && !self.streams().has_released(filter, way) {
                continue;
            }
            chunk = self.pieces(filter, way, chunk, end, &mut hand).await?;
        }
        Ok(chunk)
    }

    /// Trailers through all filters that want them; and what of the body goes before them, where one has kept it back.
    pub async fn trailers(&self, record: &Shared, way: Way, trailers: HeaderMap) -> Result<(Bytes, HeaderMap), Step> {
        let mut hand = Hand::new(Hook::Trailers, record, &self.reach);
        let (call, wrapped) = match way {
            Way::Request => (Call::RequestTrailers, Trailers::Request(trailers)),
            Way::Response => (Call::ResponseTrailers, Trailers::Response(trailers)),
        };
        hand.trailers = Some(wrapped);
        let mut before = Bytes::new();
        for filter in self.passing(way, &[way.piece(), Hook::Trailers]) {
            // What one has kept back until now goes through the others first.
            if !before.is_empty() && filter.wants(way.piece()) {
                before = self.pieces(filter, way, before, false, &mut hand).await?;
            }
            if filter.wants(Hook::Trailers) {
                self.step(filter, call.clone(), &mut hand).await?;
                if let Some(more) = hand.chunk.take() {
                    before = [before, more].concat().into();
                }
            }
        }
        let trailers = match hand.trailers.take() {
            Some(Trailers::Request(trailers) | Trailers::Response(trailers)) => trailers,
            None => HeaderMap::new(),
        };
        Ok((before, trailers))
    }

    /// Ready when something of a body may go on that has waited: an empty piece takes it along.
    pub fn poll_released(&self, context: &mut Context<'_>, way: Way) -> Poll<()> {
        self.streams().poll_released(context, way)
    }

    /// Trailers have come: the end of the body is not that of the message.
    pub fn trailers_follow(&self, way: Way) {
        self.trailers_follow[way as usize].set(true);
    }

    /// Whether something has to look at what passes.
    pub fn wants_body(&self, way: Way) -> bool {
        self.passing(way, &[way.piece(), Hook::Trailers]).next().is_some()
    }

    /// What filters do with the pieces of a body.
    pub fn wants_chunks(&self, way: Way) -> Pieces {
        let hook = way.piece();
        let mut pieces = Pieces::default();
        for filter in self.passing(way, &[hook]) {
            pieces.wanted = true;
            if filter.is_enforced() && filter.setup.wants(hook) {
                pieces.shared |= filter.module.prepared.is_shared();
                pieces.replaced |= !filter.module.prepared.is_shared();
            }
        }
        pieces
    }

    /// Those that a message passes, in its order, and that have one of these hooks.
    fn passing<'a>(&'a self, way: Way, hooks: &'a [Hook]) -> impl Iterator<Item = &'a Arc<Filter>> {
        let mask = match way {
            Way::Request => self.entered.get(),
            Way::Response => self.entered.get() & self.on_the_way_back.get(),
        };
        let count = self.filters.len();
        (0..count).filter_map(move |step| {
            let index = if way == Way::Request { step } else { count - 1 - step };
            let filter = self.filters.get(index).filter(|_| mask & (1 << index) != 0)?;
            filter.wants_one_of(hooks).then_some(filter)
        })
    }
}
