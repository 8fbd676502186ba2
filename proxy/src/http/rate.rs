//! How fast an answer may flow to the client, where a filter has set a limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What may pass at once after a pause: enough to keep the timers calm, too little to be seen as a burst.
const BURST: Duration = Duration::from_millis(100);
/// Smaller pieces would cost more than they smooth.
const PIECE_BYTES_MIN: usize = 1024;
/// Longest debt of one piece; what is slower than this is never waited for to the end.
const DEBT_MAX: Duration = Duration::from_secs(24 * 3600);
const NANOS: u128 = 1_000_000_000;

/// A bucket that may go into debt: a piece passes whole as soon as what went before is paid for, so that none is too large.
#[derive(Debug)]
pub struct Rate {
    bytes_per_second: u64,
    /// When everything that has passed is paid for.
    paid_at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Rate {
    /// `bytes_per_second`: at least one.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid_at: Instant::now(), timer: None }
    }

    /// Ready when the next piece may pass.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.paid_at <= Instant::now() {
            return Poll::Ready(());
        }
        let paid_at = self.paid_at;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(paid_at)));
        if timer.deadline() != paid_at {
            timer.as_mut().reset(paid_at);
        }
        ready!(timer.as_mut().poll(context));
        Poll::Ready(())
    }

    /// Bytes of one piece that neither stutter nor arrive in bursts.
    pub fn piece(&self) -> usize {
        let burst = self.bytes_per_second / 1000 * BURST.as_millis() as u64;
        usize::try_from(burst).unwrap_or(usize::MAX).max(PIECE_BYTES_MIN)
    }

    /// A piece has passed.
    pub fn took(&mut self, bytes: usize) {
        let nanos = bytes as u128 * NANOS / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(DEBT_MAX);
        let now = Instant::now();
        let saved = now.checked_sub(BURST).unwrap_or(now);
        self.paid_at = self.paid_at.max(saved) + cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::poll_fn;

    /// How long it takes to pass these pieces, the last one paid for or not.
    async fn pass(rate: &mut Rate, pieces: impl IntoIterator<Item = usize>) -> Duration {
        let began = Instant::now();
        for piece in pieces {
            poll_fn(|context| rate.poll_ready(context)).await;
            rate.took(piece);
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn over_time_it_is_what_was_set() {
        for piece in [1, 100, 1000, 4000] {
            let took = pass(&mut Rate::new(1000), std::iter::repeat_n(piece, 20_000 / piece)).await;
            // The last piece is never waited for, and timers are not finer than a millisecond.
            let expected = Duration::from_secs(20) - Duration::from_millis(piece as u64);
            assert!(took >= expected - BURST && took <= expected + Duration::from_millis(20), "{piece}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_piece_passes_at_once_whatever_its_size() {
        let mut rate = Rate::new(1);
        assert_eq!(pass(&mut rate, [1_000_000]).await, Duration::ZERO);
        assert!(poll_fn(|context| Poll::Ready(rate.poll_ready(context))).await.is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_earns_a_tenth_of_a_second_and_no_more() {
        let mut rate = Rate::new(1000);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pass(&mut rate, [50, 50]).await, Duration::ZERO);
        let took = pass(&mut rate, [100, 100]).await;
        assert!(took >= Duration::from_millis(99) && took <= Duration::from_millis(102), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_is_too_large_or_too_small() {
        let mut slow = Rate::new(0);
        slow.took(usize::MAX);
        slow.took(usize::MAX);
        assert!(poll_fn(|context| Poll::Ready(slow.poll_ready(context))).await.is_pending());
        assert_eq!(pass(&mut Rate::new(u64::MAX), [1 << 20; 100]).await, Duration::ZERO);
    }
}
