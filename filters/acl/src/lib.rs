//! Who may ask for what, and who may connect. Rules are asked in order, and the first that holds decides; where none does, `default` does.
//!
//! Lists of addresses come as inputs, which the proxy fetches and watches: a list that changes configures the filter anew.

mod config;
pub mod ranges;
mod rule;

use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;

use config::Denial;
use ranges::Ranges;
use rule::{Action, Rule};

tamis_sdk::config_schema!("schema.json");

/// The rule that decided; what is denied by default has the name `default`.
const RULE_NOTE: &str = "acl.rule";
/// `allowed`, `denied`, or `would-deny` where it is only watched.
const DECISION_NOTE: &str = "acl.decision";
const DENIED: &str = "denied";
/// What decides where no rule does.
const DEFAULT: &str = "default";

/// The rules of one configuration.
#[derive(Debug)]
pub struct Acl {
    rules: Vec<Rule>,
    lists: Vec<Ranges>,
    default: Action,
    deny: Denial,
    audit: bool,
    decisions: Counter,
}

impl Filter for Acl {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let mut names = Vec::new();
        let mut rules = Vec::with_capacity(config.rules.len());
        for (position, rule) in config.rules.into_iter().enumerate() {
            let rule =
                Rule::build(rule, position, &mut names).map_err(|error| error.within(format_args!("rules[{position}]")))?;
            rules.push(rule);
        }
        let lists = names.iter().map(|name| list(name, setup)).collect::<Result<_, _>>()?;
        let help = "What was decided about requests and connections, by rule: allowed, denied or would-deny.";
        let decisions = setup.counter("acl_decisions_total", help, &["rule", "decision"]).map_err(ConfigError::new)?;
        Ok(Acl { rules, lists, default: config.default, deny: config.deny.checked()?, audit: config.audit, decisions })
    }
}

/// The input of this name, read.
fn list(name: &str, setup: &mut Setup) -> Result<Ranges, ConfigError> {
    let known: Vec<String> = setup.inputs().map(|(name, _)| name.to_owned()).collect();
    let mut content = setup.take_input(name).ok_or_else(|| {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        ConfigError::new(format!("expected an input `{name}` in the filter's `inputs`, found {known}"))
    })?;
    let ranges = Ranges::read(&content).map_err(|why| ConfigError::new(format!("the input `{name}`: {why}")));
    // The image of a configured instance holds its memory but for what is zero, and nobody needs the text again.
    content.fill(0);
    std::hint::black_box(&content);
    ranges
}

impl RequestHook for Acl {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let decision = self.decide(&request.connection(), |rule, in_list| rule.holds(request, &in_list));
        if decision == DENIED { self.deny.answer(request) } else { Verdict::Next }
    }
}

/// A raw connection that is denied is closed.
impl ConnectionHook for Acl {
    fn on_connection(&self, connection: &mut Connection) -> ConnectionVerdict {
        let decision = self.decide(connection, |rule, in_list| rule.holds_for(connection, &in_list));
        if decision == DENIED { ConnectionVerdict::Reset } else { ConnectionVerdict::Next }
    }
}

impl Acl {
    /// What is decided, noted and counted. `holds`: whether a rule does; it can ask whether the source is in a list.
    fn decide(&self, connection: &Connection, holds: impl Fn(&Rule, &dyn Fn(usize) -> bool) -> bool) -> &'static str {
        let address = if self.lists.is_empty() { None } else { connection.source_ip() };
        let in_list = |list: usize| address.is_some_and(|address| self.lists[list].contains(address.to_canonical()));
        let decided = self.rules.iter().find(|rule| holds(rule, &in_list));
        let (name, action, audit) = match decided {
            Some(rule) => (rule.name.as_str(), rule.action, self.audit || rule.audit),
            None => (DEFAULT, self.default, self.audit),
        };
        let decision = match (action, audit) {
            (Action::Allow, _) => "allowed",
            (Action::Deny, false) => DENIED,
            (Action::Deny, true) => "would-deny",
        };
        let mut notes = connection.notes();
        notes.set(RULE_NOTE, name);
        notes.set(DECISION_NOTE, decision);
        self.decisions.increment(&[name, decision]);
        decision
    }
}

tamis_sdk::export!(Acl: request, connection);
