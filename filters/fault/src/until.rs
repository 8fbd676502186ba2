//! A moment, as RFC 3339 writes it: `2026-12-01T08:00:00Z`, `2026-12-01T09:00:00.5+01:00`.

use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer};

const DAY: i64 = 86_400;

/// A moment after 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(Duration);

impl Until {
    /// Whether it has come.
    pub fn is_over(&self, since_epoch: Duration) -> bool {
        since_epoch >= self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (year, month, day) = (number(date, 0, 4)?, number(date, 5, 2)?, number(date, 8, 2)?);
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let (time, rest) = rest.split_at_checked(8)?;
        let (hour, minute, second) = (number(time, 0, 2)?, number(time, 3, 2)?, number(time, 6, 2)?);
        let marks = [(date, 4, '-'), (date, 7, '-'), (time, 2, ':'), (time, 5, ':')];
        // 60: a leap second, which counts as the next one.
        let sound = marks.iter().all(|(text, at, mark)| text[*at..].starts_with(*mark))
            && (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        let (nanos, zone) = match rest.strip_prefix('.') {
            Some(fraction) => {
                let end = fraction.find(|c: char| !c.is_ascii_digit())?;
                let (digits, zone) = fraction.split_at(end);
                let digits = digits.get(..9).unwrap_or(digits);
                (format!("{digits:0<9}").parse::<u32>().ok().filter(|_| end > 0)?, zone)
            }
            None => (0, rest),
        };
        let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset(zone)?;
        u64::try_from(seconds).ok().filter(|_| sound).map(|seconds| Until(Duration::new(seconds, nanos)))
    }
}

fn number(text: &str, from: usize, digits: usize) -> Option<i64> {
    text.get(from..from + digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Seconds before UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('+') { 1 } else { -1 };
    let sound = zone.len() == 6 && zone.starts_with(['+', '-']) && zone.as_bytes()[3] == b':';
    let (hours, minutes) = (number(zone, 1, 2)?, number(zone, 4, 2)?);
    (sound && hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_of(year: i64, month: i64) -> i64 {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leaps),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Fliegel and Van Flandern's way: years begin in March, so that leap days end them).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Until::parse(&text).ok_or_else(|| {
            de::Error::custom(format!("expected a moment such as 2026-12-01T08:00:00Z, with its time zone, found \"{text}\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2000-02-29T12:00:00z", 951_825_600, 0),
            ("2026-12-01T08:00:00Z", 1_796_112_000, 0),
            ("2026-12-01 09:00:00+01:00", 1_796_112_000, 0),
            ("2026-12-01T07:29:59.5-00:30", 1_796_111_999, 500_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800, 0),
        ] {
            assert_eq!(Until::parse(text), Some(Until(Duration::new(seconds, nanos))), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for bad in [
            "",
            "2026-12-01",
            "2026-12-01T08:00:00",
            "2026-13-01T08:00:00Z",
            "2026-02-29T08:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T08:00:00.Z",
            "2026-12-01T08:00:00+1:00",
            "2026-12-01T08:00:00Zx",
            "2026/12/01T08:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-12-01T08:00:0éZ",
            "2026-12-0éT08:00:00Z",
            "2026-12-01T08:00:00+0é00",
            "+026-12-01T08:00:00Z",
        ] {
            assert_eq!(Until::parse(bad), None, "{bad}");
        }
    }
}
