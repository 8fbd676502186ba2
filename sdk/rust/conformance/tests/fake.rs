//! Every case, against the fake host.

use std::collections::BTreeSet;

use tamis_sdk::Method;
use tamis_sdk::testing::{Configured, Exchange, Outcome, configure};
use tamis_sdk_conformance::{CASE, Case, Conformance, RESULT, cases};

fn run(filter: &Configured<Conformance>, case: &Case) -> Outcome {
    let method = Method::from_bytes(case.method.as_bytes()).unwrap();
    let mut exchange = Exchange::new(method, case.target).cluster("origin").header(CASE, case.name);
    for (name, value) in case.headers {
        exchange = exchange.header(name, value);
    }
    exchange = exchange.answered(case.answer.status).answer_body("upstream");
    for (name, value) in case.answer.headers {
        exchange = exchange.answer_header(name, value);
    }
    exchange.through(filter)
}

#[test]
fn every_case_holds_against_the_fake_host() {
    let filter = configure::<Conformance>("{}").unwrap();
    for case in cases() {
        let name = case.name;
        let outcome = run(&filter, case);
        let response = outcome.response().unwrap_or_else(|| panic!("{name}: reset"));
        let result = response.header(RESULT).map(|value| value.to_str().unwrap());
        assert_eq!(result, Some("ok"), "{name}");

        assert_eq!(response.status().as_u16(), case.client.status, "{name}");
        assert_eq!(response.text(), case.client.body, "{name}");
        for (field, values) in case.client.headers {
            let found: Vec<_> = response.headers().get_all(*field).iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, *values, "{name}: the client's {field}");
        }
        for field in case.client.absent {
            assert_eq!(response.header(field), None, "{name}: the client's {field}");
        }

        assert_eq!(outcome.upstream().is_some(), case.upstream.is_some(), "{name}: whether the upstream is asked");
        let (Some(sent), Some(expected)) = (outcome.upstream(), &case.upstream) else { continue };
        assert_eq!(sent.method(), expected.method, "{name}");
        assert_eq!(sent.target(), expected.target, "{name}");
        assert!(expected.authority.is_none_or(|authority| authority == sent.authority()), "{name}");
        for (field, values) in expected.headers {
            let found: Vec<_> = sent.headers().get_all(*field).iter().map(|value| value.as_bytes()).collect();
            assert_eq!(found, *values, "{name}: the upstream's {field}");
        }
        for field in expected.absent {
            assert_eq!(sent.header(field), None, "{name}: the upstream's {field}");
        }
    }
}

#[test]
fn names_are_unique_and_each_subject_has_cases() {
    let names: BTreeSet<_> = cases().iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases().len());
    let subjects = [
        "request",
        "response",
        "body",
        "chunk",
        "reply",
        "destination",
        "store",
        "quota",
        "http-client",
        "connection",
        "notes",
        "log",
        "clock",
        "entropy",
    ];
    for subject in subjects {
        assert!(names.iter().any(|name| name.starts_with(&format!("{subject}/"))), "{subject}");
    }
}

#[test]
fn a_request_that_names_no_case_passes() {
    let filter = configure::<Conformance>("{}").unwrap();
    let outcome = Exchange::get("/").header(CASE, "no/such/case").through(&filter);
    assert_eq!(outcome.response().unwrap().header(RESULT), None);
}
