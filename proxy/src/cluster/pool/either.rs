//! Connections of which the TLS handshake tells whether they speak HTTP/1 or HTTP/2.

use std::time::Instant;

use super::{Got, Http1, Place, Pool, STREAMS_IN_USE_PERCENT};
use crate::cluster::breaker::Limit;
use crate::cluster::connect::connect;
use crate::cluster::counted::Counted;
use crate::cluster::line::Stood;
use crate::cluster::{Cluster, Endpoint};
use crate::exchange::Failure;
use crate::tls::Offer;

/// What there is for an exchange.
#[derive(Debug)]
pub enum Either {
    /// And whether it is new.
    Http1(Http1, bool),
    Http2(Place),
}

impl Pool {
    /// A connection that is there, or a new one. As long as it is not known that the endpoint speaks HTTP/1, a burst opens
    /// one and not one each.
    pub async fn either(&self, endpoint: &Endpoint, cluster: &Cluster, stood: &Stood) -> Result<Either, Failure> {
        if let Some(place) = self.free_place(STREAMS_IN_USE_PERCENT) {
            return Ok(Either::Http2(place));
        }
        if let Some(connection) = self.idle().await {
            return Ok(Either::Http1(connection, false));
        }
        let asked = Instant::now();
        let _pending = self.load.claim(Limit::Pending, &cluster.config.breakers).ok_or_else(|| Limit::Pending.failure())?;
        if self.speaks_http1.get() {
            return self.open_either(endpoint, cluster, stood).await;
        }
        let opening = {
            let _standing = self.waiting_for_places.is_awaited().then(|| stood.begin());
            self.opening.lock().await
        };
        if self.speaks_http1.get() {
            drop(opening);
            return self.open_either(endpoint, cluster, stood).await;
        }
        if let Some(failure) = self.refused_since(asked) {
            return Err(failure);
        }
        if let Some(place) = self.free_place(STREAMS_IN_USE_PERCENT) {
            return Ok(Either::Http2(place));
        }
        let opened = self.open_either(endpoint, cluster, stood).await;
        opened.inspect_err(|failure| *self.refused.borrow_mut() = Some((Instant::now(), failure.kind)))
    }

    async fn open_either(&self, endpoint: &Endpoint, cluster: &Cluster, stood: &Stood) -> Result<Either, Failure> {
        let breakers = &cluster.config.breakers;
        let open = match self.load.take(Limit::Connections, breakers) {
            Some(open) => open,
            None if self.speaks_http1.get() => match self.stand_in_line(breakers, stood, &self.waiting, Http1::is_alive).await? {
                Got::New(open) => open,
                Got::Present(connection) => return Ok(Either::Http1(connection, false)),
            },
            None => {
                if let Some(place) = self.free_place(100) {
                    return Ok(Either::Http2(place));
                }
                let is_alive = async |place: &Place| !place.0.sender.is_closed();
                match self.stand_in_line(breakers, stood, &self.waiting_for_places, is_alive).await? {
                    Got::New(open) => open,
                    Got::Present(place) => return Ok(Either::Http2(place)),
                }
            }
        };
        let stream = connect(cluster, endpoint, Offer::Either, self.addresses()).await?;
        let http2 = stream.agreed_on_http2();
        self.speaks_http1.set(!http2);
        let stream = Counted::new(stream, open);
        if http2 {
            return Ok(Either::Http2(self.begin_http2(stream, endpoint).await?));
        }
        Ok(Either::Http1(self.begin_http1(stream, endpoint).await?, true))
    }
}
