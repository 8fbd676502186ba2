//! The request: reading it, writing it, and what cannot be written.

use tamis_sdk::{Method, Verdict};

use crate::case::{Case, Upstream};
use crate::check::{holds, is, refused, taken};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "request/head",
        method: "DELETE",
        target: "/users/7?fields=name&x=",
        upstream: Some(Upstream { method: "DELETE", target: "/users/7?fields=name&x=", ..Upstream::PLAIN }),
        on_request: |request| {
            is("method", request.method(), Method::DELETE)?;
            is("path", request.path(), "/users/7")?;
            is("query", request.query().as_deref(), Some("fields=name&x="))?;
            holds("the authority is there", !request.authority().is_empty())?;
            holds("the scheme is http or https", ["http", "https"].contains(&request.scheme().as_str()))?;
            holds("the id is there", !request.id().is_empty())?;
            is("id", request.id(), request.id())?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/a-method-of-ones-own",
        method: "PURGE",
        upstream: Some(Upstream { method: "PURGE", ..Upstream::PLAIN }),
        on_request: |request| {
            is("method", request.method().as_str(), "PURGE")?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/no-query-and-an-empty-one",
        target: "/a?",
        upstream: Some(Upstream { target: "/b", ..Upstream::PLAIN }),
        on_request: |request| {
            is("path", request.path(), "/a")?;
            is("empty query", request.query().as_deref(), Some(""))?;
            taken("set-target", request.set_target("/b"))?;
            is("no query", request.query(), None)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/a-path-is-normalized",
        target: "/a/./b/../c//d/%7Ee?x=/../y//z",
        upstream: Some(Upstream { target: "/a/c/d/~e?x=/../y//z", ..Upstream::PLAIN }),
        on_request: |request| {
            is("path", request.path(), "/a/c/d/~e")?;
            is("query", request.query().as_deref(), Some("x=/../y//z"))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/set-head",
        target: "/old?x=1",
        upstream: Some(Upstream {
            method: "PUT",
            target: "/new/path?y=2&z=%20",
            authority: Some("other.example:8080"),
            ..Upstream::PLAIN
        }),
        on_request: |request| {
            taken("set-method", request.set_method(&Method::PUT))?;
            taken("set-target", request.set_target("/new/path?y=2&z=%20"))?;
            taken("set-authority", request.set_authority("other.example:8080"))?;
            is("method", request.method(), Method::PUT)?;
            is("path", request.path(), "/new/path")?;
            is("query", request.query().as_deref(), Some("y=2&z=%20"))?;
            is("authority", request.authority(), "other.example:8080")?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/what-cannot-be-set",
        target: "/kept?x=1",
        upstream: Some(Upstream { target: "/kept?x=1", ..Upstream::PLAIN }),
        on_request: |request| {
            let authority = request.authority();
            refused("CONNECT", request.set_method(&Method::CONNECT), "CONNECT")?;
            refused("no slash", request.set_target("users"), "")?;
            refused("an empty target", request.set_target(""), "")?;
            refused("a space", request.set_target("/a b"), "")?;
            refused("a fragment", request.set_target("/a#b"), "")?;
            refused("a line break", request.set_target("/a\r\nx: y"), "")?;
            refused("a long target", request.set_target(&format!("/{}", "a".repeat(8192))), "")?;
            taken("the longest target", request.set_target(&format!("/{}", "a".repeat(8191))))?;
            taken("the old target", request.set_target("/kept?x=1"))?;
            refused("an empty authority", request.set_authority(""), "")?;
            refused("an authority with a path", request.set_authority("a.example/b"), "")?;
            refused("an authority with a space", request.set_authority("a b"), "")?;
            is("method", request.method(), Method::GET)?;
            is("path", request.path(), "/kept")?;
            is("authority", request.authority(), authority)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/headers",
        headers: &[
            ("x-one", b"1"),
            ("x-many", b"a"),
            ("x-between", b""),
            ("x-many", b"b, c"),
            ("x-many", b"d"),
            ("x-bytes", b"\xe4\xf6"),
        ],
        on_request: |request| {
            is("one", request.header("x-one").as_ref().map(|v| v.as_bytes()), Some(b"1".as_slice()))?;
            is("any case", request.header("X-One").as_ref().map(|v| v.as_bytes()), Some(b"1".as_slice()))?;
            is("joined", request.header("x-many").as_ref().map(|v| v.as_bytes()), Some(b"a, b, c, d".as_slice()))?;
            let many = request.headers("X-Many");
            is("each", many.iter().map(|v| v.as_bytes()).collect::<Vec<_>>(), ["a", "b, c", "d"].map(str::as_bytes))?;
            is("empty", request.header("x-between").as_ref().map(|v| v.as_bytes()), Some(b"".as_slice()))?;
            is("bytes", request.header("x-bytes").as_ref().map(|v| v.as_bytes()), Some(b"\xe4\xf6".as_slice()))?;
            is("none", request.header("x-none"), None)?;
            is("no values", request.headers("x-none").len(), 0)?;
            is("not a name", request.header("not a name"), None)?;
            is("no values of what is no name", request.headers("not a name").len(), 0)?;
            Ok(Verdict::Next)
        },
        upstream: Some(Upstream {
            headers: &[("x-one", &[b"1"]), ("x-many", &[b"a", b"b, c", b"d"]), ("x-bytes", &[b"\xe4\xf6"])],
            ..Upstream::PLAIN
        }),
        ..Case::PLAIN
    },
    Case {
        name: "request/cookies-are-joined-by-semicolons",
        headers: &[("cookie", b"a=1"), ("cookie", b"b=2; c=3")],
        on_request: |request| {
            is("cookie", request.header("cookie").as_ref().map(|v| v.as_bytes()), Some(b"a=1; b=2; c=3".as_slice()))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/all-headers",
        headers: &[("X-Mixed", b"Case"), ("x-many", b"a"), ("x-empty", b""), ("x-many", b"b"), ("x-bytes", b"\xff\x80")],
        on_request: |request| {
            let all = request.all_headers();
            let values = |name: &str| all.iter().filter(|(n, _)| *n == name).map(|(_, v)| v.to_vec()).collect::<Vec<_>>();
            is("mixed", values("x-mixed"), [b"Case".to_vec()])?;
            is("many", values("x-many"), [b"a".to_vec(), b"b".to_vec()])?;
            is("empty", values("x-empty"), [b"".to_vec()])?;
            is("bytes", values("x-bytes"), [b"\xff\x80".to_vec()])?;
            is("count", all.iter().count(), all.len())?;
            holds("names are in lower case", all.iter().all(|(name, _)| !name.bytes().any(|b| b.is_ascii_uppercase())))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/set-add-and-remove-headers",
        headers: &[("x-replaced", b"1"), ("x-replaced", b"2"), ("x-more", b"a"), ("x-gone", b"1"), ("x-gone", b"2")],
        upstream: Some(Upstream {
            headers: &[
                ("x-replaced", &[b"3"]),
                ("x-more", &[b"a", b"b"]),
                ("x-new", &[b"\xe4"]),
                ("x-added", &[b"1"]),
                ("x-mixed", &[b"Case"]),
            ],
            absent: &["x-gone"],
            ..Upstream::PLAIN
        }),
        on_request: |request| {
            taken("set", request.set_header("x-replaced", "3"))?;
            taken("add", request.add_header("x-more", "b"))?;
            taken("set new", request.set_header("x-new", b"\xe4"))?;
            taken("add new", request.add_header("x-added", "1"))?;
            taken("mixed case", request.set_header("X-Mixed", "Case"))?;
            request.remove_header("X-Gone");
            request.remove_header("x-never-there");
            request.remove_header("not a name");
            is("set", request.headers("x-replaced").len(), 1)?;
            is("add", request.headers("x-more").len(), 2)?;
            is("mixed", request.header("x-mixed").as_ref().map(|v| v.as_bytes()), Some(b"Case".as_slice()))?;
            is("removed", request.header("x-gone"), None)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/headers-that-are-refused",
        headers: &[("x-kept", b"1")],
        upstream: Some(Upstream { headers: &[("x-kept", &[b"1"])], absent: &["transfer-encoding"], ..Upstream::PLAIN }),
        on_request: |request| {
            refused("host", request.set_header("Host", "b.example"), "host")?;
            for name in FRAMING {
                refused(name, request.set_header(name, "1"), name)?;
                refused(name, request.add_header(name, "1"), name)?;
                request.remove_header(name);
            }
            refused("an empty name", request.set_header("", "1"), "")?;
            refused("a space in a name", request.set_header("x y", "1"), "")?;
            refused("a colon in a name", request.add_header("x:y", "1"), "")?;
            refused("a pseudo-field", request.set_header(":path", "/"), "")?;
            refused("a line break", request.set_header("x-kept", "2\r\nx-more: 3"), "")?;
            refused("a zero", request.add_header("x-kept", b"2\0"), "")?;
            is("kept", request.headers("x-kept").len(), 1)?;
            let authority = request.authority();
            request.remove_header("host");
            is("authority", request.authority(), authority)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/a-long-method",
        on_request: |request| {
            holds("such a method cannot even be made", Method::from_bytes(b"GE T").is_err())?;
            let long = Method::from_bytes(b"VERSION-CONTROL").map_err(|error| error.to_string())?;
            taken("a long method", request.set_method(&long))?;
            is("method", request.method(), long)?;
            taken("and back", request.set_method(&Method::GET))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "request/readable-in-the-response-phase",
        method: "POST",
        target: "/late?x=1",
        headers: &[("x-late", b"yes")],
        upstream: Some(Upstream {
            method: "POST",
            target: "/late?x=1",
            headers: &[("x-late", &[b"yes"])],
            absent: &["x-too-late"],
            ..Upstream::PLAIN
        }),
        on_response: |response| {
            let mut request = response.request();
            is("method", request.method(), Method::POST)?;
            is("path", request.path(), "/late")?;
            is("query", request.query().as_deref(), Some("x=1"))?;
            is("header", request.header("x-late").as_ref().map(|v| v.as_bytes()), Some(b"yes".as_slice()))?;
            taken("set", request.set_header("x-too-late", "1"))?;
            holds("what was set is there", request.header("x-too-late").is_some())?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
];

/// What belongs to the framing.
pub(super) const FRAMING: [&str; 8] =
    ["connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];
