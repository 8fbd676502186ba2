//! Values of a request that lie inside of others: cookies and query parameters.

use std::borrow::Cow;

use tamis_sdk::Request;

/// Whether it is a gRPC call, as the proxy sees it: such a client looks for its status in fields of their own.
pub fn is_grpc(request: &Request) -> bool {
    request.header("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The values of a cookie, in the order in which they came.
pub fn cookies(request: &Request, name: &str) -> Vec<String> {
    let mut values = Vec::new();
    for field in request.headers("cookie") {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let Some(rest) = pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) else { continue };
            values.push(String::from_utf8_lossy(rest).into_owned());
        }
    }
    values
}

/// The values of a query parameter, decoded, in the order in which they came. One without `=` has an empty value.
pub fn parameters<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*decoded(key) == *name.as_bytes()).then(|| decoded(value).into_owned())
    })
}

/// Without percent-escapes, and with spaces where a form has plus signs. An escape that is none stays as it is.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| (*byte as char).to_digit(16));
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                &after[2..]
            }
            _ => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                after
            }
        };
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let values = |query, name| parameters(query, name).map(|value| String::from_utf8(value).unwrap()).collect::<Vec<_>>();
        assert_eq!(values("a=1&b=2&a=3", "a"), ["1", "3"]);
        assert_eq!(values("a=x%20y+z&%61=q", "a"), ["x y z", "q"]);
        assert_eq!(values("a&b=", "a"), [""]);
        assert_eq!(values("a=%zz%4", "a"), ["%zz%4"]);
        assert_eq!(values("ab=1&&=2", "a"), [""; 0]);
    }
}
