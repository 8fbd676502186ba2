//! Fetches modules over HTTPS, side by side, and tries again until there is no more time. Nothing here trusts what came:
//! whoever asked compares its hash.
//!
//! It brings a runtime of its own and blocks, like all loading of modules: never on a worker, nor on the control runtime.

mod attempt;

use std::sync::Arc;
use std::time::Duration;

use attempt::Way;
pub use attempt::{AttemptError, Doing};
use http::Uri;
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::tls;

/// Modules that are fetched at once; each may take 64 MiB of memory meanwhile.
const FETCHES_MAX: usize = 8;
/// Before the second attempt; doubled before each further one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// A server that comes back is noticed this soon.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why a module did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Setup(String),
    /// Trying again would not help.
    #[error("{0}")]
    Attempt(#[from] AttemptError),
    #[error("it did not come within {within:?}, in {attempts} attempts; the last one: {last}")]
    GaveUp { within: Duration, attempts: u32, last: AttemptError },
    #[error("it did not come within {within:?}; at the end, in attempt {attempts}, {doing}{}", earlier(.last))]
    Deadline { within: Duration, attempts: u32, doing: Doing, last: Option<AttemptError> },
}

fn earlier(last: &Option<AttemptError>) -> String {
    last.as_ref().map_or_else(String::new, |error| format!("; the attempt before: {error}"))
}

/// What is behind each address, in the same order. All of it together takes no longer than `within`.
pub fn all(
    urls: &[Uri],
    authorities: &[CertificateDer<'static>],
    within: Duration,
    mark: Option<u32>,
) -> Vec<Result<Vec<u8>, FetchError>> {
    let refused = |why: String| urls.iter().map(|_| Err(FetchError::Setup(why.clone()))).collect();
    let way = match tls::client::connector(authorities) {
        Ok(tls) => Way { tls, mark },
        Err(error) => return refused(error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(format!("no runtime: {error}")),
    };
    let fetched = runtime.block_on(side_by_side(urls, way, within));
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    fetched
}

async fn side_by_side(urls: &[Uri], way: Way, within: Duration) -> Vec<Result<Vec<u8>, FetchError>> {
    let deadline = Instant::now() + within;
    let room = Arc::new(Semaphore::new(FETCHES_MAX));
    let mut fetches = JoinSet::new();
    for (place, url) in urls.iter().enumerate() {
        let fetch = Fetch { url: url.clone(), way: way.clone(), room: Arc::clone(&room), within, deadline };
        fetches.spawn(async move { (place, fetch.run().await) });
    }
    let mut fetched: Vec<_> = urls.iter().map(|_| Err(FetchError::Setup("fetching it panicked".to_owned()))).collect();
    while let Some(done) = fetches.join_next().await {
        if let Ok((place, outcome)) = done {
            fetched[place] = outcome;
        }
    }
    fetched
}

/// One module on its way.
struct Fetch {
    url: Uri,
    way: Way,
    room: Arc<Semaphore>,
    within: Duration,
    deadline: Instant,
}

impl Fetch {
    async fn run(self) -> Result<Vec<u8>, FetchError> {
        let Self { url, way, room, within, deadline } = self;
        let (mut attempts, mut last, mut doing) = (1, None, Doing::Waiting);
        let Ok(_room) = timeout_at(deadline, room.acquire()).await else {
            return Err(FetchError::Deadline { within, attempts, doing, last });
        };
        loop {
            let error = match timeout_at(deadline, attempt::run(&url, &way, &mut doing)).await {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(error)) if error.is_lasting() => return Err(error.into()),
                Ok(Err(error)) => error,
                Err(_) => return Err(FetchError::Deadline { within, attempts, doing, last }),
            };
            let pause = pause(attempts, fastrand::f64());
            if Instant::now() + pause >= deadline {
                return Err(FetchError::GaveUp { within, attempts, last: error });
            }
            let host = url.host().unwrap_or_default();
            tracing::warn!(host, path = url.path(), %error, "a module could not be fetched; it is tried again in {pause:?}");
            sleep(pause).await;
            attempts += 1;
            last = Some(error);
        }
    }
}

/// Between the half and the whole of what doubles with each attempt, so that a fleet that starts at once spreads out.
fn pause(attempts: u32, chance: f64) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1 << (attempts - 1).min(16)).min(PAUSE_MAX);
    doubled.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_most_and_are_never_the_same() {
        assert_eq!((pause(1, 0.0), pause(1, 1.0)), (PAUSE_MIN / 2, PAUSE_MIN));
        assert_eq!((pause(2, 0.0), pause(3, 1.0)), (PAUSE_MIN, PAUSE_MIN * 4));
        assert_eq!((pause(40, 1.0), pause(u32::MAX, 0.0)), (PAUSE_MAX, PAUSE_MAX / 2));
    }
}
