//! `quota.take` over Redis: by what was taken in advance, by one script for all asks, or without Redis while that is lost.

use std::sync::Arc;
use std::time::Instant;

use super::lease::{self, Answer, Lease, Wanted};
use super::link::Trouble;
use super::script::TAKE;
use super::{Counts, HeldThere, Remote};
use crate::config::OnLoss;
use crate::store::quota::{ASKS_MAX, CONCURRENCY_RETRY_MS, State, left};
use crate::store::{Ask, Decision, Error, Held, Kind, Now};

/// Numbers of one answer.
const ANSWER_FIELDS: usize = 6;

/// What is asked of Redis for one ask.
struct Question {
    key: String,
    lease: Option<Arc<Lease>>,
    wanted: Wanted,
    /// Of a quota of concurrency, given back if it comes to nothing.
    held: Option<HeldThere>,
}

impl Remote {
    /// All or nothing, as [`Memory`](crate::store::Memory) does it.
    pub async fn take(
        self: &Arc<Self>,
        namespace: &Arc<str>,
        asks: &[Ask],
        held: &mut Vec<Held>,
    ) -> Result<Vec<Decision>, Error> {
        if asks.len() > ASKS_MAX {
            return Err(Error::TooLarge);
        }
        asks.iter().try_for_each(|ask| self.here.check_key(&ask.key))?;
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = asks.iter().map(|ask| self.quota_key(namespace, ask)).collect();
        if let Some(decisions) = self.serve(&keys, asks) {
            Counts::one(&self.counts.leased);
            return Ok(decisions);
        }
        if !self.is_connected() {
            return self.take_here(namespace, &keys, asks, held);
        }
        match self.take_there(keys, asks, held).await {
            Ok(decisions) => Ok(decisions),
            Err((trouble, keys)) => {
                tracing::debug!(store = %self.name, %trouble, "quotas are decided without Redis");
                self.take_here(namespace, &keys, asks, held)
            }
        }
    }

    /// By what this process knows, if it knows enough.
    fn serve(&self, keys: &[String], asks: &[Ask]) -> Option<Vec<Decision>> {
        let leases: Option<Vec<_>> = keys.iter().zip(asks).map(|(key, ask)| self.lease(ask)?.find(key)).collect();
        lease::serve(&leases?, asks, Instant::now())
    }

    /// Where tokens can be taken in advance.
    fn lease(&self, ask: &Ask) -> Option<&lease::Leases> {
        let leased = ask.kind != Kind::Concurrency && ask.cost > 0 && !self.settings.lease_time.is_zero();
        leased.then_some(&self.leases)
    }

    async fn take_there(
        self: &Arc<Self>,
        keys: Vec<String>,
        asks: &[Ask],
        held: &mut Vec<Held>,
    ) -> Result<Vec<Decision>, (Trouble, Vec<String>)> {
        let now = Instant::now();
        let mut questions: Vec<Question> = Vec::with_capacity(asks.len());
        for (key, ask) in keys.into_iter().zip(asks) {
            let twice = questions.iter().any(|question| question.key == key);
            let lease = if twice { None } else { self.lease(ask).and_then(|leases| leases.find_or_make(&key, ask, now)) };
            let plain = Wanted { tokens: ask.cost, ..Wanted::default() };
            let wanted = lease.as_ref().map_or(plain, |lease| lease.plan(ask, &self.settings, self.fleet(), now));
            let holds = ask.kind == Kind::Concurrency && ask.cost > 0;
            let held = holds.then(|| HeldThere::begin(self, &key, ask.cost));
            questions.push(Question { key, lease, wanted, held });
        }
        let asking = Asking { remote: self, asks, questions, answers: None };
        asking.ask(held).await
    }

    /// Without Redis, as `on-loss` says.
    fn take_here(
        self: &Arc<Self>,
        namespace: &Arc<str>,
        keys: &[String],
        asks: &[Ask],
        held: &mut Vec<Held>,
    ) -> Result<Vec<Decision>, Error> {
        Counts::one(&self.counts.local);
        match self.settings.on_loss {
            OnLoss::Closed => Err(Error::Unavailable),
            OnLoss::Open => {
                let whole = |ask: &Ask| if ask.kind == Kind::Rate { ask.burst } else { ask.limit };
                let allowed = |ask: &Ask| Decision { allowed: true, remaining: whole(ask), retry_after_ms: 0, reset_after_ms: 0 };
                // It counts all the same, for when Redis is back.
                let concurrent = keys.iter().zip(asks).filter(|(_, ask)| ask.kind == Kind::Concurrency && ask.cost > 0);
                held.extend(concurrent.map(|(key, ask)| Held::Shared { _kept: HeldThere::begin(self, key, ask.cost) }));
                Ok(asks.iter().map(allowed).collect())
            }
            OnLoss::Local => self.take_share(namespace, keys, asks, held),
        }
    }

    /// By this process alone, with its share of each limit.
    fn take_share(
        self: &Arc<Self>,
        namespace: &Arc<str>,
        keys: &[String],
        asks: &[Ask],
        held: &mut Vec<Held>,
    ) -> Result<Vec<Decision>, Error> {
        let fleet = self.fleet();
        let part = |whole: u64| if whole == 0 { 0 } else { (whole / fleet).max(1) };
        let shares: Vec<Ask> = asks
            .iter()
            .map(|ask| Ask { limit: part(ask.limit), burst: part(ask.burst).max(ask.cost.min(ask.burst)), ..ask.clone() })
            .collect();
        // What runs at once is counted where it is counted with Redis, so that the count goes on when that is back.
        let mut begun = Vec::new();
        let running: Vec<Option<Decision>> = shares
            .iter()
            .zip(keys)
            .map(|(ask, key)| {
                (ask.kind == Kind::Concurrency).then(|| {
                    begun.push(HeldThere::begin(self, key, ask.cost));
                    concurrent(ask, self.holds.tell(key).0)
                })
            })
            .collect();
        let refused = |decision: &Option<Decision>| decision.is_some_and(|decision| !decision.allowed);
        let free = !running.iter().any(refused);
        let mut rest: Vec<Ask> = shares.iter().filter(|ask| ask.kind != Kind::Concurrency).cloned().collect();
        if !free {
            // Only to be told what is left.
            rest.iter_mut().for_each(|ask| ask.cost = 0);
        }
        let mut decided = self.here.take(namespace, &rest, Now::read(), &mut Vec::new())?.into_iter();
        let decisions: Vec<Decision> = running.into_iter().filter_map(|running| running.or_else(|| decided.next())).collect();
        if decisions.iter().all(|decision| decision.allowed) {
            held.extend(begun.into_iter().map(|kept| Held::Shared { _kept: kept }));
        }
        Ok(decisions)
    }
}

/// Of so many that are held, these included.
fn concurrent(ask: &Ask, used: u64) -> Decision {
    let allowed = ask.cost == 0 || used <= ask.limit;
    let after = if allowed { used } else { used.saturating_sub(ask.cost) };
    let kept = left(ask, Some(State::Concurrency { used: after }), Now::read());
    let retry_after_ms = match allowed {
        true => 0,
        false if ask.cost > ask.limit => u64::MAX,
        false => CONCURRENCY_RETRY_MS,
    };
    Decision { allowed, remaining: kept.remaining, retry_after_ms, reset_after_ms: kept.reset_after_ms }
}

/// A question under way. However it ends, every lease hears of it.
struct Asking<'a> {
    remote: &'a Remote,
    asks: &'a [Ask],
    questions: Vec<Question>,
    answers: Option<Vec<Answer>>,
}

impl Asking<'_> {
    async fn ask(mut self, held: &mut Vec<Held>) -> Result<Vec<Decision>, (Trouble, Vec<String>)> {
        let remote = self.remote;
        let keys: Vec<&str> = self.questions.iter().map(|question| question.key.as_str()).collect();
        let call = TAKE.call(&keys, |arguments| {
            arguments.arg(&remote.process).arg(remote.settings.hold_time.as_millis().to_string());
            for (question, ask) in self.questions.iter().zip(self.asks) {
                let Wanted { tokens, back, window, .. } = question.wanted;
                let (kind, since, held) = match ask.kind {
                    Kind::Rate => ("r", window, 0),
                    Kind::Calendar => ("c", window, 0),
                    Kind::Concurrency => {
                        let (held, said) = remote.holds.tell(&question.key);
                        ("h", said, held)
                    }
                };
                arguments.arg(kind).arg(ask.limit).arg(ask.window_ms).arg(ask.burst).arg(ask.cost);
                arguments.arg(tokens).arg(back).arg(since).arg(held);
            }
        });
        let answered = remote.link.run::<Vec<i64>>(&TAKE, &call, remote).await;
        let numbers = match answered {
            Ok(numbers) if numbers.len() == self.asks.len() * ANSWER_FIELDS => numbers,
            other => {
                let trouble = other.err().unwrap_or(Trouble::Senseless);
                return Err((trouble, self.questions.iter().map(|question| question.key.clone()).collect()));
            }
        };
        let answers: Vec<Answer> = numbers.chunks_exact(ANSWER_FIELDS).map(read).collect();
        let all = answers.iter().all(|answer| answer.allowed);
        if all {
            let kept = self.questions.iter_mut().filter_map(|question| question.held.take());
            held.extend(kept.map(|kept| Held::Shared { _kept: kept }));
        }
        let decisions = answers.iter().zip(self.asks).map(|(answer, ask)| {
            let ahead = if all { answer.granted.saturating_sub(ask.cost) } else { 0 };
            Decision {
                allowed: answer.allowed,
                remaining: answer.remaining.saturating_add(ahead),
                retry_after_ms: answer.retry_after_ms,
                reset_after_ms: answer.reset_after_ms,
            }
        });
        let decisions = decisions.collect();
        self.answers = Some(answers);
        Ok(decisions)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let taken = self.answers.as_ref().is_some_and(|answers| answers.iter().all(|answer| answer.allowed));
        for (index, (question, ask)) in self.questions.iter().zip(self.asks).enumerate() {
            let Some(lease) = question.lease.as_ref().filter(|_| question.wanted.kept) else { continue };
            let answer = self.answers.as_ref().map(|answers| (answers[index], taken));
            if answer.is_some_and(|(answer, _)| taken && answer.granted > ask.cost) {
                Counts::one(&self.remote.counts.leases);
            }
            lease.settle(ask, question.wanted, answer, &self.remote.settings, now);
        }
    }
}

/// The numbers of one ask.
fn read(numbers: &[i64]) -> Answer {
    let number = |index: usize| u64::try_from(numbers.get(index).copied().unwrap_or_default()).unwrap_or(u64::MAX);
    Answer {
        allowed: number(0) == 1,
        granted: number(1),
        remaining: number(2),
        retry_after_ms: number(3),
        reset_after_ms: number(4),
        window: number(5),
    }
}
