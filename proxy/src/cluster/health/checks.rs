//! What came of the checks of one endpoint, and when they say that it is out. It checks nothing itself.

use std::time::{Duration, SystemTime};

use crate::config::HealthCheck;

/// See the module. Only the control runtime and the admin look here.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    pub last: Option<Check>,
    /// How many in a row ended like the last one.
    pub run: u32,
}

#[derive(Debug, Clone)]
pub struct Check {
    pub at: SystemTime,
    pub took: Duration,
    /// What was wrong.
    pub error: Option<String>,
}

impl Checks {
    /// Adds a check. Whether the endpoint is out now; `None`: as before.
    pub fn add(&mut self, check: Check, config: &HealthCheck) -> Option<bool> {
        let failed = check.error.is_some();
        let is_first = self.last.is_none();
        let goes_on = self.last.as_ref().is_some_and(|last| last.error.is_some() == failed);
        self.run = if goes_on { self.run.saturating_add(1) } else { 1 };
        self.last = Some(check);
        let enough = if failed { config.unhealthy } else { config.healthy };
        (is_first || self.run >= enough).then_some(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Probe;

    #[test]
    fn the_first_decides_and_then_so_many_in_a_row() {
        let second = Duration::from_secs(1);
        let config = HealthCheck { probe: Probe::Tcp, interval: second, timeout: second, unhealthy: 3, healthy: 2 };
        let verdicts = |ends: &[bool]| -> Vec<Option<bool>> {
            let mut checks = Checks::default();
            let check =
                |well: bool| Check { at: SystemTime::UNIX_EPOCH, took: Duration::ZERO, error: (!well).then(|| "no".to_owned()) };
            ends.iter().map(|well| checks.add(check(*well), &config)).collect()
        };
        let (out, fine) = (Some(true), Some(false));
        assert_eq!(verdicts(&[false, true, true]), [out, None, fine]);
        assert_eq!(verdicts(&[true, false, false, true, false, false, false]), [fine, None, None, None, None, None, out]);
    }
}
