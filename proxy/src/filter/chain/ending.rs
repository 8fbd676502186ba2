//! The end of an exchange, when the complete hooks run: in a task of their own, for nobody waits for them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::super::Hook;
use super::super::abi::Call;
use super::super::hand::Hand;
use super::Chain;
use super::filters::completes;
use crate::exchange::{Outcome, Record};
use crate::worker;

/// How long complete hooks wait for the copies that `destination.mirror` has sent.
pub const MIRRORS_WAIT: Duration = Duration::from_secs(5);

thread_local! {
    /// Exchanges of this worker whose complete hooks are pending.
    static COMPLETING: Cell<usize> = const { Cell::new(0) };
}

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        COMPLETING.set(COMPLETING.get() - 1);
    }
}

impl Chain {
    /// Lets the complete hooks run once the exchange is over, however that comes about. `kept` is kept until they have.
    pub fn at_end<T: Clone + 'static>(self: &Rc<Self>, record: &mut Record, kept: &T) {
        // Another chain may be appended before the exchange is over.
        if !self.reach.chains_complete && !completes(self.filters.iter()) {
            return;
        }
        let (chain, kept) = (Rc::clone(self), kept.clone());
        record.at_end = Some(Box::new(move |outcome| {
            if !chain.wants(Hook::Complete) {
                return;
            }
            let limit = chain.reach.completing_max;
            if COMPLETING.get() >= limit {
                tracing::warn!("a complete hook was left out: {limit} are pending on this worker");
                return;
            }
            COMPLETING.set(COMPLETING.get() + 1);
            let counted = Counted;
            worker::spawn(async move {
                if outcome.mirrors.iter().any(|mirror| mirror.ticket.is_under_way()) {
                    let mirrors = async {
                        for mirror in &outcome.mirrors {
                            mirror.ticket.ended().await;
                        }
                    };
                    let _ = tokio::time::timeout(MIRRORS_WAIT, mirrors).await;
                }
                // Boxed: a task is moved several times before it runs, and most of this is room for hooks that wait.
                Box::pin(chain.complete(outcome)).await;
                drop((counted, kept));
            });
        }));
    }

    /// After the client has its answer, last to first: nobody waits for it, and what fails is only told.
    pub async fn complete(&self, outcome: Outcome) {
        let outcome = Rc::new(outcome);
        let mut hand = Hand::new(Hook::Complete, &outcome.exchange, &self.reach);
        hand.outcome = Some(Rc::clone(&outcome));
        let mut entered = self.entered.get() | self.decided.get();
        while let Some(index) = entered.checked_ilog2() {
            entered &= !(1 << index);
            if let Some(filter) = self.filters.get(index as usize) {
                let _ = self.step(filter, Call::Complete, &mut hand).await;
            }
        }
    }
}
