//! Reading a body piece by piece before it goes on, and putting back what was made of it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;

use super::super::Failure;
use super::{Body, Source};

/// What was read.
#[derive(Debug)]
pub enum Ahead {
    /// A piece, and whether nothing follows it.
    Piece(Bytes, bool),
    /// There is no more of it, but trailers.
    Trailers,
    /// It broke, or had gone on before. Whoever takes it on is told.
    Broken,
}

impl Body {
    /// Takes the next piece out.
    pub fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<Ahead> {
        if self.begun {
            return Poll::Ready(Ahead::Broken);
        }
        if self.front.is_empty() {
            self.close_gathered();
        }
        if let Some(data) = self.front.pop_front() {
            self.ahead -= data.len();
            return Poll::Ready(Ahead::Piece(data, self.is_end_stream()));
        }
        loop {
            match ready!(self.poll_source(context)) {
                None => {
                    self.source = Source::Over;
                    return Poll::Ready(match &self.trailers {
                        Some(_) => Ahead::Trailers,
                        None => Ahead::Piece(Bytes::new(), true),
                    });
                }
                Some(Err(failure)) => {
                    self.source = Source::Broken(Some(failure));
                    return Poll::Ready(Ahead::Broken);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(_) if self.replaced => {}
                    Ok(data) => return Poll::Ready(Ahead::Piece(data, self.is_end_stream())),
                    Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
                },
            }
        }
    }

    /// Takes out those that [`Ahead::Trailers`] has told of.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    pub fn put_trailers(&mut self, trailers: HeaderMap) {
        self.trailers = Some(Box::new(trailers));
    }

    /// Why it broke. Whoever takes it on is told all the same.
    pub fn failure(&self) -> Option<Failure> {
        match &self.source {
            Source::Broken(Some(failure)) => Some(Failure::new(failure.kind, failure.message.clone())),
            _ => None,
        }
    }

    /// Before everything that is left.
    pub fn put_back(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.ahead += data.len();
            self.front.push_front(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::poll_fn;

    #[tokio::test]
    async fn what_was_taken_out_can_be_put_back_changed() {
        let mut body = Body::whole(Bytes::from_static(b"before"));
        let Ahead::Piece(data, true) = poll_fn(|context| body.poll_ahead(context)).await else { panic!("a whole piece") };
        assert_eq!((data.as_ref(), body.size_hint().exact()), (&b"before"[..], Some(0)));
        assert!(matches!(poll_fn(|context| body.poll_ahead(context)).await, Ahead::Piece(rest, true) if rest.is_empty()));
        body.put_back(Bytes::from_static(b"afterwards"));
        assert_eq!(body.size_hint().exact(), Some(10));
        let whole = poll_fn(|context| body.poll_whole(context, 10)).await;
        assert_eq!(whole.expect("nothing has gone on"), "afterwards");
        body.let_go();
        assert!(matches!(poll_fn(|context| body.poll_ahead(context)).await, Ahead::Broken));
    }
}
