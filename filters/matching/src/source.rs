//! Where a client is: ranges of addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer};

/// A range such as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range(IpNet);

impl Range {
    pub fn parse(text: &str) -> Result<Self, String> {
        let range = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(canonical);
        match range {
            Some(range) if range.trunc() != range => {
                Err(format!("expected \"{}\", for bits are set in \"{text}\" that the range leaves open", range.trunc()))
            }
            Some(range) => Ok(Range(range)),
            None => Err(format!("expected a range such as \"10.0.0.0/8\" or an address, found \"{text}\"")),
        }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// Clients come as what they are: of addresses of IPv4 that are written as ones of IPv6, a range would never hold.
fn canonical(range: IpNet) -> IpNet {
    let IpAddr::V4(address) = range.addr().to_canonical() else { return range };
    range.prefix_len().checked_sub(96).and_then(|bits| IpNet::new(address.into(), bits).ok()).unwrap_or(range)
}

/// A client as the proxy writes it, grouped as [`grouped`] does. One of IPv4 is not read, for it stays as it is written.
pub fn group(source: String) -> String {
    match source.contains(':') {
        true => source.parse().map_or(source, grouped),
        false => source,
    }
}

/// An address, grouped with its neighbours: whoever has one of IPv6 has a whole /64 of them.
pub fn grouped(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        address @ IpAddr::V6(_) => match IpNet::new(address, 64) {
            Ok(range) => range.trunc().to_string(),
            Err(_) => address.to_string(),
        },
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Range::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_held() {
        let range = Range::parse("10.0.0.0/8").unwrap();
        assert!(range.contains("10.1.2.3".parse().unwrap()) && !range.contains("11.0.0.0".parse().unwrap()));
        assert!(Range::parse("2001:db8::1").unwrap().contains("2001:db8::1".parse().unwrap()));
        assert!(Range::parse("10.0.0.1/8").unwrap_err().contains("10.0.0.0/8"));
        for bad in ["", "10.0.0/8", "10.0.0.0/33", "example.com"] {
            assert!(Range::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_of_ipv4_are_what_they_are_however_they_are_written() {
        let holds = |range: &str, address: &str| Range::parse(range).unwrap().contains(address.parse().unwrap());
        for (range, address, held) in [
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.0.0.0", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::ffff:0:0/96", "192.0.2.1", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("::/0", "10.1.2.3", false),
            ("::/0", "2001:db8::1", true),
        ] {
            assert_eq!(holds(range, address), held, "{range} {address}");
        }
        assert!(Range::parse("::ffff:10.0.0.1/104").unwrap_err().contains("10.0.0.0/8"));
    }

    #[test]
    fn neighbours_are_grouped() {
        for (address, group) in
            [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")]
        {
            assert_eq!(grouped(address.parse().unwrap()), group);
        }
    }
}
