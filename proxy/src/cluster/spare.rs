//! What is kept of a request so that it can be sent once more. It decides nothing.

use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use super::Outgoing;
use super::retry::Policy;

/// An exchange that nobody allows to be sent again has none.
pub struct Spare {
    head: Request<()>,
    body: Outgoing,
}

impl Spare {
    /// Has what is sent of the body kept from now on.
    pub fn of(request: &mut Request<Outgoing>, policy: &Policy<'_>, replay_bytes: usize) -> Option<Box<Self>> {
        if !policy.keeps() && policy.per_try_timeout.is_none() {
            return None;
        }
        let limit = if policy.attempts > 1 { replay_bytes } else { 0 };
        let kept = std::mem::replace(request.body_mut(), Outgoing::Empty).kept(limit);
        *request.body_mut() = kept.again()?;
        let mut head = Request::new(());
        head.method_mut().clone_from(request.method());
        head.uri_mut().clone_from(request.uri());
        *head.version_mut() = request.version();
        head.headers_mut().clone_from(request.headers());
        if let Some(protocol) = request.extensions().get::<hyper::ext::Protocol>() {
            head.extensions_mut().insert(protocol.clone());
        }
        Some(Box::new(Self { head, body: kept }))
    }

    /// For a further attempt; those before end. `None` if too much of the body has gone by.
    pub fn request(&self) -> Option<Request<Outgoing>> {
        let body = self.body.again()?;
        Some(self.head.clone().map(|()| body))
    }

    /// For an attempt beside another; `None` unless all of the body is here.
    pub fn beside(&self) -> Option<Request<Outgoing>> {
        let body = self.body.beside()?;
        Some(self.head.clone().map(|()| body))
    }

    /// Nothing of the request is lost.
    pub fn is_kept(&self) -> bool {
        match &self.body {
            Outgoing::Replay(replay) => replay.is_kept(),
            Outgoing::Streaming(_) => false,
            Outgoing::Empty | Outgoing::Whole { .. } => true,
        }
    }

    /// All of the request has come.
    pub fn is_complete(&self) -> bool {
        match &self.body {
            Outgoing::Replay(replay) => replay.is_complete(),
            _ => true,
        }
    }

    /// Waits until an attempt that begins now has had nothing from the client and no answer for this long. While it is the
    /// client that is slow, no endpoint is to blame.
    pub async fn silent_for(&self, limit: Duration) {
        let mut due = Instant::now() + limit;
        loop {
            tokio::time::sleep_until(due).await;
            due = match &self.body {
                Outgoing::Replay(replay) => replay.moved().unwrap_or_else(Instant::now) + limit,
                _ => return,
            };
            if due <= Instant::now() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http_body_util::BodyExt;

    use crate::cluster::replay::tests::Client;

    const LIMIT: Duration = Duration::from_secs(1);

    /// When the time of an attempt is over, if it is within a minute.
    async fn silence(spare: &Spare) -> Option<Duration> {
        let began = Instant::now();
        let over = tokio::time::timeout(Duration::from_secs(60), spare.silent_for(LIMIT)).await;
        over.ok().map(|()| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_takes_nothing_is_to_blame() {
        let (_client, replay) = Client::with_limit(100);
        let spare = Spare { head: Request::new(()), body: Outgoing::Replay(replay) };
        assert_eq!(silence(&spare).await, Some(LIMIT));
        let spare = Spare { head: Request::new(()), body: Outgoing::Empty };
        assert_eq!(silence(&spare).await, Some(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_not_the_endpoints_fault() {
        let (client, replay) = Client::with_limit(100);
        let spare = Spare { head: Request::new(()), body: Outgoing::Replay(replay) };
        let mut attempt = spare.body.again().expect("nothing is lost");
        let sending = async {
            tokio::time::sleep(Duration::from_millis(10_500)).await;
            client.says("late");
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(client);
            std::future::pending::<()>().await;
        };
        let reading = async { while attempt.frame().await.is_some() {} };
        let waited = tokio::select! {
            waited = silence(&spare) => waited,
            (() , ()) = async { tokio::join!(sending, reading) } => None,
        };
        assert_eq!(waited, Some(Duration::from_millis(21_500)), "from the end of the request on");
    }
}
