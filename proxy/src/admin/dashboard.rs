//! `GET /dashboard`: one page that shows what the other answers say. Its three files are in the binary, it asks nobody but this
//! proxy, and a browser is told to run nothing else.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Response, header};
use http_body_util::Full;

const POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, or a file of it by its name; `None` if there is none.
pub fn file(name: &str) -> Option<Response<Full<Bytes>>> {
    let (kind, content) = match name {
        "" => ("text/html; charset=utf-8", include_str!("dashboard/index.html")),
        "style.css" => ("text/css; charset=utf-8", include_str!("dashboard/style.css")),
        "script.js" => ("text/javascript; charset=utf-8", include_str!("dashboard/script.js")),
        _ => return None,
    };
    let mut answer = Response::new(Full::new(Bytes::from_static(content.as_bytes())));
    let fields = [
        (CONTENT_TYPE, kind),
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
