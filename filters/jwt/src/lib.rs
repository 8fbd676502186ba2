//! Verifies JSON Web Tokens, and tells later filters and the service what they claim. README.md says what is asked of whom.
//!
//! The keys are read once, when the filter is configured. A token passes through [`token`] (what it says), [`provider`] (whether
//! to believe it) and [`rule`] (whether that is enough).

pub mod algorithm;
mod cache;
mod claims;
mod config;
pub mod jwk;
pub mod key;
mod provider;
mod refusal;
mod rule;
mod source;
mod token;

use std::rc::Rc;

use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;

use cache::Cache;
use config::Demand;
use provider::{Provider, Verified};
use refusal::Refusal;
use rule::Rule;
use source::Source;

/// The note with the provider of a good token, and the one with the reason why a token was refused.
const PROVIDER: &str = "jwt.provider";
const REFUSED: &str = "jwt.refused";

/// The providers and rules of one configuration, and the tokens that this instance has seen.
#[derive(Debug)]
pub struct Jwt {
    providers: Vec<Provider>,
    rules: Vec<Rule>,
    realm: Option<String>,
    /// Fields that only this filter sets.
    own: Vec<String>,
    cache: Cache,
    tokens: Counter,
}

impl Filter for Jwt {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let build = |(name, provider): (String, config::Provider)| {
            let path = format!("providers.{name}");
            Provider::build(name, provider, setup).map_err(|error| error.within(path))
        };
        let providers = config.providers.into_iter().map(build).collect::<Result<Vec<_>, _>>()?;
        if providers.is_empty() {
            return Err(ConfigError::at("providers", "expected at least one, found none"));
        }
        if config.cache > config::CACHE_MAX {
            return Err(ConfigError::at("cache", format!("expected at most {}, found {}", config::CACHE_MAX, config.cache)));
        }
        let mut rules = Vec::with_capacity(config.rules.len() + 1);
        for (position, rule) in config.rules.into_iter().enumerate() {
            let rule = Rule::build(rule, &providers);
            rules.push(rule.map_err(|error| error.within(format_args!("rules[{position}]")))?);
        }
        // The last one is for every request that no other is for.
        rules.push(Rule::rest(config.otherwise, &providers));
        let mut own: Vec<String> =
            providers.iter().flat_map(|provider| provider.headers.iter().map(|(name, _)| name.clone())).collect();
        own.sort();
        own.dedup();
        let tokens = setup.counter("jwt_tokens_total", "Requests by what became of their token", &["provider", "result"]);
        let (realm, cache) = (config.realm.map(|realm| realm.0), Cache::new(config.cache));
        Ok(Jwt { providers, rules, realm, own, cache, tokens: tokens.map_err(ConfigError::new)? })
    }
}

impl RequestHook for Jwt {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let Some((position, rule)) = self.rules.iter().enumerate().find(|(_, rule)| rule.is_for(request)) else {
            return Verdict::Next;
        };
        if rule.demand == Demand::Off {
            self.clear(request);
            return Verdict::Next;
        }
        let mut tokens = Tokens::default();
        let judged = self.judge(request, position, rule, &mut tokens);
        let provider = judged.as_ref().map_or(None, |(provider, _)| Some(*provider));
        let result = judged.as_ref().map_or_else(Refusal::word, |_| "accepted");
        self.tokens.increment(&[provider.map_or("", |provider| provider.name.as_str()), result]);
        if let Err(refusal) = &judged {
            let passes = match rule.demand {
                Demand::Optional => *refusal == Refusal::Missing,
                Demand::Lenient => true,
                Demand::Required | Demand::Off => false,
            };
            if *refusal != Refusal::Missing || !passes {
                request.notes().set(REFUSED, refusal.word());
            }
            if !passes {
                return refusal.reply(self.realm.as_deref(), matching::value::is_grpc(request)).into();
            }
        }
        self.clear(request);
        tokens.strip(&self.providers, rule, request);
        if let Ok((provider, verified)) = &judged {
            tell(provider, verified, request);
        }
        Verdict::Next
    }
}

tamis_sdk::config_schema!("schema.json");
tamis_sdk::export!(Jwt: request);

/// The tokens of the request in hand, each place looked at once.
#[derive(Debug, Default)]
struct Tokens<'a>(Vec<(&'a Source, Option<String>)>);

impl<'a> Tokens<'a> {
    fn find(&mut self, source: &'a Source, request: &Request) -> Result<Option<String>, Refusal> {
        if let Some((_, token)) = self.0.iter().find(|(known, _)| *known == source) {
            return Ok(token.clone());
        }
        let token = source.find(request)?;
        self.0.push((source, token.clone()));
        Ok(token)
    }

    /// Takes out every token that is not to go upstream, the bad ones included.
    fn strip(&self, providers: &[Provider], rule: &Rule, request: &mut Request) {
        let kept =
            |source: &Source| rule.providers.iter().any(|at| providers[*at].forward && providers[*at].from.contains(source));
        for provider in rule.providers.iter().map(|at| &providers[*at]) {
            for source in provider.from.iter().filter(|source| !kept(source)) {
                // One that was found to be there, or that nobody had to look at.
                if self.0.iter().find(|(known, _)| *known == source).is_none_or(|(_, token)| token.is_some()) {
                    source.strip(request);
                }
            }
        }
    }
}

impl Jwt {
    /// The first good token of the rule's providers; else, of what is wrong with the others, what says most.
    fn judge<'a>(
        &'a self,
        request: &Request,
        position: usize,
        rule: &Rule,
        tokens: &mut Tokens<'a>,
    ) -> Result<(&'a Provider, Rc<Verified>), Refusal> {
        let now = clock::now().as_secs_f64();
        let mut worst = Refusal::Missing;
        for at in &rule.providers {
            let provider = &self.providers[*at];
            for source in &provider.from {
                let Some(token) = tokens.find(source, request)? else { continue };
                match self.verified(&token, *at, now) {
                    Ok(verified) => match &verified.refused[position] {
                        Some(refusal) => worst = refusal.clone(),
                        None => return Ok((provider, verified)),
                    },
                    Err(refusal) if matches!(worst, Refusal::Missing | Refusal::Issuer) => worst = refusal,
                    Err(_) => {}
                }
            }
        }
        Err(worst)
    }

    fn verified(&self, token: &str, at: usize, now: f64) -> Result<Rc<Verified>, Refusal> {
        if token.len() > self.providers[at].token_bytes_max {
            return Err(Refusal::TooLong);
        }
        let name = (Cache::digest(token), at);
        if let Some(known) = self.cache.get(&name) {
            if now < known.until {
                return Ok(known);
            }
            self.cache.forget(&name);
        }
        let provider = &self.providers[at];
        let (claims, until) = provider.verify(token, now)?;
        let refused = self.rules.iter().map(|rule| rule.refuses(&claims)).collect();
        let verified = Rc::new(provider.kept(&claims, until, refused));
        self.cache.keep(name, verified.clone());
        Ok(verified)
    }

    /// What a client says in these fields would look as if this filter had said it.
    fn clear(&self, request: &mut Request) {
        for name in &self.own {
            request.remove_header(name);
        }
    }
}

fn tell(provider: &Provider, verified: &Verified, request: &mut Request) {
    let mut notes = request.notes();
    notes.set(PROVIDER, &provider.name);
    for ((name, _), value) in provider.notes.iter().zip(&verified.notes) {
        if let Some(value) = value {
            notes.set(name, value);
        }
    }
    for ((name, _), value) in provider.headers.iter().zip(&verified.headers) {
        let Some(value) = value else { continue };
        if let Err(why) = request.set_header(name, value) {
            log::warn!("a claim is not told to the service: {why}");
        }
    }
}
