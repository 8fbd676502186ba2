//! `traceparent` as W3C Trace Context has it: `00-TRACE-SPAN-FLAGS`.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Context, Remote, digits, id, only, span, value};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const LENGTH: usize = 55;
const SAMPLED: u8 = 1;

/// Later versions may say more behind what this one says, after another `-`.
pub fn read(headers: &HeaderMap) -> Option<Remote> {
    let text = only(headers, &TRACEPARENT)?;
    let (known, more) = (text.get(..LENGTH)?, text.get(LENGTH..)?);
    let mut parts = known.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let version = byte(version).filter(|version| *version != 0xff)?;
    if parts.next().is_some() || !more.is_empty() && (version == 0 || !more.starts_with('-')) {
        return None;
    }
    Some(Remote { ids: Some((id(trace, 32)?, span(parent)?)), sampled: Some(byte(flags)? & SAMPLED != 0) })
}

fn byte(text: &str) -> Option<u8> {
    let is_byte = text.len() == 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_byte.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

pub fn write(context: &Context) -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    digits(&mut text[3..35], context.trace);
    digits(&mut text[36..52], context.span.into());
    text[54] = if context.sampled { b'1' } else { b'0' };
    value(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

    fn parent(text: &str) -> Option<Remote> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(text).expect("a value"));
        read(&headers)
    }

    #[test]
    fn the_example_of_the_specification() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parent(text), Some(Remote { ids: Some((TRACE, PARENT)), sampled: Some(true) }));
        assert_eq!(write(&Context { trace: TRACE, span: PARENT, parent: 0, sampled: true }), text);
        let unsampled = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02").expect("other flags mean nothing here");
        assert_eq!(unsampled.sampled, Some(false));
    }

    #[test]
    fn what_is_malformed_is_no_parent() {
        let good = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for text in [
            String::new(),
            format!("00-{good}"),
            format!("00-{good}-1"),
            format!("00-{good}-01-more"),
            format!("00-{good}-01x"),
            format!("cc-{good}-01x"),
            format!("ff-{good}-01"),
            format!("00-{}-01", good.to_uppercase()),
            format!("00-{good}-0g"),
            format!("00_{good}-01"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7--01".to_owned(),
        ] {
            assert_eq!(parent(&text), None, "{text}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(TRACEPARENT, HeaderValue::from_str(&format!("00-{good}-01")).expect("a value"));
        }
        assert_eq!(read(&twice), None);
    }

    #[test]
    fn a_later_version_may_say_more() {
        for text in [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes",
        ] {
            assert_eq!(parent(text).and_then(|remote| remote.ids), Some((TRACE, PARENT)), "{text}");
        }
    }
}
