//! One hook of one filter: whether it is called, what was said, and what that means for the exchange.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::super::abi::Call;
use super::super::abi::proxy_wasm::Streams;
use super::super::hand::Hand;
use super::super::observe::{Before, Effect, Observer};
use super::super::pool::{self, Lent};
use super::super::witness;
use super::super::{Admission, Fault, Filter, Hook, Verdict};
use super::failing::{Passed, failed, tripped};
use super::{Chain, Step, Way};
use crate::exchange::Trail;
use crate::exchange::trail::Running;

/// A hook that was let through and has not ended.
struct Begun {
    admission: Admission,
    at: Instant,
    step: Option<Running>,
}

impl Chain {
    /// One hook of one filter, with what its failure means for the exchange.
    pub(super) async fn step(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand) -> Result<Passed, Step> {
        let hook = call.hook();
        let enforced = filter.is_enforced() && filter.setup.wants(hook);
        let Some(watched) = filter.watched().filter(|watched| watched.setup.wants(hook)) else {
            if !enforced {
                return Ok(Passed::Well);
            }
            return self.enforce(filter, call, hand, None).await;
        };
        let before = Before::of(&call, hand);
        let mut live = None;
        let passed = match enforced {
            true => {
                // What copying takes is no time of the filter's.
                hand.since = None;
                self.enforce(filter, call, hand, Some(&mut live)).await
            }
            false => Ok(Passed::Well),
        };
        if let Some(before) = before {
            self.observer(watched, |observer| observer.repeat(before, live));
        }
        passed
    }

    /// A filter that is only watched sees a copy of what is in hand.
    fn observer(&self, watched: &Arc<Filter>, job: impl FnOnce(&Observer)) {
        let mut observers = self.observers.borrow_mut();
        let known = observers.iter().position(|observer| observer.filter.id == watched.id);
        let index = known.unwrap_or_else(|| {
            observers.push(Observer::new(watched, &self.reach));
            observers.len() - 1
        });
        job(&observers[index]);
    }

    /// One hook whose verdict counts. Where somebody is watched beside it, `effect` is what it has left.
    pub(super) async fn enforce(
        &self,
        filter: &Arc<Filter>,
        call: Call,
        hand: &mut Hand,
        effect: Option<&mut Option<Box<Effect>>>,
    ) -> Result<Passed, Step> {
        let begun = match begin(filter, call.hook(), hand) {
            Ok(begun) => begun,
            Err(passed) => return passed,
        };
        let verdict = match at_hand(filter) {
            Some(mut lent) => {
                // Nearly always the call has ended then, and no future is made of it.
                let verdict = match lent.instance().call_at_once(&call, hand) {
                    Some(verdict) => verdict,
                    None => lent.instance().call(call, hand).await,
                };
                if !verdict.as_ref().is_err_and(Fault::spoils_the_instance) {
                    lent.give_back();
                }
                verdict
            }
            None if filter.module.prepared.is_shared() => self.call_shared(filter, call, hand).await,
            None => self.call(filter, call, hand).await,
        };
        let verdict = begun.end(filter, verdict, hand);
        if let Some(effect) = effect {
            *effect = Effect::of(verdict.as_ref().map(|verdict| *verdict), hand);
        }
        self.judge(filter, verdict, hand)
    }

    /// What a verdict, or the lack of one, means for the exchange.
    fn judge(&self, filter: &Arc<Filter>, verdict: Result<Verdict, Fault>, hand: &mut Hand) -> Result<Passed, Step> {
        let in_a_chunk = is_of_a_chunk(hand.hook);
        match verdict {
            Ok(Verdict::Next) => {
                // With trailers, what stands before them.
                if in_a_chunk {
                    hand.chunk = None;
                }
                Ok(Passed::Well)
            }
            Ok(Verdict::Replied) => match hand.reply.take().filter(|_| !in_a_chunk) {
                Some(reply) => Err(Step::Replied(Box::new(reply))),
                None => Ok(Passed::Well),
            },
            Ok(Verdict::Reset) => Err(self.streams.get().and_then(Streams::take_broken).map_or(Step::Reset, Step::Failed)),
            Err(fault) => {
                hand.chunk = None;
                filter.failures.count(&fault);
                let is_half = filter.module.prepared.is_shared() && self.streams().left_half();
                failed(filter, hand.hook, &fault).and_then(|passed| if is_half { Err(Step::Reset) } else { Ok(passed) })
            }
        }
    }

    /// In the instance that it shares.
    async fn call_shared(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand) -> Result<Verdict, Fault> {
        let more = match &call {
            Call::RequestChunk(..) => self.trailers_follow[Way::Request as usize].get(),
            Call::ResponseChunk(..) => self.trailers_follow[Way::Response as usize].get(),
            _ => false,
        };
        let streams = self.streams();
        // Boxed: most never wait, and every exchange would have to have room for it.
        if witness::is_on() {
            return Box::pin(streams.call(filter, call, hand, more)).await;
        }
        match streams.call_at_once(filter, call, hand, more) {
            Ok(verdict) => verdict,
            Err(waiting) => Box::pin(streams.wait(filter, waiting, hand)).await,
        }
    }

    /// In an instance that is made first, or waited for, or kept for the exchange; or one that waits itself.
    async fn call(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand) -> Result<Verdict, Fault> {
        if !filter.setup.keeps_state() {
            let mut lent = pool::take(filter).await?;
            hand.waited = lent.waited;
            let verdict = lent.instance().call(call, hand).await;
            if !verdict.as_ref().is_err_and(Fault::spoils_the_instance) {
                lent.give_back();
            }
            return verdict;
        }
        let (mut place, kept) = self.held.take(filter).await;
        let mut lent = match kept {
            Some(lent) => lent,
            None => {
                let lent = pool::take(filter).await?;
                hand.waited = lent.waited;
                lent
            }
        };
        let verdict = lent.instance().call(call, hand).await;
        if !verdict.as_ref().is_err_and(Fault::spoils_the_instance) {
            place.put(lent);
        }
        verdict
    }
}

/// The error: it is left alone, and what that means.
fn begin(filter: &Arc<Filter>, hook: Hook, hand: &mut Hand) -> Result<Begun, Result<Passed, Step>> {
    // Whoever has entered goes on: a trip in the middle of an exchange would cut it off.
    let admission = match hook {
        Hook::Request | Hook::Response | Hook::Connection => match filter.health.admits() {
            Ok(admission) => admission,
            Err(wait) => {
                if let Some(trail) = trail(hand) {
                    trail.begin_hook(&filter.name, &filter.module.hash, hook.name(), false).said("tripped", true);
                }
                return Err(tripped(filter, wait));
            }
        },
        _ => Admission::Ordinary,
    };
    hand.begin(hook);
    let begin = |trail: Rc<Trail>| trail.begin_hook(&filter.name, &filter.module.hash, hook.name(), is_of_a_chunk(hook));
    let step = trail(hand).map(begin);
    hand.step = step.as_ref().and_then(Running::id);
    let at = hand.since.take().unwrap_or_else(Instant::now);
    Ok(Begun { admission, at, step })
}

impl Begun {
    /// It has ended: whoever counts is told, and what makes no sense is a fault.
    fn end(self, filter: &Filter, verdict: Result<Verdict, Fault>, hand: &mut Hand) -> Result<Verdict, Fault> {
        let (ended, hook) = (Instant::now(), hand.hook);
        filter.calls.ended(hook, verdict.as_ref().copied(), ended.saturating_duration_since(self.at), hand.waited);
        hand.since = Some(ended);
        let in_a_chunk = is_of_a_chunk(hook);
        let verdict = match verdict {
            Ok(Verdict::Replied) if (if in_a_chunk { hand.chunk.is_none() } else { hand.reply.is_none() }) => {
                let without = if in_a_chunk { "`replaced` without a chunk" } else { "`replied` without a reply" };
                Err(Fault::Trap(format!("it said {without}")))
            }
            verdict => verdict,
        };
        if let Some(step) = self.step {
            step.said(verdict.as_ref().map_or_else(Fault::kind, |verdict| verdict.word()), verdict.is_err());
        }
        if verdict.as_ref().err().is_none_or(Fault::is_the_filters) {
            filter.health.ended(&filter.identity, self.admission, verdict.is_ok());
        }
        verdict
    }
}

/// An instance for this call alone, where one lies idle.
fn at_hand(filter: &Filter) -> Option<Lent> {
    if filter.setup.keeps_state() || filter.module.prepared.is_shared() {
        return None;
    }
    pool::take_idle(filter)
}

fn is_of_a_chunk(hook: Hook) -> bool {
    matches!(hook, Hook::RequestChunk | Hook::ResponseChunk)
}

/// Of the exchange in hand, if somebody looks at it.
fn trail(hand: &Hand) -> Option<Rc<Trail>> {
    hand.exchange.as_ref()?.borrow().trail.clone()
}
