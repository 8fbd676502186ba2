//! Ranges of addresses, a million of them: joined where they touch, sorted, and found by halving.
//!
//! For IPv4 a table by the first 16 bits says where to look, so that few steps are left of the twenty that a million ranges would take.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Mistakes of a list that are told at most.
const MISTAKES_MAX: usize = 3;

/// A set of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Vec<Span<u32>>,
    /// For each value of the first 16 bits, how many ranges begin before it; empty if there are no ranges.
    starts: Vec<u32>,
    v6: Vec<Span<u128>>,
}

/// First and last address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span<T> {
    first: T,
    last: T,
}

impl Ranges {
    /// Reads a list: on each line an address, a range such as `10.0.0.0/8`, or two addresses with a `-` between them. What follows `#` is
    /// a remark.
    pub fn read(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "expected text, found other bytes".to_owned())?;
        let mut ranges = Ranges::default();
        // All at once: each smaller piece of memory on the way to a large one would stay in the image of the instance.
        let of_v6 = text.lines().filter(|line| line.contains(':')).count();
        ranges.v6.reserve_exact(of_v6);
        ranges.v4.reserve_exact(text.lines().count() - of_v6);
        let mut mistakes = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let entry = line.split_once('#').map_or(line, |(entry, _)| entry).trim();
            if entry.is_empty() || ranges.add(entry).is_some() {
                continue;
            }
            mistakes.push(format!("line {number}: expected an address or a range such as 10.0.0.0/8, found \"{entry}\""));
            if mistakes.len() == MISTAKES_MAX {
                break;
            }
        }
        match mistakes.is_empty() {
            true => Ok(ranges.finished()),
            false => Err(mistakes.join("; ")),
        }
    }

    /// How many ranges are left once those that touch are joined.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.contains_v4(address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }

    fn contains_v4(&self, address: u32) -> bool {
        let start = (address >> 16) as usize;
        let (Some(from), Some(to)) = (self.starts.get(start), self.starts.get(start + 1)) else { return false };
        // The one before may reach into this part.
        let from = (*from as usize).saturating_sub(1);
        holds(&self.v4[from..*to as usize], address)
    }

    fn add(&mut self, entry: &str) -> Option<()> {
        let (first, last) = match (entry.split_once('-'), entry.split_once('/')) {
            (Some((first, last)), _) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
            (None, Some((address, bits))) => block(address.parse().ok()?, bits.parse().ok()?)?,
            (None, None) => {
                let address: IpAddr = entry.parse().ok()?;
                (address, address)
            }
        };
        match canonical(first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.v4.push(Span { first: first.to_bits(), last: last.to_bits() });
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                self.v6.push(Span { first: first.to_bits(), last: last.to_bits() });
            }
            _ => return None,
        }
        Some(())
    }

    fn finished(mut self) -> Self {
        join(&mut self.v4, |last| last.checked_add(1));
        join(&mut self.v6, |last| last.checked_add(1));
        if !self.v4.is_empty() {
            let before = |start: u32| self.v4.partition_point(|span| span.first < start);
            let starts = (0..=0xffff_u32).map(|start| before(start << 16) as u32);
            self.starts = starts.chain([self.v4.len() as u32]).collect();
        }
        self
    }
}

/// The addresses of a block; bits that it leaves open may be set.
fn block(address: IpAddr, bits: u8) -> Option<(IpAddr, IpAddr)> {
    Some(match address {
        IpAddr::V4(address) if bits <= 32 => {
            let open = u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
            let address = address.to_bits();
            (Ipv4Addr::from_bits(address & !open).into(), Ipv4Addr::from_bits(address | open).into())
        }
        IpAddr::V6(address) if bits <= 128 => {
            let open = u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
            let address = address.to_bits();
            (Ipv6Addr::from_bits(address & !open).into(), Ipv6Addr::from_bits(address | open).into())
        }
        _ => return None,
    })
}

/// Clients come as what they are: addresses of IPv4 that are written as ones of IPv6 would be in the list and never be found.
fn canonical(first: IpAddr, last: IpAddr) -> (IpAddr, IpAddr) {
    match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(low), IpAddr::V4(high)) => (low.into(), high.into()),
        _ => (first, last),
    }
}

/// Sorts them, and makes one of those that overlap or touch.
fn join<T: Copy + Ord>(spans: &mut Vec<Span<T>>, next: impl Fn(T) -> Option<T>) {
    spans.sort_unstable();
    spans.dedup_by(|later, earlier| {
        let touches = next(earlier.last).is_none_or(|next| later.first <= next);
        if touches {
            earlier.last = earlier.last.max(later.last);
        }
        touches
    });
    spans.shrink_to_fit();
}

/// Whether one of these, which are sorted and apart, has the address.
fn holds<T: Copy + Ord>(spans: &[Span<T>], address: T) -> bool {
    let after = spans.partition_point(|span| span.first <= address);
    after.checked_sub(1).is_some_and(|before| address <= spans[before].last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Ranges {
        Ranges::read(text.as_bytes()).unwrap()
    }

    fn has(ranges: &Ranges, address: &str) -> bool {
        ranges.contains(address.parse().unwrap())
    }

    #[test]
    fn each_way_of_writing_is_read() {
        let ranges = read("# ours\n10.0.0.0/8\n192.0.2.1 # one\n198.51.100.5-198.51.100.9\n\n2001:db8::/32\n::1\n10.0.0.1/8\n");
        for (address, inside) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("198.51.100.4", false),
            ("198.51.100.5", true),
            ("198.51.100.9", true),
            ("198.51.100.10", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::1", true),
        ] {
            assert_eq!(has(&ranges, address), inside, "{address}");
        }
    }

    #[test]
    fn addresses_of_ipv4_are_found_however_they_are_written() {
        let ranges = read("::ffff:10.0.0.0/104\n::ffff:192.0.2.1\n::ffff:198.51.100.5-::ffff:198.51.100.9\n");
        for (address, inside) in [("10.1.2.3", true), ("11.0.0.0", false), ("192.0.2.1", true), ("198.51.100.7", true)] {
            assert_eq!(has(&ranges, address), inside, "{address}");
        }
        assert!(!has(&read("::/0"), "10.0.0.1"), "all of IPv6 is not all of IPv4");
    }

    #[test]
    fn ends_of_the_world() {
        let all = read("0.0.0.0/0\n::/0");
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert!(has(&all, address), "{address}");
        }
        let none = read("");
        assert!(none.is_empty() && !has(&none, "0.0.0.0") && !has(&none, "::"));
    }

    #[test]
    fn what_touches_is_joined() {
        assert_eq!(read("10.0.0.0/25\n10.0.0.128/25\n10.0.1.0-10.0.1.9\n10.0.1.5-10.0.1.20").len(), 1);
        assert_eq!(read("10.0.0.0/25\n10.0.0.129").len(), 2);
        assert_eq!(read("255.255.255.0/24\n255.255.255.255\n0.0.0.0").len(), 2);
    }

    #[test]
    fn it_agrees_with_looking_at_each() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        for round in 0..50 {
            let spans: Vec<(u32, u32)> = (0..round)
                .map(|_| {
                    let first = random();
                    (first, first.saturating_add(random() % (1 << (random() % 24))))
                })
                .collect();
            let line = |(first, last): &(u32, u32)| format!("{}-{}\n", Ipv4Addr::from_bits(*first), Ipv4Addr::from_bits(*last));
            let ranges = read(&spans.iter().map(line).collect::<String>());
            let edges = spans.iter().flat_map(|(first, last)| [first.wrapping_sub(1), *first, *last, last.wrapping_add(1)]);
            for address in edges.chain((0..100).map(|_| random())).collect::<Vec<_>>() {
                let inside = spans.iter().any(|(first, last)| (*first..=*last).contains(&address));
                assert_eq!(ranges.contains(Ipv4Addr::from_bits(address).into()), inside, "{}", Ipv4Addr::from_bits(address));
            }
        }
    }

    #[test]
    fn mistakes_say_their_line() {
        let said = Ranges::read(b"10.0.0.0/8\nnonsense\n10.0.0.0/33\n10.0.0.9-10.0.0.1\n10.0.0.1-::1\n").unwrap_err();
        assert!(
            said.starts_with("line 2: expected an address or a range such as 10.0.0.0/8, found \"nonsense\"; line 3"),
            "{said}"
        );
        assert_eq!(said.matches("line ").count(), MISTAKES_MAX);
        assert!(Ranges::read(b"\xff").is_err());
    }
}
