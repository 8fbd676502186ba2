//! `tamis sidecar rules`: what redirects the connections of a service to its sidecar, for nftables or iptables. Applied twice, they are
//! there once.

mod closed;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use clap::{Args, ValueEnum};
use closed::Closed;

use crate::cli::filter::remote::failed;
use crate::config::{Sidecar, TlsMode};

/// The table of nftables, and the chains of iptables.
const TABLE: &str = "tamis_sidecar";
const CHAINS: [&str; 2] = ["TAMIS_INBOUND", "TAMIS_OUTBOUND"];

/// The tables and hooks of iptables in which these chains are.
const PLACES: [(&str, &str, &str); 4] = [
    ("nat", "PREROUTING", CHAINS[0]),
    ("nat", "OUTPUT", CHAINS[1]),
    ("filter", "INPUT", CHAINS[0]),
    ("filter", "OUTPUT", CHAINS[1]),
];
/// There where the system speaks IPv6.
const HAS_IPV6: &str = "/proc/net/if_inet6";

/// Only what begins is redirected: a connection that was there before the rules, an operator's own for one, goes on.
const OPENING: &str = "tcp flags & (fin | syn | rst | ack) == syn";

#[derive(Debug, Args)]
pub struct Rules {
    /// The short file of the sidecar.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The user that the sidecar runs as, whose connections are left alone; the service runs as another one.
    #[arg(long, value_name = "UID", conflicts_with = "mark")]
    uid: Option<u32>,
    /// The firewall mark of the sidecar's connections, which are left alone. Without it, the `mark` of the file.
    #[arg(long, value_name = "MARK")]
    mark: Option<u32>,
    /// Calls of the service to this port are not redirected either, besides `excluded-ports` of the file.
    #[arg(long, value_name = "PORT")]
    exclude_port: Vec<u16>,
    /// For whom; without it nftables, where its program is there.
    #[arg(long, value_enum)]
    tool: Option<Tool>,
    /// Put them in force, in the place of those that were before.
    #[arg(long, conflicts_with = "remove")]
    apply: bool,
    /// Take them back.
    #[arg(long)]
    remove: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tool {
    Nft,
    Iptables,
}

impl Tool {
    const fn program(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Iptables => "iptables",
        }
    }
}

/// Whose connections are the sidecar's own.
#[derive(Debug, Clone, Copy)]
enum Own {
    User(u32),
    Mark(u32),
}

impl Own {
    fn by_iptables(self) -> String {
        match self {
            Self::User(user) => format!("-m owner --uid-owner {user}"),
            Self::Mark(mark) => format!("-m mark --mark {mark:#x}"),
        }
    }
}

/// What the rules say, in no tool's words.
#[derive(Debug)]
struct Plan {
    own: Own,
    port: u16,
    inbound: u16,
    outbound: u16,
    excluded: Vec<u16>,
    ipv6: bool,
    closed: Closed,
}

impl Rules {
    pub fn run(self) -> ExitCode {
        if self.remove {
            // Whatever the file says by now.
            return ended(remove_all(self.tool));
        }
        let sidecar = match super::load(&self.config).map(|loaded| loaded.config.sidecar) {
            Ok(Some(sidecar)) => sidecar,
            Ok(None) => return ExitCode::FAILURE,
            Err(problems) => {
                eprintln!("{}", problems.render(crate::cli::colour_on_stderr()));
                return ExitCode::FAILURE;
            }
        };
        let tool = self.tool.unwrap_or_else(|| if is_there("nft") || !is_there("iptables") { Tool::Nft } else { Tool::Iptables });
        let plan = match self.plan(&sidecar) {
            Ok(plan) => plan,
            Err(error) => return failed(&error, None),
        };
        if self.apply {
            return ended(apply(tool, &plan));
        }
        match tool {
            Tool::Nft => print!("{}", plan.nft()),
            Tool::Iptables => {
                println!("# iptables-restore --noflush\n{}", plan.iptables());
                if plan.ipv6 {
                    println!("# ip6tables-restore --noflush\n{}", plan.iptables());
                }
                if plan.closed.anything() {
                    println!("# ip6tables-restore --noflush\n{}", plan.closed_by_iptables());
                }
            }
        }
        ExitCode::SUCCESS
    }

    fn plan(&self, sidecar: &Sidecar) -> Result<Plan, String> {
        let own = match (self.uid, self.mark.or(sidecar.mark)) {
            (Some(user), _) => Own::User(user),
            (None, Some(mark)) => Own::Mark(mark),
            (None, None) => {
                return Err(
                    "whose connections are the sidecar's own? expected `--uid`, `--mark`, or `mark` in the file".to_owned()
                );
            }
        };
        if let Some((key, why)) = sidecar.out_of_reach().first() {
            return Err(format!("`{key}` is out of reach of such rules: {why}"));
        }
        let closed = Closed {
            inbound: !sidecar.ipv6 && sidecar.mode == TlsMode::Strict,
            outbound: !sidecar.ipv6 && !sidecar.passes_unknown,
        };
        let mut excluded: Vec<u16> = sidecar.excluded_ports.iter().chain(&self.exclude_port).copied().collect();
        excluded.sort_unstable();
        excluded.dedup();
        let (inbound, outbound) = (sidecar.inbound.port(), sidecar.outbound.port());
        if inbound == 0 || outbound == 0 {
            return Err(
                "nobody can be redirected to a port that the system chooses; expected one in `inbound` and `outbound`".to_owned()
            );
        }
        Ok(Plan { own, port: sidecar.port, inbound, outbound, excluded, ipv6: sidecar.ipv6, closed })
    }
}

impl Plan {
    /// One transaction that takes the place of what was there.
    fn nft(&self) -> String {
        let own = match self.own {
            Own::User(user) => format!("meta skuid {user}"),
            Own::Mark(mark) => format!("meta mark {mark:#x}"),
        };
        let family = if self.ipv6 { "" } else { "meta nfproto ipv4 " };
        let excluded: Vec<_> = self.excluded.iter().map(u16::to_string).collect();
        let excluded = match excluded.is_empty() {
            true => String::new(),
            false => format!("\t\ttcp dport {{ {} }} return\n", excluded.join(", ")),
        };
        format!(
            "add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n\
             \tchain inbound {{\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\
             \t\t{family}fib daddr type local tcp dport {} {OPENING} redirect to :{}\n\t}}\n\
             \tchain outbound {{\n\t\ttype nat hook output priority -100; policy accept;\n\
             \t\t{own} return\n\t\tfib daddr type local return\n{excluded}\
             \t\t{family}meta l4proto tcp {OPENING} redirect to :{}\n\t}}\n{}}}\n",
            self.port,
            self.inbound,
            self.outbound,
            self.closed_by_nft(&own, &excluded)
        )
    }

    /// What iptables-restore and ip6tables-restore read without flushing what others have.
    fn iptables(&self) -> String {
        let [inbound, outbound] = CHAINS;
        let own = self.own.by_iptables();
        let mut text = format!(
            "*nat\n:{inbound} - [0:0]\n:{outbound} - [0:0]\n\
             -A {inbound} -p tcp --syn -m addrtype --dst-type LOCAL --dport {} -j REDIRECT --to-ports {}\n\
             -A {outbound} {own} -j RETURN\n-A {outbound} -m addrtype --dst-type LOCAL -j RETURN\n",
            self.port, self.inbound
        );
        for port in &self.excluded {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "-A {outbound} -p tcp --dport {port} -j RETURN");
        }
        let _ = writeln!(text, "-A {outbound} -p tcp --syn -j REDIRECT --to-ports {}", self.outbound);
        let _ = writeln!(text, "-A PREROUTING -p tcp -j {inbound}\n-A OUTPUT -p tcp -j {outbound}\nCOMMIT");
        text
    }
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn apply(tool: Tool, plan: &Plan) -> Result<(), String> {
    let other = if tool == Tool::Nft { Tool::Iptables } else { Tool::Nft };
    if is_there(other.program()) {
        remove(other)?;
    }
    match tool {
        Tool::Nft => told("nft", &["-f", "-"], &plan.nft()),
        Tool::Iptables => {
            remove(tool)?;
            told("iptables-restore", &["--noflush", "--wait"], &plan.iptables())?;
            if plan.ipv6 {
                told("ip6tables-restore", &["--noflush", "--wait"], &plan.iptables())?;
            }
            // Where there is no IPv6, nothing is open.
            if plan.closed.anything() && Path::new(HAS_IPV6).exists() {
                told("ip6tables-restore", &["--noflush", "--wait"], &plan.closed_by_iptables())?;
            }
            Ok(())
        }
    }
}

/// Of this tool, or of each that is there.
fn remove_all(tool: Option<Tool>) -> Result<(), String> {
    let tools: Vec<_> = match tool {
        Some(tool) => vec![tool],
        None => [Tool::Nft, Tool::Iptables].into_iter().filter(|tool| is_there(tool.program())).collect(),
    };
    if tools.is_empty() {
        return Err("neither `nft` nor `iptables` is there".to_owned());
    }
    tools.into_iter().try_for_each(remove)
}

fn remove(tool: Tool) -> Result<(), String> {
    if tool == Tool::Nft {
        return told("nft", &["-f", "-"], &format!("add table inet {TABLE}\ndelete table inet {TABLE}\n"));
    }
    for program in ["iptables", "ip6tables"] {
        if program != "iptables" && !is_there(program) {
            continue;
        }
        for (table, hook, chain) in PLACES {
            let on_it = |arguments: &[&str]| ran(program, &[&["--wait", "--table", table][..], arguments].concat(), "");
            // As often as it was put there.
            while on_it(&["-C", hook, "-p", "tcp", "-j", chain])?.status.success() {
                sound(program, &on_it(&["-D", hook, "-p", "tcp", "-j", chain])?)?;
            }
            if on_it(&["-F", chain])?.status.success() {
                sound(program, &on_it(&["-X", chain])?)?;
            }
        }
    }
    Ok(())
}

fn told(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    sound(program, &ran(program, arguments, input)?)
}

fn sound(program: &str, output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program}` refused: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
}

fn ran(program: &str, arguments: &[&str], input: &str) -> Result<Output, String> {
    let run = || -> io::Result<Output> {
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who does not read it says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    };
    run().map_err(|error| format!("cannot run `{program}`: {error}"))
}

fn ended(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, Some("rules of the system are changed by root, or with CAP_NET_ADMIN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn plan(own: Own) -> Plan {
        Plan { own, port: 8080, inbound: 15006, outbound: 15001, excluded: vec![22, 53], ipv6: true, closed: Closed::default() }
    }

    #[test]
    fn what_is_the_sidecars_own_is_left_alone_first() {
        let nft = plan(Own::User(1337)).nft();
        let at = |part: &str| nft.find(part).unwrap_or_else(|| panic!("{part}: {nft}"));
        assert!(at("meta skuid 1337 return") < at("redirect to :15001"));
        assert!(at("tcp dport { 22, 53 } return") < at("redirect to :15001"));
        assert!(
            at("delete table inet tamis_sidecar")
                < at("fib daddr type local tcp dport 8080 tcp flags & (fin | syn | rst | ack) == syn redirect to :15006")
        );
        let without = Plan { excluded: Vec::new(), ipv6: false, ..plan(Own::Mark(0x539)) }.nft();
        assert!(without.contains("meta mark 0x539 return") && !without.contains("tcp dport {"), "{without}");
        assert!(
            without.contains("meta nfproto ipv4 meta l4proto tcp tcp flags & (fin | syn | rst | ack) == syn redirect"),
            "{without}"
        );
        let iptables = plan(Own::Mark(0x539)).iptables();
        let at = |part: &str| iptables.find(part).unwrap_or_else(|| panic!("{part}: {iptables}"));
        assert!(at("--mark 0x539 -j RETURN") < at("--dport 22 -j RETURN"));
        assert!(at("--dport 22 -j RETURN") < at("--to-ports 15001"));
    }
}
