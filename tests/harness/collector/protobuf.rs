//! Enough of protobuf's wire format to look into messages by the numbers of their fields.

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Held<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

pub fn fields(mut bytes: &[u8]) -> Vec<(u64, Held<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let held = match tag & 7 {
            0 => Held::Number(varint(&mut bytes)),
            1 => Held::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().expect("eight bytes"))),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                Held::Bytes(take(&mut bytes, length))
            }
            5 => Held::Number(u32::from_le_bytes(take(&mut bytes, 4).try_into().expect("four bytes")).into()),
            other => panic!("no wire type: {other}"),
        };
        fields.push((tag >> 3, held));
    }
    fields
}

/// All that stand under this number.
pub fn messages(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let held = fields(bytes).into_iter().filter(|(at, _)| *at == number);
    held.map(|(_, held)| match held {
        Held::Bytes(bytes) => bytes,
        Held::Number(found) => panic!("bytes were expected in field {number}, found {found}"),
    })
    .collect()
}

pub fn text(bytes: &[u8], number: u64) -> String {
    String::from_utf8(messages(bytes, number).concat()).expect("text")
}

/// What is not there is zero.
pub fn number(bytes: &[u8], number: u64) -> u64 {
    match fields(bytes).into_iter().find(|(at, _)| *at == number) {
        None => 0,
        Some((_, Held::Number(found))) => found,
        Some((_, Held::Bytes(found))) => panic!("a number was expected in field {number}, found {found:?}"),
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0..10 {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return number;
        }
    }
    panic!("a number that does not end");
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}
