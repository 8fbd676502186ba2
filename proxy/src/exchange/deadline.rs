//! When a client no longer waits, as it says itself: read from its fields, and told to the upstream, shortened by what is spent.

use std::time::{Duration, Instant};

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Failure, Kind};

pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// What is taken off for the way back.
const SLACK: Duration = Duration::from_millis(5);
/// What `grpc-timeout` can say in each unit.
const GRPC_COUNT_MAX: u128 = 99_999_999;

/// See the module.
#[derive(Debug, Clone)]
pub struct Deadline {
    pub at: Instant,
    /// The upstream is told in `grpc-timeout`.
    pub grpc: bool,
    /// It is told in the field of the listener, in the way in which the client wrote it.
    pub field: Option<(HeaderName, Form)>,
}

/// How the field of a listener is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `1500`
    Millis,
    /// `1500ms`, `1.5s`
    WithUnit,
}

impl Deadline {
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Tells the upstream what is left. Nothing left is a failure: nobody would hear the answer.
    pub fn tell(&self, headers: &mut HeaderMap) -> Result<(), Failure> {
        let left = self.left().saturating_sub(SLACK);
        if left.is_zero() {
            return Err(passed());
        }
        if self.grpc
            && let Ok(value) = HeaderValue::try_from(grpc_text(left))
        {
            headers.insert(GRPC_TIMEOUT, value);
        }
        if let Some((name, form)) = &self.field {
            // Never zero, which would say that the time is over.
            let millis = left.as_millis().max(1);
            let text = match form {
                Form::Millis => millis.to_string(),
                Form::WithUnit => format!("{millis}ms"),
            };
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        Ok(())
    }
}

pub fn passed() -> Failure {
    Failure::new(Kind::Deadline, "the deadline of the client has passed")
}

fn grpc_text(left: Duration) -> String {
    let micros = left.as_micros();
    if micros <= GRPC_COUNT_MAX { format!("{micros}u") } else { format!("{}m", left.as_millis().min(GRPC_COUNT_MAX)) }
}

/// `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2).
pub fn grpc_timeout(value: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// What a client wrote into the field of the listener: milliseconds, or a number with `ms` or `s`, which may have decimals.
pub fn field_timeout(value: &HeaderValue) -> Option<(Duration, Form)> {
    /// Past it, clocks overflow and nobody waits.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
    let text = value.to_str().ok()?.trim();
    let (number, nanos, form) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1_000_000, Form::WithUnit),
        (None, Some(number)) => (number, 1_000_000_000, Form::WithUnit),
        (None, None) => (text, 1_000_000, Form::Millis),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if form == Form::WithUnit && !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // A whole part that is too long is longer than anybody waits.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(nanos);
    let part = |(place, digit): (u32, u8)| u64::from(digit - b'0') * nanos / 10u64.pow(place + 1);
    let fraction: u64 = (0..9).zip(fraction.bytes()).map(part).sum();
    Some((Duration::from_nanos(whole.saturating_add(fraction)).min(LONGEST), form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_timeout_has_a_unit() {
        let parse = |text: &'static str| grpc_timeout(&HeaderValue::from_static(text));
        assert_eq!(parse("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "S", "1", "123456789S", "-1S", "1x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_left_is_told_as_grpc_tells_it() {
        for (left, text) in [(1, "1000u"), (99_999, "99999000u"), (100_000, "100000m"), (1 << 40, "99999999m")] {
            let told = grpc_text(Duration::from_millis(left));
            assert_eq!(told, text);
            assert!(grpc_timeout(&HeaderValue::try_from(told).expect("a value")).is_some());
        }
    }

    #[test]
    fn a_timeout_is_in_milliseconds_or_has_a_unit() {
        let parse = |text: &'static str| field_timeout(&HeaderValue::from_static(text));
        let cases = [
            ("1500", 1_500_000, Form::Millis),
            ("0", 0, Form::Millis),
            (" 20 ", 20_000, Form::Millis),
            ("1500ms", 1_500_000, Form::WithUnit),
            ("1.5s", 1_500_000, Form::WithUnit),
            ("0.25ms", 250, Form::WithUnit),
            ("2s", 2_000_000, Form::WithUnit),
            ("0.000001s", 1, Form::WithUnit),
            ("99999999999999999999s", 365 * 24 * 3600 * 1_000_000, Form::WithUnit),
        ];
        for (text, micros, form) in cases {
            assert_eq!(parse(text), Some((Duration::from_micros(micros), form)), "{text}");
        }
        for wrong in ["", "s", "ms", "1m", "-1", "+1", "1.5", "1.s", ".5s", "1e3", "1 s", "0x10", "soon"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_upstream_is_told_in_the_way_of_the_client() {
        let tell = |grpc, form| {
            let field = Option::map(form, |form| (HeaderName::from_static("x-timeout"), form));
            let mut headers = HeaderMap::new();
            Deadline { at: Instant::now() + Duration::from_secs(60), grpc, field }.tell(&mut headers).expect("there is time");
            headers
        };
        let headers = tell(true, None);
        let left = grpc_timeout(&headers[GRPC_TIMEOUT]).expect("a timeout");
        assert!(left < Duration::from_secs(60) && left > Duration::from_secs(50) && headers.len() == 1);
        for form in [Form::Millis, Form::WithUnit] {
            let headers = tell(false, Some(form));
            let (left, found) = field_timeout(&headers["x-timeout"]).expect("a timeout");
            assert!(found == form && left < Duration::from_secs(60) && left > Duration::from_secs(50) && headers.len() == 1);
        }
        let over = Deadline { at: Instant::now() + SLACK, grpc: true, field: None };
        assert_eq!(over.tell(&mut HeaderMap::new()).expect_err("no time").kind, Kind::Deadline);
    }
}
