//! Header fields as filters see them: names in lower case, values as bytes, every value within reach.

use std::cell::RefCell;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Why a field cannot be written, if it is one that frames a message or belongs to one hop. Filters reach these through functions of
/// their own, or not at all.
fn managed(name: &str) -> Option<&'static str> {
    match name {
        "host" => Some("it is set by set-authority"),
        "connection" | "content-length" | "transfer-encoding" | "keep-alive" | "proxy-connection" | "te" | "trailer"
        | "upgrade" => Some("it is managed by the proxy"),
        _ => None,
    }
}

/// Names that a worker knows by their text: to make one takes several times as long as to find it.
const NAMES: usize = 64;
/// A longer one is made each time.
const KNOWN_BYTES_MAX: usize = 64;

thread_local! {
    static KNOWN: RefCell<[Option<HeaderName>; NAMES]> = const { RefCell::new([const { None }; NAMES]) };
}

/// Its place among those that are known. Another name of the same place takes its turn.
fn place(text: &str) -> usize {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).map_or(0, |byte| usize::from(*byte));
    (bytes.len() + 3 * at(0) + 5 * at(bytes.len() / 2) + 7 * at(bytes.len().wrapping_sub(1))) % NAMES
}

/// Does something with a name; `None` if it is none.
fn with_name<T>(text: &str, job: impl FnOnce(&HeaderName) -> T) -> Option<T> {
    if text.len() > KNOWN_BYTES_MAX {
        return HeaderName::from_bytes(text.as_bytes()).ok().map(|name| job(&name));
    }
    KNOWN.with_borrow_mut(|known| {
        let known = &mut known[place(text)];
        match known {
            Some(name) if name.as_str() == text => Some(job(name)),
            _ => {
                let name = HeaderName::from_bytes(text.as_bytes()).ok()?;
                Some(job(known.insert(name)))
            }
        }
    })
}

fn name_of(text: &str) -> Result<HeaderName, String> {
    with_name(text, HeaderName::clone).ok_or_else(|| format!("`{text}` is no valid field name"))
}

fn writable(name: &str) -> Result<HeaderName, String> {
    let name = name_of(name)?;
    match managed(name.as_str()) {
        Some(why) => Err(format!("`{name}` cannot be set: {why}")),
        None => Ok(name),
    }
}

fn value_of(name: &HeaderName, value: &[u8]) -> Result<HeaderValue, String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("the value of `{name}` has {} bytes, expected at most {VALUE_BYTES_MAX}", value.len()));
    }
    HeaderValue::from_bytes(value).map_err(|_| format!("the value of `{name}` has bytes that no field value may have"))
}

/// All values of a name in one.
#[derive(Debug)]
pub enum Joined {
    /// There is just one, which is shared and not copied.
    One(HeaderValue),
    Several(Vec<u8>),
}

impl std::ops::Deref for Joined {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Joined::One(value) => value.as_bytes(),
            Joined::Several(values) => values,
        }
    }
}

/// All values joined by ", " (cookie: "; "); `None` if there is none.
pub fn joined(fields: &HeaderMap, name: &str) -> Option<Joined> {
    with_name(name, |name| {
        let mut values = fields.get_all(name).iter();
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(Joined::One(first.clone())) };
        let separator: &[u8] = if *name == header::COOKIE { b"; " } else { b", " };
        let mut joined = first.as_bytes().to_vec();
        for value in std::iter::once(second).chain(values) {
            joined.extend_from_slice(separator);
            joined.extend_from_slice(value.as_bytes());
        }
        Some(Joined::Several(joined))
    })?
}

/// The first value of a name.
pub fn first(fields: &HeaderMap, name: &str) -> Option<HeaderValue> {
    with_name(name, |name| fields.get(name).cloned())?
}

/// Each value of the name, in order.
pub fn each(fields: &HeaderMap, name: &str) -> Vec<HeaderValue> {
    with_name(name, |name| fields.get_all(name).iter().cloned().collect()).unwrap_or_default()
}

/// Count, then for each field: name length, name, value length, value; all lengths are u32 little-endian.
pub fn packed(fields: &HeaderMap) -> Vec<u8> {
    let size = fields.iter().map(|(name, value)| 8 + name.as_str().len() + value.len()).sum::<usize>();
    let mut packed = Vec::with_capacity(4 + size);
    let length = |packed: &mut Vec<u8>, length: usize| packed.extend_from_slice(&(length as u32).to_le_bytes());
    length(&mut packed, fields.len());
    for (name, value) in fields {
        length(&mut packed, name.as_str().len());
        packed.extend_from_slice(name.as_str().as_bytes());
        length(&mut packed, value.len());
        packed.extend_from_slice(value.as_bytes());
    }
    packed
}

/// Fields of one head that a filter may bring about; what a server takes is far less.
pub const FIELDS_MAX: usize = 1000;
/// Bytes of one value: as long as a whole head that servers take.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of all fields of one head, names and values.
pub const HEAD_BYTES_MAX: usize = 256 << 10;

/// Whether one more field fits into the others; `instead`: those of its name go.
fn has_room(fields: &HeaderMap, name: &HeaderName, value: &HeaderValue, instead: bool) -> Result<(), String> {
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let (mut count, mut size) = (1 + fields.len(), bytes((name, value)) + fields.iter().map(bytes).sum::<usize>());
    // Hardly ever so many that it matters which go.
    if instead && (count > FIELDS_MAX || size > HEAD_BYTES_MAX) {
        for value in fields.get_all(name) {
            (count, size) = (count - 1, size - bytes((name, value)));
        }
    }
    if count > FIELDS_MAX {
        return Err(format!("there are {FIELDS_MAX} fields already"));
    }
    if size > HEAD_BYTES_MAX {
        return Err(format!("all fields would have {size} bytes, expected at most {HEAD_BYTES_MAX}"));
    }
    Ok(())
}

/// Replaces every value of the name.
pub fn set(fields: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), String> {
    let name = writable(name)?;
    let value = value_of(&name, value)?;
    has_room(fields, &name, &value, true)?;
    fields.insert(name, value);
    Ok(())
}

/// Adds one more value.
pub fn add(fields: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), String> {
    let name = writable(name)?;
    let value = value_of(&name, value)?;
    has_room(fields, &name, &value, false)?;
    fields.append(name, value);
    Ok(())
}

/// Removes every value. Managed fields stay.
pub fn remove(fields: &mut HeaderMap, name: &str) {
    if let Ok(name) = writable(name) {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_their_text_in_lower_case() {
        // All have one place among those that are known.
        let alike = ["x-ab-y", "x-ab-y", "X-AB-Y", "x-cb-y", "x-ab-y"];
        assert_eq!(place(alike[0]), place(alike[1]));
        for name in alike {
            assert_eq!(name_of(name), Ok(HeaderName::from_bytes(name.as_bytes()).expect("valid")), "{name}");
        }
        let long = "x".repeat(KNOWN_BYTES_MAX + 1);
        assert_eq!(name_of(&long).expect("valid").as_str(), long);
        assert!(name_of("").is_err() && name_of("x y").is_err() && name_of(&" ".repeat(100)).is_err());
    }

    #[test]
    fn values_join_and_stay_apart() {
        let mut fields = HeaderMap::new();
        for value in ["a=1", "b=2"] {
            add(&mut fields, "Cookie", value.as_bytes()).expect("valid");
            add(&mut fields, "accept", value.as_bytes()).expect("valid");
        }
        assert_eq!(&*joined(&fields, "cookie").expect("there"), b"a=1; b=2");
        assert_eq!(&*joined(&fields, "ACCEPT").expect("there"), b"a=1, b=2");
        assert_eq!(each(&fields, "accept"), ["a=1", "b=2"]);
        assert!(joined(&fields, "not a name").is_none());
    }

    #[test]
    fn framing_is_not_for_filters() {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
        assert!(set(&mut fields, "Content-Length", b"5").is_err());
        assert!(add(&mut fields, "transfer-encoding", b"chunked").is_err());
        remove(&mut fields, "content-length");
        assert_eq!(fields.len(), 1);
    }

    #[test]
    fn a_value_cannot_smuggle_a_line() {
        let mut fields = HeaderMap::new();
        assert!(set(&mut fields, "x-a", b"1\r\nx-b: 2").is_err());
        assert!(set(&mut fields, "x a", b"1").is_err());
        assert!(fields.is_empty());
    }

    #[test]
    fn a_full_head_takes_other_values_and_no_more() {
        let mut fields = HeaderMap::new();
        for number in 0..FIELDS_MAX {
            add(&mut fields, &format!("x-{number}"), b"1").expect("there is room");
        }
        assert!(add(&mut fields, "x-0", b"2").is_err() && set(&mut fields, "x-more", b"2").is_err());
        set(&mut fields, "x-0", b"2").expect("it takes the place of another");
        assert_eq!((fields.len(), &fields["x-0"]), (FIELDS_MAX, &HeaderValue::from_static("2")));
    }

    #[test]
    fn bytes_are_bounded() {
        let mut fields = HeaderMap::new();
        let value = vec![b'x'; VALUE_BYTES_MAX];
        assert!(set(&mut fields, "x-a", &vec![b'x'; VALUE_BYTES_MAX + 1]).is_err());
        for _ in 0..3 {
            add(&mut fields, "x-a", &value).expect("there is room");
        }
        let last = HEAD_BYTES_MAX - 3 * (3 + VALUE_BYTES_MAX) - 3;
        assert!(add(&mut fields, "x-b", &value[..last + 1]).is_err());
        add(&mut fields, "x-b", &value[..last]).expect("it just fits");
        set(&mut fields, "x-b", &value[..last]).expect("the other one goes");
        set(&mut fields, "x-a", &value).expect("the others go");
    }

    #[test]
    fn the_packed_form_is_what_the_interface_says() {
        let mut fields = HeaderMap::new();
        set(&mut fields, "a", b"xy").expect("valid");
        assert_eq!(packed(&fields), b"\x01\0\0\0\x01\0\0\0a\x02\0\0\0xy");
    }
}
