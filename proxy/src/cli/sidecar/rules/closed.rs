//! Without IPv6 nothing of it is redirected: what strict or refuse would let nobody do is refused by the rules themselves.

use std::fmt::Write as _;

use super::{CHAINS, OPENING, Plan};

/// What is refused over IPv6 because nobody would look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// Plain calls to the service.
    pub inbound: bool,
    /// Calls of the service to whom nobody knows.
    pub outbound: bool,
}

impl Closed {
    pub fn anything(self) -> bool {
        self.inbound || self.outbound
    }
}

impl Plan {
    /// Chains that refuse over IPv6.
    pub fn closed_by_nft(&self, own: &str, excluded: &str) -> String {
        let mut text = String::new();
        if self.closed.inbound {
            let _ = write!(
                text,
                "\tchain inbound-ipv6 {{\n\t\ttype filter hook input priority filter; policy accept;\n\
                 \t\tmeta nfproto ipv6 iifname != \"lo\" tcp dport {} {OPENING} reject with tcp reset\n\t}}\n",
                self.port
            );
        }
        if self.closed.outbound {
            let _ = write!(
                text,
                "\tchain outbound-ipv6 {{\n\t\ttype filter hook output priority filter; policy accept;\n\
                 \t\t{own} return\n\t\tfib daddr type local return\n{excluded}\
                 \t\tmeta nfproto ipv6 meta l4proto tcp {OPENING} reject with tcp reset\n\t}}\n"
            );
        }
        text
    }

    /// The same as ip6tables-restore reads it.
    pub fn closed_by_iptables(&self) -> String {
        let [inbound, outbound] = CHAINS;
        let refuse = "-j REJECT --reject-with tcp-reset";
        let mut text = "*filter\n".to_owned();
        if self.closed.inbound {
            let _ = writeln!(
                text,
                ":{inbound} - [0:0]\n-A {inbound} ! -i lo -p tcp --syn --dport {} {refuse}\n-A INPUT -p tcp -j {inbound}",
                self.port
            );
        }
        if self.closed.outbound {
            let _ = writeln!(
                text,
                ":{outbound} - [0:0]\n-A {outbound} {} -j RETURN\n-A {outbound} -m addrtype --dst-type LOCAL -j RETURN",
                self.own.by_iptables()
            );
            for port in &self.excluded {
                let _ = writeln!(text, "-A {outbound} -p tcp --dport {port} -j RETURN");
            }
            let _ = writeln!(text, "-A {outbound} -p tcp --syn {refuse}\n-A OUTPUT -p tcp -j {outbound}");
        }
        text + "COMMIT\n"
    }
}

#[cfg(test)]
mod tests {
    use super::super::Own;
    use super::super::tests::plan;
    use super::*;

    #[test]
    fn what_nobody_would_look_at_is_refused_over_ipv6() {
        let open = plan(Own::User(1337)).nft();
        assert!(!open.contains("reject"), "{open}");
        let plan = Plan { ipv6: false, closed: Closed { inbound: true, outbound: true }, ..plan(Own::User(1337)) };
        let nft = plan.nft();
        assert!(nft.contains("meta nfproto ipv6 iifname != \"lo\" tcp dport 8080"), "{nft}");
        let outbound = nft.split_once("chain outbound-ipv6").expect("it is there").1;
        let at = |text: &str, part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(at(outbound, "meta skuid 1337 return") < at(outbound, "meta nfproto ipv6 meta l4proto tcp"));
        let iptables = plan.closed_by_iptables();
        assert!(
            iptables.starts_with("*filter") && iptables.contains("! -i lo -p tcp --syn --dport 8080 -j REJECT"),
            "{iptables}"
        );
        assert!(at(&iptables, "--uid-owner 1337 -j RETURN") < at(&iptables, "--syn -j REJECT"));
    }
}
