//! The filter against the SDK's fake host, which has the rules of the real one. `cargo test` runs this natively.

use {crate}::ThisFilter;

use tamis_sdk::testing::{Exchange, configure};

#[test]
fn what_is_closed_stays_closed() {
    let filter = configure::<ThisFilter>(r#"{ "closed": ["/shop"], "retry-after": 5 }"#).unwrap();
    for path in ["/shop", "/shop/7", "/shop?item=7"] {
        let closed = Exchange::get(path).through(&filter);
        let response = closed.response().unwrap();
        assert_eq!(response.status(), 503, "{path}");
        assert_eq!(response.header("retry-after").unwrap(), "5");
    }
}

#[test]
fn everything_else_passes() {
    let filter = configure::<ThisFilter>(r#"{ "closed": ["/shop"] }"#).unwrap();
    for path in ["/", "/shopping", "/blog/shop"] {
        let open = Exchange::get(path).through(&filter);
        assert!(open.upstream().is_some(), "{path}");
        assert_eq!(
            open.response().unwrap().header("x-filter").unwrap(),
            "{name}"
        );
    }
}

#[test]
fn a_bad_path_is_refused_with_its_place() {
    let error = configure::<ThisFilter>(r#"{ "closed": ["/shop", "blog"] }"#)
        .err()
        .unwrap();
    assert_eq!(error.path(), "closed[1]");
}
