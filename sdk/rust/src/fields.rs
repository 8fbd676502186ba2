//! All fields of a message in one piece, as they cross from the proxy: one allocation, however many there are.

use std::fmt;

use http::HeaderValue;

/// All header fields of a request or response. Names are in lower case; the values of one name stand in the order in which
/// they came.
#[derive(Clone, PartialEq, Eq)]
pub struct Fields {
    packed: Vec<u8>,
}

impl Fields {
    /// The packed form: a count, then for each field the length of the name, the name, the length of the value, the value.
    pub(crate) fn new(packed: Vec<u8>) -> Self {
        Fields { packed }
    }

    /// Each field, a name that occurs several times included several times.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = self.packed.as_slice();
        let count = number(&mut rest);
        (0..count).map(move |_| {
            let name = piece(&mut rest);
            let value = piece(&mut rest);
            (std::str::from_utf8(name).unwrap_or_default(), value)
        })
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        number(&mut self.packed.as_slice())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)));
        f.debug_list().entries(fields).finish()
    }
}

fn number(rest: &mut &[u8]) -> usize {
    let Some((head, tail)) = rest.split_first_chunk::<4>() else { return 0 };
    *rest = tail;
    u32::from_le_bytes(*head) as usize
}

fn piece<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = number(rest).min(rest.len());
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    head
}

/// A value that the proxy handed out, which is therefore one that HTTP allows.
pub(crate) fn value(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::try_from(bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_packed() {
        let mut packed = 2u32.to_le_bytes().to_vec();
        for piece in ["host", "a.example", "x-empty", ""] {
            packed.extend((piece.len() as u32).to_le_bytes());
            packed.extend(piece.as_bytes());
        }
        let fields = Fields::new(packed);
        let found: Vec<_> = fields.iter().collect();
        assert_eq!(found, [("host", b"a.example".as_slice()), ("x-empty", b"".as_slice())]);
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn a_piece_that_was_cut_off_is_no_panic() {
        let mut packed = 1u32.to_le_bytes().to_vec();
        packed.extend(900u32.to_le_bytes());
        packed.extend(b"host");
        assert_eq!(Fields::new(packed).iter().collect::<Vec<_>>(), [("host", b"".as_slice())]);
        assert!(Fields::new(Vec::new()).is_empty());
    }
}
