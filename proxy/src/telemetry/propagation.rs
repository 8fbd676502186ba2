//! Which trace an exchange belongs to, and the fields in which that goes from one service to the next. It decides nothing.
//!
//! `w3c`: `traceparent` and `tracestate`; `b3`: what Zipkin knows, in several fields or in one.

mod b3;
mod w3c;

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Propagation;

/// Bytes of `tracestate` that go on; past it, it is left out whole. W3C asks for at least 512.
pub const STATE_BYTES_MAX: usize = 1024;

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Where an exchange stands in a trace. Ids are never zero, but for `parent`: zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub trace: u128,
    pub span: u64,
    pub parent: u64,
    pub sampled: bool,
}

/// What the client says of its trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remote {
    /// The trace, and the span that the exchange is a child of.
    pub ids: Option<(u128, u64)>,
    /// `None`: it has not decided.
    pub sampled: Option<bool>,
}

/// A few of the formats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Formats(u8);

/// The context of an exchange, and in which words it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    pub context: Context,
    pub emit: Formats,
}

impl Formats {
    pub fn of(formats: &[Propagation]) -> Self {
        Self(formats.iter().fold(0, |bits, format| bits | 1 << *format as u8))
    }

    const fn has(self, format: Propagation) -> bool {
        self.0 & 1 << format as u8 != 0
    }
}

impl Trace {
    /// Puts a context into a head, in the place of whatever was there of any trace.
    pub fn write(&self, headers: &mut HeaderMap) {
        // Most heads say nothing: they are gone through once, where each field would have to be looked up by its name.
        let clear = is_any_in(headers);
        if self.emit.has(Propagation::W3c) {
            headers.insert(w3c::TRACEPARENT, w3c::write(&self.context));
        } else if clear {
            headers.remove(w3c::TRACEPARENT);
            headers.remove(TRACESTATE);
        }
        if self.emit.has(Propagation::B3) {
            b3::write(&self.context, headers);
        } else if clear {
            b3::remove(headers);
        }
        if self.emit.has(Propagation::B3Single) {
            headers.insert(b3::SINGLE, b3::write_single(&self.context));
        } else if clear {
            headers.remove(b3::SINGLE);
        }
    }

    /// Whether a head that came with this says it already.
    pub fn is_in(&self, headers: &HeaderMap, remote: Option<(Propagation, Remote)>) -> bool {
        let said = Remote { ids: Some((self.context.trace, self.context.span)), sampled: Some(self.context.sampled) };
        match remote {
            Some((format, remote)) => self.emit == Formats::of(&[format]) && remote == said && !is_in_others(headers, format),
            None => false,
        }
    }

    /// A span below that of this context.
    #[must_use]
    pub fn child(&self, span: u64, parent: u64) -> Self {
        Self { context: Context { span, parent, ..self.context }, ..*self }
    }

    /// The same for a copy, which is not to be seen in the trace.
    #[must_use]
    pub fn unsampled(&self) -> Self {
        Self { context: Context { sampled: false, ..self.context }, ..*self }
    }
}

/// Whether there is a field of any format.
fn is_any_in(headers: &HeaderMap) -> bool {
    headers.keys().map(HeaderName::as_str).any(|name| name.starts_with("trace") || name == "b3" || name.starts_with("x-b3-"))
}

/// Whether there are fields of another format.
fn is_in_others(headers: &HeaderMap, format: Propagation) -> bool {
    (format != Propagation::W3c && headers.contains_key(w3c::TRACEPARENT))
        || (format != Propagation::B3 && b3::FIELDS.iter().any(|name| headers.contains_key(name)))
        || (format != Propagation::B3Single && headers.contains_key(b3::SINGLE))
}

/// What a head says of a trace, in the first format that it does. What cannot be understood is not there.
pub fn read(headers: &HeaderMap, accept: &[Propagation]) -> Option<(Propagation, Remote)> {
    accept.iter().find_map(|format| {
        let remote = match format {
            Propagation::W3c => w3c::read(headers),
            Propagation::B3 => b3::read(headers),
            Propagation::B3Single => b3::read_single(headers),
        };
        Some((*format, remote?))
    })
}

/// What vendors say beside the trace; it means nothing without its `traceparent`, and goes on only whole.
pub fn state(headers: &HeaderMap) -> Option<String> {
    let mut state = String::new();
    for value in headers.get_all(TRACESTATE) {
        let value = value.to_str().ok()?.trim();
        if !state.is_empty() && !value.is_empty() {
            state.push(',');
        }
        state.push_str(value);
    }
    (!state.is_empty()).then_some(state)
}

/// Leaves out what is too long, or belongs to no trace that goes on.
pub fn bound_state(headers: &mut HeaderMap, goes_on: bool) {
    if !headers.contains_key(TRACESTATE) {
        return;
    }
    let bytes: usize = headers.get_all(TRACESTATE).iter().map(|value| value.len() + 1).sum();
    if !goes_on || bytes > STATE_BYTES_MAX + 1 {
        headers.remove(TRACESTATE);
    }
}

/// An id in lower case, as it stands in every format.
#[derive(Debug, Clone, Copy)]
pub struct Hex<T>(pub T);

impl Hex<u128> {
    pub fn digits(self) -> [u8; 32] {
        let mut text = [0; 32];
        digits(&mut text, self.0);
        text
    }
}

impl Hex<u64> {
    pub fn digits(self) -> [u8; 16] {
        let mut text = [0; 16];
        digits(&mut text, self.0.into());
        text
    }
}

impl fmt::Display for Hex<u128> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Display for Hex<u64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

/// Exactly so many digits, lower case only, and not zero.
fn id(text: &str, digits: usize) -> Option<u128> {
    let is_id = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| u128::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0)
}

fn span(text: &str) -> Option<u64> {
    id(text, 16).and_then(|id| u64::try_from(id).ok())
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes an id into the end of a place of an even length.
fn digits(place: &mut [u8], id: u128) {
    for (pair, byte) in place.rchunks_exact_mut(2).zip(id.to_le_bytes()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// The one field of this name as text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(str::trim)
}

/// Digits and `-` are always a value.
fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use Propagation::{B3, B3Single, W3c};

    fn context() -> impl Strategy<Value = Context> {
        (1_u128.., 1_u64.., any::<u64>(), any::<bool>()).prop_map(|(trace, span, parent, sampled)| Context {
            trace,
            span,
            parent,
            sampled,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_each_format(context in context()) {
            for format in [W3c, B3, B3Single] {
                let (mut headers, trace) = (HeaderMap::new(), Trace { context, emit: Formats::of(&[format]) });
                trace.write(&mut headers);
                let said = Remote { ids: Some((context.trace, context.span)), sampled: Some(context.sampled) };
                prop_assert_eq!(read(&headers, &[format]), Some((format, said)));
                prop_assert!(trace.is_in(&headers, Some((format, said))));
                for other in [W3c, B3, B3Single].into_iter().filter(|other| *other != format) {
                    prop_assert_eq!(read(&headers, &[other]), None);
                }
            }
        }

        #[test]
        fn no_text_is_a_crash(text in "[0-9a-fA-F-]{0,80}|\\PC{0,80}") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&text) {
                for name in ["traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"] {
                    headers.insert(name, value.clone());
                }
            }
            for format in [W3c, B3, B3Single] {
                if let Some((_, Remote { ids: Some((trace, span)), .. })) = read(&headers, &[format]) {
                    prop_assert!(trace != 0 && span != 0);
                }
            }
        }
    }

    #[test]
    fn other_words_do_not_stay_beside_those_that_go_on() {
        let context = Context { trace: 7, span: 9, parent: 0, sampled: true };
        let mut headers = HeaderMap::new();
        Trace { context, emit: Formats::of(&[B3, B3Single, W3c]) }.write(&mut headers);
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        assert_eq!(headers.len(), 6, "{headers:?}");
        Trace { context, emit: Formats::of(&[B3Single]) }.write(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["b3"]);
    }

    #[test]
    fn a_field_of_another_format_goes_where_it_stands_alone_as_well() {
        let context = Context { trace: 7, span: 9, parent: 0, sampled: true };
        for (emit, stays, others) in [
            (B3Single, "b3", &b3::FIELDS.each_ref().map(HeaderName::as_str)[..]),
            (B3Single, "b3", &["traceparent", "tracestate"]),
            (W3c, "traceparent", &b3::FIELDS.each_ref().map(HeaderName::as_str)),
            (W3c, "traceparent", &["b3"]),
        ] {
            for other in others {
                let name = HeaderName::from_bytes(other.as_bytes()).expect("a name");
                let mut headers = HeaderMap::from_iter([(name, HeaderValue::from_static("1"))]);
                Trace { context, emit: Formats::of(&[emit]) }.write(&mut headers);
                assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), [stays], "{other}");
            }
        }
    }

    #[test]
    fn the_first_format_that_is_there_counts() {
        let mut headers = HeaderMap::new();
        headers.insert("b3", HeaderValue::from_static("00000000000000000000000000000007-0000000000000009-1"));
        headers.insert("traceparent", HeaderValue::from_static("no trace"));
        assert_eq!(read(&headers, &[W3c, B3Single]).map(|(format, _)| format), Some(B3Single));
        assert_eq!(read(&headers, &[W3c, B3]), None);
    }

    #[test]
    fn a_state_goes_on_whole_or_not_at_all() {
        let with = |texts: &[String]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(TRACESTATE, HeaderValue::from_str(text).expect("a value"));
            }
            headers
        };
        let mut headers = with(&["a=1".to_owned(), "b=2".to_owned()]);
        bound_state(&mut headers, true);
        assert_eq!(state(&headers).as_deref(), Some("a=1,b=2"));
        bound_state(&mut headers, false);
        assert_eq!(state(&headers), None);
        for (bytes, kept) in [(STATE_BYTES_MAX, true), (STATE_BYTES_MAX + 1, false)] {
            let mut headers = with(&["x".repeat(bytes)]);
            bound_state(&mut headers, true);
            assert_eq!(state(&headers).is_some(), kept, "{bytes}");
        }
    }
}
