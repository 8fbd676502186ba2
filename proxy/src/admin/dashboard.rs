//! `GET /dashboard`: one page that shows what the other answers say. Its files are in the binary, it asks nobody but this
//! proxy, and a browser is told to run nothing else.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Response, header};
use http_body_util::Full;

const POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! page {
    ($($name:literal: $kind:literal),+ $(,)?) => {
        &[$(($name, $kind, include_str!(concat!("dashboard/", $name)))),+]
    };
}

/// Name, type and content of each.
const FILES: &[(&str, &str, &str)] = page! {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "script.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "numbers.js": "text/javascript; charset=utf-8",
    "draw.js": "text/javascript; charset=utf-8",
    "endpoints.js": "text/javascript; charset=utf-8",
    "filters.js": "text/javascript; charset=utf-8",
    "tap.js": "text/javascript; charset=utf-8",
};

/// The page, or a file of it by its name; `None` if there is none.
pub fn file(name: &str) -> Option<Response<Full<Bytes>>> {
    let wanted = match name {
        "" => "index.html",
        "index.html" => return None,
        name => name,
    };
    let (_, kind, content) = FILES.iter().find(|(name, ..)| *name == wanted)?;
    let mut answer = Response::new(Full::new(Bytes::from_static(content.as_bytes())));
    let fields = [
        (CONTENT_TYPE, *kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Another version of the proxy has another page.
        (CACHE_CONTROL, "no-cache"),
    ];
    answer.headers_mut().extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Some(answer)
}

/// Whether somebody looks with a browser, for whom a page is better than a list of paths.
pub fn is_browser(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().windows(9).any(|part| part == b"text/html"))
}
