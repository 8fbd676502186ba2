//! What there is around a filter, and the filter once it is configured.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use super::call::{Answer, Call};
use super::hand::{self, Hand, Phase};
use super::outcome::{Line, lines};
use super::process::Process;
use super::{Exchange, store::Store};
use crate::export::{self, Exported};
use crate::http_client::Error;
use crate::{ConfigError, Hook, phase};

/// What there is around a filter: stores, other services, inputs, the time. Without a word there is nothing.
///
/// ```
/// # use std::time::Duration;
/// use tamis_sdk::http_client::{self, Outgoing};
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::testing::{Answer, Exchange, Host};
///
/// struct Ask;
///
/// impl Filter for Ask {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
///         Ok(Ask)
///     }
/// }
///
/// impl RequestHook for Ask {
///     fn on_request(&self, request: &mut Request) -> Verdict {
///         match Outgoing::get("guard", request.path()).timeout(Duration::from_millis(100)).send() {
///             Ok(answer) if answer.status().is_success() => Verdict::Next,
///             Ok(answer) => Reply::new(answer.status()).into(),
///             Err(why) => Reply::new(StatusCode::SERVICE_UNAVAILABLE).text(&why.to_string()).into(),
///         }
///     }
/// }
///
/// tamis_sdk::export!(Ask: request);
///
/// # fn main() {
/// let host = Host::new().answering("guard", |call| match call.target() {
///     "/open" => Ok(Answer::new(200)),
///     "/slow" => Err(http_client::Error::Timeout),
///     _ => Ok(Answer::new(403)),
/// });
/// let ask = host.configure::<Ask>("{}").unwrap();
/// let status = |target: &str| Exchange::get(target).through(&ask).response().unwrap().status().as_u16();
/// assert_eq!([status("/open"), status("/slow"), status("/other")], [200, 503, 403]);
/// assert_eq!(ask.calls().len(), 3);
/// # }
/// ```
#[derive(Debug, Default, Clone)]
pub struct Host {
    process: Process,
    inputs: Vec<(String, Vec<u8>)>,
}

impl Host {
    /// Nothing but the filter.
    pub fn new() -> Self {
        Host::default()
    }

    /// The content of an input.
    pub fn input(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.inputs.push((name.to_owned(), content.into()));
        self
    }

    /// An empty store in memory, which the filter is granted.
    pub fn store(mut self, name: &str) -> Self {
        self.process.stores.0.insert(name.to_owned(), Store::default());
        self
    }

    /// A store whose backend does not answer.
    pub fn unavailable_store(mut self, name: &str) -> Self {
        self.process.stores.0.insert(name.to_owned(), Store::unavailable());
        self
    }

    /// A cluster that the filter is granted, and what it answers. Calls to any other are not allowed.
    pub fn answering(mut self, cluster: &str, answer: impl Fn(&Call) -> Result<Answer, Error> + 'static) -> Self {
        self.process.services.insert(cluster.to_owned(), Rc::new(answer));
        self
    }

    /// Stops the clock, so long after the Unix epoch. It moves when a filter sleeps, and by [`Configured::advance`].
    pub fn now(mut self, since_epoch: Duration) -> Self {
        self.process.clock.stopped = Some(since_epoch);
        self
    }

    /// Configures a filter, as the proxy does, from JSON: text, or what `serde_json::json!` makes.
    pub fn configure<F: Exported>(&self, config: impl ToString) -> Result<Configured<F>, ConfigError> {
        let config = config.to_string();
        let process = Rc::new(RefCell::new(self.process.clone()));
        let make = || {
            let hand = Hand { phase: Phase::Configure, process: process.clone(), ..Exchange::get("/").hand };
            hand::holding(hand, || phase::configure(|| export::make::<F>(&config, self.inputs.clone())))
        };
        let (filter, hand) = make();
        let filter = filter?;
        if let Some(word) = hand.wanted.iter().find(|word| F::HOOKS.iter().all(|hook| hook.word() != *word)) {
            return Err(ConfigError::new(format!("the hook `{word}` is wanted and not exported")));
        }
        process.borrow_mut().metrics.declared = hand.metrics.into();
        let other = if hand.kept { None } else { Some(make().0?) };
        let ticker = if F::HOOKS.contains(&Hook::Tick) { Some(make().0?) } else { None };
        Ok(Configured { filter, other, ticker, wanted: hand.wanted, keeps_state: hand.kept, tick: hand.tick, process })
    }
}

/// Configures a filter around which there is nothing; see [`Host`] for one that has stores, inputs or services to call.
pub fn configure<F: Exported>(config: impl ToString) -> Result<Configured<F>, ConfigError> {
    Host::new().configure(config)
}

/// A filter that has been configured, with the hooks that it wants, and what there is around it.
///
/// If it does not keep its state, the hooks of an exchange meet two instances in turns, as they may in the proxy; a test sees
/// the first.
#[derive(Debug)]
pub struct Configured<F> {
    filter: F,
    other: Option<F>,
    ticker: Option<F>,
    wanted: Vec<String>,
    keeps_state: bool,
    tick: Duration,
    pub(super) process: Rc<RefCell<Process>>,
}

impl<F> Configured<F> {
    /// Whether the filter asked to keep its state.
    pub fn keeps_state(&self) -> bool {
        self.keeps_state
    }

    /// The time between two ticks; `None` if it asked for none.
    pub fn ticks_every(&self) -> Option<Duration> {
        (!self.tick.is_zero()).then_some(self.tick)
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        self.process.borrow_mut().clock.passed += time;
    }

    /// What a store holds.
    ///
    /// # Panics
    /// If there is no such store.
    pub fn stored(&self, store: &str, key: &str) -> Option<Vec<u8>> {
        let process = self.process.borrow();
        let found = process.stores.0.get(store).unwrap_or_else(|| panic!("no store named `{store}`"));
        found.get(key, process.clock.now()).map(<[u8]>::to_vec)
    }

    /// Puts a value into a store, as another filter or another process would.
    ///
    /// # Panics
    /// If there is no such store, or it does not take the value.
    pub fn store(&self, store: &str, key: &str, value: impl AsRef<[u8]>) {
        let mut process = self.process.borrow_mut();
        let now = process.clock.now();
        let found = process.stores.0.get_mut(store).unwrap_or_else(|| panic!("no store named `{store}`"));
        found.set(key, value.as_ref(), None, now).expect("a key and a value that are not too long");
    }

    /// What a counter with these label values has come to.
    ///
    /// # Panics
    /// If the filter declared no such metric.
    pub fn counted(&self, name: &str, labels: &[&str]) -> f64 {
        self.process.borrow().metrics.values(name, labels).iter().sum()
    }

    /// What a gauge with these label values is set to; `None` if it never was.
    ///
    /// # Panics
    /// If the filter declared no such metric.
    pub fn gauge(&self, name: &str, labels: &[&str]) -> Option<f64> {
        self.process.borrow().metrics.values(name, labels).last().copied()
    }

    /// The values that a histogram with these label values saw.
    ///
    /// # Panics
    /// If the filter declared no such metric.
    pub fn observed(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        self.process.borrow().metrics.values(name, labels).to_vec()
    }

    /// The calls to other services, those that got no answer included.
    pub fn calls(&self) -> Vec<Call> {
        self.process.borrow().calls.clone()
    }

    /// The instance that a hook meets, the first of an exchange being number 0.
    pub(super) fn instance(&self, hook: usize) -> &F {
        match &self.other {
            Some(other) if hook % 2 == 1 => other,
            _ => &self.filter,
        }
    }
}

impl<F: Exported> Configured<F> {
    /// Whether the proxy calls this hook of the filter.
    pub fn wants(&self, hook: Hook) -> bool {
        F::HOOKS.contains(&hook) && (self.wanted.is_empty() || self.wanted.iter().any(|word| word == hook.word()))
    }

    /// Calls the tick hook once, as the proxy does when its time has come, and returns what it logged. The clock stays where
    /// it is.
    ///
    /// # Panics
    /// If the filter does, or if the proxy would never call the hook.
    pub fn tick(&self) -> Vec<Line> {
        let ticker = self.ticker.as_ref().filter(|_| self.wants(Hook::Tick) && !self.tick.is_zero());
        let ticker = ticker.expect("a filter with a tick hook that it wants, and a time between two ticks");
        let hand = Hand { phase: Phase::Tick, process: self.process.clone(), ..Exchange::get("/").hand };
        let ((), hand) = hand::holding(hand, || ticker.tick());
        lines(hand.logs)
    }
}

impl<F> Deref for Configured<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.filter
    }
}
