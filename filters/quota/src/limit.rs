//! `"100/s"`: so much in so long.

use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer};

/// More could not be told in a structured field, nor would it be a limit.
pub const LIMIT_MAX: u64 = 999_999_999_999;

const EXPECTED: &str = "expected a limit such as \"100/s\", \"1000/h\" or \"10000/month\"; there are s, m, h, d and month";
const DAY: u64 = 24 * 3600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub count: u64,
    pub unit: Unit,
}

/// From the shortest to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Month,
}

/// A window of the calendar: one of this length ends when the unit does, and what it has left begins with the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// What the proxy is told.
    pub length: Duration,
    /// Seconds of the unit, for who is told.
    pub seconds: u64,
}

impl Unit {
    pub fn word(self) -> &'static str {
        match self {
            Unit::Second => "s",
            Unit::Minute => "m",
            Unit::Hour => "h",
            Unit::Day => "d",
            Unit::Month => "month",
        }
    }

    /// Long ones are counted by the calendar: who has used up a day's quota waits for the next day. Short ones drip.
    pub fn is_calendar(self) -> bool {
        matches!(self, Unit::Day | Unit::Month)
    }

    /// At this time since the Unix epoch.
    pub fn window(self, now: Duration) -> Window {
        let fixed = |seconds| Window { length: Duration::from_secs(seconds), seconds };
        match self {
            Unit::Second => fixed(1),
            Unit::Minute => fixed(60),
            Unit::Hour => fixed(3600),
            Unit::Day => fixed(DAY),
            Unit::Month => {
                let (begins, ends) = month(now.as_secs() / DAY);
                // Months have no common length, and windows begin at multiples of theirs. The one that began with the epoch and ends
                // with this month is the right one for as long as it lasts; the next month has a window of another length,
                // which is another quota.
                Window { length: Duration::from_secs(ends * DAY), seconds: (ends - begins) * DAY }
            }
        }
    }
}

/// The first days of the month of this day and of the next one, in UTC, all counted since the Unix epoch.
fn month(day: u64) -> (u64, u64) {
    let mut begins = 0;
    for year in 1970u64.. {
        let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let days = if leap { 366 } else { 365 };
        if day >= begins + days {
            begins += days;
            continue;
        }
        for length in [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if day < begins + length {
                return (begins, begins + length);
            }
            begins += length;
        }
    }
    (day, day + 1)
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| de::Error::custom(format!("{EXPECTED}, found \"{text}\"")))
    }
}

fn parse(text: &str) -> Option<Limit> {
    let (count, unit) = text.split_once('/')?;
    let unit = match unit {
        "s" => Unit::Second,
        "m" => Unit::Minute,
        "h" => Unit::Hour,
        "d" => Unit::Day,
        "month" => Unit::Month,
        _ => return None,
    };
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = count.parse().ok().filter(|count| (1..=LIMIT_MAX).contains(count))?;
    Some(Limit { count, unit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        assert_eq!(parse("100/s"), Some(Limit { count: 100, unit: Unit::Second }));
        assert_eq!(parse("1/month"), Some(Limit { count: 1, unit: Unit::Month }));
        for bad in ["", "100", "100/", "/s", "0/s", "+1/s", "1.5/s", "1/w", "1/sec", "1 /s", "1000000000000/s"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let at = |seconds| Unit::Month.window(Duration::from_secs(seconds));
        // 2024-02-29T23:59:59Z and a second later; 2026-11-22.
        for (now, ends, days) in
            [(1_709_251_199, 1_709_251_200, 29), (1_709_251_200, 1_711_929_600, 31), (1_795_348_800, 1_796_083_200, 30)]
        {
            assert_eq!(at(now), Window { length: Duration::from_secs(ends), seconds: days * DAY }, "{now}");
        }
        assert_eq!(at(0), Window { length: Duration::from_secs(31 * DAY), seconds: 31 * DAY });
    }
}
