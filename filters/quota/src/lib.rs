//! Limits how often, how much and how many at once. README.md tells what a rule can say.
//!
//! The proxy decides, in one step for all rules that are for an exchange: all of them allow it, or nothing is taken of any.
//! A rule that is only tried out is asked for by itself, so that it never changes what the others decide.

mod config;
mod fields;
mod limit;
mod rule;

use std::time::Duration;

use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;
use tamis_sdk::quota::{self, Ask, Decision};
use tamis_sdk::store::Store;

use config::{Config, OnStoreFailure};
use fields::{POLICY_NOTE, RATELIMIT_NOTE};
use rule::Rule;

/// What was decided: `allowed`, `refused` or `failed`. Not there if no rule is for the exchange.
const DECISION_NOTE: &str = "quota.decision";
/// The rule that refused it, or would have to be waited for the longest.
const RULE_NOTE: &str = "quota.rule";
/// Rules on trial that would have refused it, with commas between.
const DRY_RUN_NOTE: &str = "quota.dry-run";
/// Of gRPC: RESOURCE_EXHAUSTED and UNAVAILABLE.
const GRPC_EXHAUSTED: u32 = 8;
const GRPC_UNAVAILABLE: u32 = 14;

/// The rules of one configuration.
#[derive(Debug)]
pub struct Quota {
    store: Store,
    on_store_failure: OnStoreFailure,
    fields: bool,
    status: StatusCode,
    body: String,
    rules: Vec<Rule>,
    decisions: Counter,
}

/// What one rule asks for this exchange, and what was decided of it.
struct Asked<'a> {
    rule: &'a Rule,
    asks: Vec<Ask>,
    decisions: Vec<Decision>,
}

impl Asked<'_> {
    fn is_allowed(&self) -> bool {
        self.decisions.iter().all(|decision| decision.allowed)
    }

    fn retry_after(&self) -> Duration {
        let refused = self.decisions.iter().filter(|decision| !decision.allowed);
        refused.map(|decision| decision.retry_after).max().unwrap_or_default()
    }
}

impl Filter for Quota {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let mut rules: Vec<Rule> = Vec::with_capacity(config.rules.len());
        for (position, rule) in config.rules.into_iter().enumerate() {
            let within = |error: ConfigError| error.within(format_args!("rules[{position}]"));
            let rule = Rule::build(rule, position).map_err(within)?;
            if rules.iter().any(|other| other.name == rule.name) {
                return Err(within(ConfigError::new(format!("expected a name of its own, found a second `{}`", rule.name))));
            }
            rules.push(rule);
        }
        setup.want(Hook::Request).map_err(ConfigError::new)?;
        setup.want(Hook::Connection).map_err(ConfigError::new)?;
        if config.fields {
            setup.want(Hook::Response).map_err(ConfigError::new)?;
        }
        let help = "What was decided, by rule: allowed, refused, dry-run-refused or failed.";
        let decisions = setup.counter("quota_decisions_total", help, &["rule", "decision"]).map_err(ConfigError::new)?;
        Ok(Quota {
            store: Store::from(config.store),
            on_store_failure: config.on_store_failure,
            fields: config.fields,
            status: config.status.0,
            body: config.body,
            rules,
            decisions,
        })
    }
}

impl RequestHook for Quota {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let mut asked = self.asked(&mut request.notes(), |rule| rule.asks(request));
        if asked.is_empty() {
            return Verdict::Next;
        }
        if let Err(why) = self.take(&mut asked) {
            return self.failed(request, &asked, &why.to_string());
        }
        if self.fields {
            let (policy, limits) = fields::of(asked.iter().map(|asked| (asked.rule, asked.decisions.as_slice())));
            // Another filter of this module may have come before: the client is told of both.
            let mut notes = request.notes();
            for (note, told) in [(POLICY_NOTE, policy), (RATELIMIT_NOTE, limits)] {
                let all = notes.get(note).map_or_else(|| told.clone(), |before| format!("{before}, {told}"));
                notes.set(note, &all);
            }
        }
        let refusing = asked.iter().filter(|asked| !asked.is_allowed()).max_by_key(|asked| asked.retry_after());
        match refusing {
            Some(refusing) => self.refuse(request, refusing, &asked),
            None => {
                asked.iter().for_each(|asked| self.count(asked.rule, "allowed"));
                request.notes().set(DECISION_NOTE, "allowed");
                Verdict::Next
            }
        }
    }
}

/// A raw connection past a limit is closed. What it holds of a concurrency, it holds until it ends.
impl ConnectionHook for Quota {
    fn on_connection(&self, connection: &mut Connection) -> ConnectionVerdict {
        let mut notes = connection.notes();
        let mut asked = self.asked(&mut notes, |rule| rule.asks_for(connection));
        if asked.is_empty() {
            return ConnectionVerdict::Next;
        }
        if let Err(why) = self.take(&mut asked) {
            self.not_decided(&mut notes, &asked, &why.to_string());
            return match self.on_store_failure {
                OnStoreFailure::Open => ConnectionVerdict::Next,
                OnStoreFailure::Closed => ConnectionVerdict::Reset,
            };
        }
        let refusing = asked.iter().filter(|asked| !asked.is_allowed()).max_by_key(|asked| asked.retry_after());
        match refusing {
            Some(refusing) => {
                self.refused(&mut notes, refusing, &asked);
                ConnectionVerdict::Reset
            }
            None => {
                asked.iter().for_each(|asked| self.count(asked.rule, "allowed"));
                notes.set(DECISION_NOTE, "allowed");
                ConnectionVerdict::Next
            }
        }
    }
}

impl ResponseHook for Quota {
    fn on_response(&self, response: &mut Response) -> Verdict {
        let notes = response.notes();
        for (note, field) in [(POLICY_NOTE, fields::POLICY), (RATELIMIT_NOTE, fields::RATELIMIT)] {
            // Another filter of this module, or a refusal, may have told it all already.
            if let Some(value) = notes.get(note).filter(|value| !response.headers(field).iter().any(|known| known == value))
                && let Err(why) = response.add_header(field, value)
            {
                log::warn!("the field {field} cannot be set: {why}");
            }
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Quota: request, response, connection);
tamis_sdk::config_schema!("schema.json");

impl Quota {
    /// What the rules ask for; those on trial have been asked by themselves then.
    fn asked<'a>(&'a self, notes: &mut Notes, asks: impl Fn(&Rule) -> Option<Vec<Ask>>) -> Vec<Asked<'a>> {
        let mut asked = Vec::new();
        let mut would_refuse = Vec::new();
        for rule in &self.rules {
            let Some(asks) = asks(rule) else { continue };
            let one = Asked { rule, asks, decisions: Vec::new() };
            if rule.dry_run { self.try_out(one, &mut would_refuse) } else { asked.push(one) }
        }
        if !would_refuse.is_empty() {
            notes.set(DRY_RUN_NOTE, &would_refuse.join(","));
        }
        asked
    }

    /// One step for all rules.
    fn take(&self, asked: &mut [Asked<'_>]) -> Result<(), tamis_sdk::store::Error> {
        let asks: Vec<Ask> = asked.iter().flat_map(|asked| asked.asks.iter().cloned()).collect();
        let mut decisions = quota::take(&self.store, &asks)?.into_iter();
        for asked in asked {
            asked.decisions = decisions.by_ref().take(asked.asks.len()).collect();
        }
        Ok(())
    }

    /// A rule on trial takes what it would, and refuses nobody.
    fn try_out<'a>(&self, asked: Asked<'a>, would_refuse: &mut Vec<&'a str>) {
        let rule = asked.rule;
        let mut one = [asked];
        match self.take(&mut one) {
            Ok(()) if one[0].is_allowed() => self.count(rule, "allowed"),
            Ok(()) => {
                self.count(rule, "dry-run-refused");
                would_refuse.push(&rule.name);
            }
            Err(_) => self.count(rule, "failed"),
        }
    }

    fn refused(&self, notes: &mut Notes, refusing: &Asked<'_>, asked: &[Asked<'_>]) {
        for asked in asked.iter().filter(|asked| !asked.is_allowed()) {
            self.count(asked.rule, "refused");
        }
        notes.set(DECISION_NOTE, "refused");
        notes.set(RULE_NOTE, &refusing.rule.name);
    }

    fn refuse(&self, request: &Request, refusing: &Asked<'_>, asked: &[Asked<'_>]) -> Verdict {
        let mut notes = request.notes();
        self.refused(&mut notes, refusing, asked);
        let message = format!("the quota `{}` is used up", refusing.rule.name);
        let wait = refusing.retry_after();
        if matching::value::is_grpc(request) {
            // Such an answer has no fields of its own: the message has to tell.
            let when = if wait < Decision::NEVER { format!("; retry after {} s", fields::seconds(wait)) } else { String::new() };
            return Reply::grpc(GRPC_EXHAUSTED, format!("{message}{when}")).into();
        }
        let mut reply = if self.body.is_empty() {
            Reply::new(self.status).text(&format!("{message}\n"))
        } else {
            Reply::new(self.status).text(&self.body)
        };
        // Where nothing helps, a time to come back would be a lie.
        if wait < Decision::NEVER {
            reply = reply.header("retry-after", fields::seconds(wait).to_string());
        }
        if self.fields {
            // The response hook of whoever replies does not run on the reply.
            for (note, field) in [(POLICY_NOTE, fields::POLICY), (RATELIMIT_NOTE, fields::RATELIMIT)] {
                if let Some(value) = notes.get(note) {
                    reply = reply.header(field, value);
                }
            }
        }
        reply.into()
    }

    /// The store does not answer, or cannot do it.
    fn failed(&self, request: &Request, asked: &[Asked<'_>], why: &str) -> Verdict {
        self.not_decided(&mut request.notes(), asked, why);
        match self.on_store_failure {
            OnStoreFailure::Open => Verdict::Next,
            OnStoreFailure::Closed if matching::value::is_grpc(request) => {
                Reply::grpc(GRPC_UNAVAILABLE, "quotas cannot be decided now").into()
            }
            OnStoreFailure::Closed => Reply::new(StatusCode::SERVICE_UNAVAILABLE).text("quotas cannot be decided now\n").into(),
        }
    }

    fn not_decided(&self, notes: &mut Notes, asked: &[Asked<'_>], why: &str) {
        asked.iter().for_each(|asked| self.count(asked.rule, "failed"));
        notes.set(DECISION_NOTE, "failed");
        log::warn!("no quota could be asked for: {why}");
    }

    fn count(&self, rule: &Rule, decision: &str) {
        self.decisions.increment(&[&rule.name, decision]);
    }
}
