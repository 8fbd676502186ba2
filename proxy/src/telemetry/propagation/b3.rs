//! B3, the fields of Zipkin: `X-B3-TraceId` and others, or all in the one field `b3`.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Context, Remote, digits, id, only, span, value};

pub const SINGLE: HeaderName = HeaderName::from_static("b3");
const TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
/// `1`: debug, which is sampled and more.
const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");
pub const FIELDS: [HeaderName; 5] = [TRACE, SPAN, PARENT, SAMPLED, FLAGS];

/// In several fields. Who has decided that nothing is sampled may say that and nothing else.
pub fn read(headers: &HeaderMap) -> Option<Remote> {
    let sampled = match (only(headers, &FLAGS), only(headers, &SAMPLED)) {
        (Some("1"), _) => Some(true),
        (_, Some(word)) => decision(word),
        (_, None) => None,
    };
    let ids = match (only(headers, &TRACE), only(headers, &SPAN)) {
        (Some(trace), Some(parent)) => trace_id(trace).zip(span(parent)),
        _ => None,
    };
    (ids.is_some() || sampled.is_some()).then_some(Remote { ids, sampled })
}

/// In one: `TRACE-SPAN`, `TRACE-SPAN-SAMPLED`, `TRACE-SPAN-SAMPLED-PARENT`, or `SAMPLED` alone.
pub fn read_single(headers: &HeaderMap) -> Option<Remote> {
    let text = only(headers, &SINGLE)?;
    let mut parts = text.split('-');
    let first = parts.next()?;
    let Some(parent) = parts.next() else { return Some(Remote { ids: None, sampled: Some(decision(first)?) }) };
    let ids = Some((trace_id(first)?, span(parent)?));
    let sampled = match parts.next() {
        Some(word) => Some(decision(word)?),
        None => None,
    };
    let grandparent = parts.next().is_none_or(|text| span(text).is_some());
    (grandparent && parts.next().is_none()).then_some(Remote { ids, sampled })
}

/// Of 128 bits, or of 64.
fn trace_id(text: &str) -> Option<u128> {
    id(text, 32).or_else(|| id(text, 16))
}

fn decision(word: &str) -> Option<bool> {
    match word {
        // Some old tracers write words.
        "1" | "d" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

pub fn write(context: &Context, headers: &mut HeaderMap) {
    let (mut trace, mut span) = ([0; 32], [0; 16]);
    digits(&mut trace, context.trace);
    digits(&mut span, context.span.into());
    headers.insert(TRACE, value(&trace));
    headers.insert(SPAN, value(&span));
    if context.parent == 0 {
        headers.remove(PARENT);
    } else {
        digits(&mut span, context.parent.into());
        headers.insert(PARENT, value(&span));
    }
    headers.insert(SAMPLED, HeaderValue::from_static(if context.sampled { "1" } else { "0" }));
    headers.remove(FLAGS);
}

pub fn write_single(context: &Context) -> HeaderValue {
    let mut text = *b"00000000000000000000000000000000-0000000000000000-0-0000000000000000";
    digits(&mut text[..32], context.trace);
    digits(&mut text[33..49], context.span.into());
    text[50] = if context.sampled { b'1' } else { b'0' };
    digits(&mut text[52..], context.parent.into());
    value(if context.parent == 0 { &text[..51] } else { &text })
}

pub fn remove(headers: &mut HeaderMap) {
    for name in &FIELDS {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const IDS: Option<(u128, u64)> = Some((0x80f1_98ee_5634_3ba8_64fe_8b2a_57d3_eff7, 0xe457_b5a2_e4d8_6bd1));

    fn fields(fields: &[(&'static str, &str)]) -> Option<Remote> {
        let mut headers = HeaderMap::new();
        for (name, text) in fields {
            headers.append(*name, HeaderValue::from_str(text).expect("a value"));
        }
        read(&headers)
    }

    fn single(text: &str) -> Option<Remote> {
        let mut headers = HeaderMap::new();
        headers.insert(SINGLE, HeaderValue::from_str(text).expect("a value"));
        read_single(&headers)
    }

    #[test]
    fn several_fields() {
        let ids = [("x-b3-traceid", LONG), ("x-b3-spanid", "e457b5a2e4d86bd1")];
        let with = |more: &[(&'static str, &str)]| fields(&[&ids[..], more].concat());
        for (more, sampled) in [
            (&[][..], None),
            (&[("x-b3-sampled", "1")], Some(true)),
            (&[("x-b3-sampled", "true"), ("x-b3-parentspanid", "05e3ac9a4f6e3b90")], Some(true)),
            (&[("x-b3-sampled", "0")], Some(false)),
            (&[("x-b3-flags", "1"), ("x-b3-sampled", "0")], Some(true)),
            (&[("x-b3-sampled", "maybe")], None),
        ] {
            assert_eq!(with(more), Some(Remote { ids: IDS, sampled }), "{more:?}");
        }
        let short = fields(&[("x-b3-traceid", &LONG[16..]), ("x-b3-spanid", "e457b5a2e4d86bd1")]).expect("64 bits will do");
        assert_eq!(short.ids.map(|(trace, _)| trace), Some(0x64fe_8b2a_57d3_eff7));
        assert_eq!(fields(&[("x-b3-sampled", "0")]), Some(Remote { ids: None, sampled: Some(false) }));
        for ids in
            [[("x-b3-traceid", "xyz"), ("x-b3-spanid", "1")], [("x-b3-traceid", LONG), ("x-b3-spanid", "0000000000000000")]]
        {
            assert_eq!(fields(&ids), None, "{ids:?}");
        }
    }

    #[test]
    fn one_field() {
        let good = format!("{LONG}-e457b5a2e4d86bd1");
        assert_eq!(single(&good), Some(Remote { ids: IDS, sampled: None }));
        assert_eq!(single(&format!("{good}-1-05e3ac9a4f6e3b90")), Some(Remote { ids: IDS, sampled: Some(true) }));
        assert_eq!(single(&format!("{good}-d")), Some(Remote { ids: IDS, sampled: Some(true) }));
        assert_eq!(single("0"), Some(Remote { ids: None, sampled: Some(false) }));
        for text in
            ["", "2", "-", &format!("{good}-x"), &format!("{good}-1-"), &format!("{good}-1-05e3ac9a4f6e3b90-"), &good[1..]]
        {
            assert_eq!(single(text), None, "{text}");
        }
    }
}
