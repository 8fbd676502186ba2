//! `setup`: what a filter says of itself while it is configured.

use std::time::Duration;

use super::metrics::Declarations;

/// The shortest period of `on-tick`: what is wanted more often is better done by the exchanges themselves.
pub const TICK_MIN: Duration = Duration::from_millis(10);

/// A hook that this version runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Request,
    RequestChunk,
    Response,
    ResponseChunk,
    Trailers,
    Complete,
    Tick,
    Connection,
}

impl Hook {
    pub const ALL: &[Hook] = &[
        Hook::Request,
        Hook::RequestChunk,
        Hook::Response,
        Hook::ResponseChunk,
        Hook::Trailers,
        Hook::Complete,
        Hook::Tick,
        Hook::Connection,
    ];

    /// The name that `want` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Hook::Request => "request",
            Hook::RequestChunk => "request-chunk",
            Hook::Response => "response",
            Hook::ResponseChunk => "response-chunk",
            Hook::Trailers => "trailers",
            Hook::Complete => "complete",
            Hook::Tick => "tick",
            Hook::Connection => "connection",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Hooks wanted and habits declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    wanted: u32,
    keeps_state: bool,
    tick_every_ms: u64,
    /// What `metrics.declare` has taken.
    pub metrics: Declarations,
}

impl Setup {
    /// `want`: with at least one, hooks that are not named are never called.
    pub fn want(&mut self, hook: &str) -> Result<(), String> {
        let known = Hook::ALL.iter().find(|known| known.name() == hook);
        let known = known.ok_or_else(|| {
            let names: Vec<_> = Hook::ALL.iter().map(|hook| hook.name()).collect();
            format!("no hook `{hook}`; expected one of {}", names.join(", "))
        })?;
        self.wanted |= known.bit();
        Ok(())
    }

    /// `keep-state`: the instance is held until the exchange ends.
    pub fn keep_state(&mut self) {
        self.keeps_state = true;
    }

    /// `tick-every-ms`
    pub fn tick_every_ms(&mut self, period: u64) {
        self.tick_every_ms = period;
    }

    /// How often `on-tick` is called; `None`: never.
    pub fn tick_every(&self) -> Option<Duration> {
        let period = Duration::from_millis(self.tick_every_ms);
        (!period.is_zero() && self.wants(Hook::Tick)).then(|| period.max(TICK_MIN))
    }

    /// Settles which hooks are called: those wanted of those exported, or all exported if none was named. A wanted hook
    /// that is not exported is an error.
    pub fn settle(&mut self, exported: &[Hook]) -> Result<(), String> {
        let exported = exported.iter().fold(0, |bits, hook| bits | hook.bit());
        if let Some(missing) = Hook::ALL.iter().find(|hook| self.wanted & !exported & hook.bit() != 0) {
            return Err(format!("the hook `{}` is wanted and not exported", missing.name()));
        }
        if self.wanted == 0 {
            self.wanted = exported;
        }
        Ok(())
    }

    pub fn wants(&self, hook: Hook) -> bool {
        self.wanted & hook.bit() != 0
    }

    pub fn wants_one_of(&self, hooks: &[Hook]) -> bool {
        self.wanted & hooks.iter().fold(0, |all, hook| all | hook.bit()) != 0
    }

    pub fn keeps_state(&self) -> bool {
        self.keeps_state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_every_exported_hook_is_wanted() {
        let mut setup = Setup::default();
        setup.settle(&[Hook::Response]).expect("nothing was wanted");
        assert!(setup.wants(Hook::Response) && !setup.wants(Hook::Request));
    }

    #[test]
    fn what_is_wanted_must_be_there() {
        let mut setup = Setup::default();
        assert!(setup.want("reqest").is_err());
        setup.want("request").expect("a known hook");
        assert!(setup.settle(&[Hook::Response]).is_err());
        setup.settle(Hook::ALL).expect("it is exported");
        assert!(!setup.wants(Hook::Response));
    }
}
