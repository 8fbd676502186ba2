//! How long an exchange is delayed.

use std::time::Duration;

use serde::de::Deserializer;
use tamis_sdk::config::{duration, optional_duration};
use tamis_sdk::prelude::*;

use crate::draw::Draw;

/// Longest delay that is drawn, without a word: well below the `hook-timeout` of a filter, past which it fails.
const MAX: Duration = Duration::from_secs(10);

/// A time, or how times are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Time {
    spread: Spread,
    max: Duration,
}

/// Times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spread {
    Fixed(f64),
    Uniform {
        from: f64,
        to: f64,
    },
    Normal {
        mean: f64,
        deviation: f64,
    },
    /// Half of them below the median; `sigma` is the deviation of their logarithms.
    LogNormal {
        median: f64,
        sigma: f64,
    },
    /// None below `least`; the smaller `alpha`, the longer the tail.
    Pareto {
        least: f64,
        alpha: f64,
    },
}

impl Time {
    /// A fixed one, `max` at most.
    pub fn fixed(time: Duration, max: Duration) -> Self {
        Time { spread: Spread::Fixed(time.min(max).as_secs_f64()), max }
    }

    /// Never more than the most, nor less than nothing.
    pub fn draw(&self, draw: &Draw) -> Duration {
        let seconds = match self.spread {
            Spread::Fixed(time) => time,
            Spread::Uniform { from, to } => from + draw.unit("time") * (to - from),
            Spread::Normal { mean, deviation } => mean + deviation * draw.normal(),
            Spread::LogNormal { median, sigma } => median * (sigma * draw.normal()).exp(),
            Spread::Pareto { least, alpha } => least / draw.unit("time").powf(1.0 / alpha),
        };
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(self.max).min(self.max)
    }
}

/// The keys of a delay that say how long.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Table {
    #[serde(deserialize_with = "optional_duration")]
    pub fixed: Option<Duration>,
    pub uniform: Option<Uniform>,
    pub normal: Option<Normal>,
    pub log_normal: Option<LogNormal>,
    pub pareto: Option<Pareto>,
    #[serde(deserialize_with = "optional_duration")]
    pub max: Option<Duration>,
    pub percent: matching::Share,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    #[serde(deserialize_with = "duration")]
    from: Duration,
    #[serde(deserialize_with = "duration")]
    to: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    #[serde(deserialize_with = "duration")]
    mean: Duration,
    #[serde(deserialize_with = "duration")]
    deviation: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNormal {
    #[serde(deserialize_with = "duration")]
    median: Duration,
    #[serde(deserialize_with = "positive")]
    sigma: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pareto {
    #[serde(deserialize_with = "duration")]
    least: Duration,
    #[serde(deserialize_with = "positive")]
    alpha: f64,
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    match number.is_finite() && number > 0.0 {
        true => Ok(number),
        false => Err(serde::de::Error::custom(format!("expected a number above 0, found {number}"))),
    }
}

impl Table {
    /// The time that it says. A fixed one is as long as it says; the others are cut at `max`.
    pub fn time(&self) -> Result<Time, ConfigError> {
        let seconds = |time: &Duration| time.as_secs_f64();
        let spreads = [
            self.fixed.as_ref().map(|time| Spread::Fixed(seconds(time))),
            self.uniform.as_ref().map(|it| Spread::Uniform { from: seconds(&it.from), to: seconds(&it.to) }),
            self.normal.as_ref().map(|it| Spread::Normal { mean: seconds(&it.mean), deviation: seconds(&it.deviation) }),
            self.log_normal.as_ref().map(|it| Spread::LogNormal { median: seconds(&it.median), sigma: it.sigma }),
            self.pareto.as_ref().map(|it| Spread::Pareto { least: seconds(&it.least), alpha: it.alpha }),
        ];
        let mut spreads = spreads.into_iter().flatten();
        let spread = match (spreads.next(), spreads.next()) {
            (Some(spread), None) => spread,
            (found, _) => {
                let found = if found.is_some() { "several" } else { "none" };
                let one = "expected one of `fixed`, `uniform`, `normal`, `log-normal` and `pareto`";
                return Err(ConfigError::new(format!("{one}, found {found}")));
            }
        };
        if let Some(uniform) = self.uniform.as_ref().filter(|uniform| uniform.from > uniform.to) {
            let why = format!("expected at least {:?}, found {:?}", uniform.from, uniform.to);
            return Err(ConfigError::at("uniform.to", why));
        }
        let max = match (self.fixed, self.max) {
            (Some(_), Some(_)) => return Err(ConfigError::at("max", "expected no `fixed` beside it, found one")),
            (Some(fixed), None) => fixed,
            (None, max) => max.unwrap_or(MAX),
        };
        Ok(Time { spread, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(json: &str) -> Vec<f64> {
        let time = serde_json::from_str::<Table>(json).unwrap().time().unwrap();
        let mut drawn: Vec<_> = (0..10_000).map(|basis| time.draw(&Draw::of(basis)).as_secs_f64()).collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[test]
    fn times_are_spread_as_they_say() {
        let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
        let median = |times: &[f64]| times[times.len() / 2];
        let near = |found: f64, wished: f64| (found / wished - 1.0).abs() < 0.05;

        let fixed = drawn(r#"{"fixed": "200ms"}"#);
        assert!(fixed.iter().all(|time| *time == 0.2));
        let uniform = drawn(r#"{"uniform": {"from": "100ms", "to": "300ms"}}"#);
        assert!(uniform[0] >= 0.1 && uniform[0] < 0.101 && uniform[9_999] <= 0.3 && uniform[9_999] > 0.299);
        assert!(near(mean(&uniform), 0.2), "{}", mean(&uniform));
        let normal = drawn(r#"{"normal": {"mean": "1s", "deviation": "100ms"}}"#);
        let deviation = mean(&normal.iter().map(|time| (time - 1.0).powi(2)).collect::<Vec<_>>()).sqrt();
        assert!(near(mean(&normal), 1.0) && near(deviation, 0.1), "{} {deviation}", mean(&normal));
        let long = drawn(r#"{"log-normal": {"median": "100ms", "sigma": 1.0}}"#);
        assert!(near(median(&long), 0.1) && near(long[8_413], 0.1 * 1f64.exp()), "{} {}", median(&long), long[8_413]);
        let longer = drawn(r#"{"pareto": {"least": "100ms", "alpha": 2.0}}"#);
        assert!(
            longer[0] >= 0.1 && near(median(&longer), 0.1 * 2f64.sqrt()) && near(longer[9_000], 0.1 * 10f64.sqrt()),
            "{}",
            longer[9_000]
        );
    }

    #[test]
    fn a_tail_ends_and_nothing_is_negative() {
        let tail = drawn(r#"{"pareto": {"least": "100ms", "alpha": 0.5}, "max": "2s"}"#);
        assert_eq!(tail[9_999], 2.0);
        let normal = drawn(r#"{"normal": {"mean": "10ms", "deviation": "1s"}}"#);
        assert_eq!(normal[0], 0.0);
        assert_eq!(drawn(r#"{"pareto": {"least": "100ms", "alpha": 0.01}}"#)[9_999], 10.0, "the usual end");
    }

    #[test]
    fn what_says_no_time_is_refused() {
        for (bad, said) in [
            ("{}", "found none"),
            (r#"{"fixed": "1s", "pareto": {"least": "1s", "alpha": 1}}"#, "found several"),
            (r#"{"fixed": "1s", "max": "2s"}"#, "max: expected no `fixed`"),
            (r#"{"uniform": {"from": "2s", "to": "1s"}}"#, "uniform.to: expected at least 2s, found 1s"),
        ] {
            let error = serde_json::from_str::<Table>(bad).unwrap().time().unwrap_err();
            assert!(error.to_string().contains(said), "{bad}: {error}");
        }
        for bad in [r#"{"pareto": {"least": "1s", "alpha": 0}}"#, r#"{"normal": {"mean": "1s"}}"#, r#"{"fixed": 5}"#] {
            assert!(serde_json::from_str::<Table>(bad).is_err(), "{bad}");
        }
    }
}
