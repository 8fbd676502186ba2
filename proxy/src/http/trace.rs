//! The beginning of an exchange's part in a trace: whose trace goes on here, whether it is sampled, and what is said onwards.
//!
//! An exchange that is not sampled costs this and no more: nothing is allocated but the value of the field, where it has to
//! be another one than came.

use std::rc::Rc;

use crate::config::{AcceptFrom, Propagation, Tracing};
use crate::exchange::trail::Sampled;
use crate::exchange::{Exchange, Trail};
use crate::telemetry::propagation::{self, Context, Formats, Remote, Trace};

/// `steps_max`: of the trail, if it is sampled.
pub fn begin(exchange: &mut Exchange, tracing: &Tracing, steps_max: usize) {
    let trusted = exchange.connection.trusted;
    let headers = &mut exchange.request.headers;
    let forced = match &tracing.force_header {
        Some(name) if trusted => headers.contains_key(name),
        Some(name) => {
            headers.remove(name);
            false
        }
        None => false,
    };
    let said = propagation::is_any_in(headers);
    let heard = said && (trusted || tracing.accept_from == AcceptFrom::Any);
    let remote = if heard { propagation::read(headers, &tracing.accept) } else { None };
    let context = context(remote.map(|(_, remote)| remote).unwrap_or_default(), forced, tracing.sample);
    let trace = Trace { context, emit: Formats::of(&tracing.emit) };
    let goes_on = remote.is_some_and(|(format, remote)| format == Propagation::W3c && remote.ids.is_some());
    if said {
        propagation::bound_state(headers, goes_on);
        if !trace.is_in(headers, remote) {
            trace.write(headers);
        }
    } else {
        trace.add(headers);
    }
    if context.sampled {
        let state = propagation::state(headers);
        exchange.trail = Some(Rc::new(Trail::new(steps_max, Some(Sampled { trace, state }))));
    }
    exchange.trace = Some(trace);
}

/// An exchange that is not sampled has no span, so it hands its parent's on.
fn context(remote: Remote, forced: bool, share: f64) -> Context {
    let sampled = forced || remote.sampled.unwrap_or_else(|| fastrand::f64() < share);
    let own = || fastrand::u64(1..);
    match remote.ids {
        Some((trace, parent)) if sampled => Context { trace, span: own(), parent, sampled },
        Some((trace, span)) => Context { trace, span, parent: 0, sampled },
        None => Context { trace: fastrand::u128(1..), span: own(), parent: 0, sampled },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;

    use http::{HeaderName, HeaderValue};

    const SAMPLED: &str = "00-0000000000000000000000000000000a-000000000000000b-01";
    const UNSAMPLED: &str = "00-0000000000000000000000000000000a-000000000000000b-00";

    fn begun(tracing: &Tracing, trusted: bool, fields: &[(&'static str, &str)]) -> Exchange {
        let mut exchange = crate::exchange::tests::exchange();
        Arc::get_mut(&mut exchange.connection).expect("nobody else has it").trusted = trusted;
        for (name, text) in fields {
            exchange.request.headers.append(*name, HeaderValue::from_str(text).expect("a value"));
        }
        begin(&mut exchange, tracing, 8);
        exchange
    }

    fn said(exchange: &Exchange) -> &str {
        exchange.request.headers["traceparent"].to_str().expect("text")
    }

    fn sampling(share: f64) -> Tracing {
        Tracing { sample: share, ..Tracing::default() }
    }

    #[test]
    fn a_parent_decides_and_where_there_is_none_the_share_does() {
        for share in [0.0, 1.0] {
            let tracing = sampling(share);
            let sampled = begun(&tracing, false, &[("traceparent", SAMPLED), ("tracestate", "v=1")]);
            let context = sampled.trace.expect("a trace").context;
            assert_eq!((context.trace, context.parent, context.sampled), (0xa, 0xb, true));
            assert!(said(&sampled).starts_with("00-0000000000000000000000000000000a-") && !said(&sampled).contains("000b-"));
            let trail = sampled.trail.as_ref().expect("it is looked at");
            assert_eq!(trail.sampled().and_then(|sampled| sampled.state.as_deref()), Some("v=1"));
            let unsampled = begun(&tracing, false, &[("traceparent", UNSAMPLED), ("tracestate", "v=1")]);
            assert_eq!((said(&unsampled), unsampled.trail.is_none()), (UNSAMPLED, true));
            assert_eq!(unsampled.request.headers["tracestate"], "v=1");
            let root = begun(&tracing, false, &[("traceparent", "nonsense"), ("tracestate", "v=1")]);
            assert_eq!(root.trail.is_some(), share > 0.0);
            assert!(said(&root).ends_with(if share > 0.0 { "-01" } else { "-00" }), "{}", said(&root));
            assert!(!root.request.headers.contains_key("tracestate"), "it belongs to another trace");
        }
    }

    #[test]
    fn only_trusted_peers_force() {
        let tracing = Tracing { force_header: Some(HeaderName::from_static("x-trace")), ..sampling(0.0) };
        for trusted in [true, false] {
            for fields in [&[("x-trace", "1")][..], &[("x-trace", "1"), ("traceparent", UNSAMPLED)]] {
                let exchange = begun(&tracing, trusted, fields);
                assert_eq!(exchange.trail.is_some(), trusted);
                assert_eq!(exchange.request.headers.contains_key("x-trace"), trusted);
            }
        }
    }

    #[test]
    fn traces_of_strangers_can_be_left_alone() {
        let tracing = Tracing { accept_from: AcceptFrom::Trusted, ..sampling(0.0) };
        for trusted in [true, false] {
            let exchange = begun(&tracing, trusted, &[("traceparent", SAMPLED)]);
            assert_eq!(exchange.trace.is_some_and(|trace| trace.context.trace == 0xa && trace.context.sampled), trusted);
            assert_eq!(said(&exchange).contains("000a-"), trusted);
        }
    }

    #[test]
    fn the_words_may_change_on_the_way() {
        let (accept, emit) = (vec![Propagation::B3, Propagation::B3Single], vec![Propagation::W3c]);
        let tracing = Tracing { accept, emit, ..sampling(0.0) };
        let single = "0000000000000000000000000000000a-000000000000000b-0";
        let exchange = begun(&tracing, false, &[("b3", single), ("tracestate", "v=1")]);
        assert_eq!((said(&exchange), exchange.request.headers.len()), (UNSAMPLED, 1));
        // A decision without a trace.
        let exchange = begun(&tracing, false, &[("x-b3-sampled", "1")]);
        assert!(exchange.trail.is_some() && said(&exchange).ends_with("-01"));
    }
}
