//! The filter that is measured, with an exchange to put through it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, request, response};

use crate::cli::filter::module::{self, Named};
use crate::cli::filter::say::Trouble;
use crate::cli::filter::test::Given;
use crate::config;
use crate::exchange::{Body, Connection, Exchange, Names};
use crate::filter::abi::Call;
use crate::filter::abi::Instance;
use crate::filter::hand::Hand;
use crate::filter::host::inputs::{Input, Inputs};
use crate::filter::host::store::grant;
use crate::filter::witness::{self, Event, Missing};
use crate::filter::{Around, Filter, Grants, Hook, LoadError, Module, Plan, Reach, Taken, Verdict};
use crate::store::{Store, Stores};
use crate::telemetry::metrics::Registry;

/// Alive at once, with some to spare.
const INSTANCES: usize = 2 * super::ALIVE;
/// Names that are granted, one or several a time, before what is still missing stays so.
const ROUNDS: usize = 16;

/// See the module.
pub struct Subject {
    filter: Arc<Filter>,
    config: String,
    inputs: Inputs,
    reach: Arc<Reach>,
    connection: Arc<Connection>,
    request: request::Parts,
    response: response::Parts,
    body: Bytes,
    clusters: Arc<Names>,
    unanswered: BTreeSet<String>,
}

/// How long the hooks of one exchange took; `None`: there is no such hook, or it was not reached.
pub struct Took {
    pub request: Option<Duration>,
    pub response: Option<Duration>,
}

impl Subject {
    /// Grants the stores that the filter asks for, as `test` does.
    pub fn build(named: &Named, given: &Given) -> Result<Self, Trouble> {
        let module = module::modules(INSTANCES)?.take(&named.bytes).map_err(|error| {
            Trouble::new(format!("{} cannot be used: {error}", named.shown))
                .hint(format!("`tamis filter inspect {}` says more", named.shown))
        })?;
        if module.prepared.is_shared() {
            let why = format!(
                "{} is made for proxy-wasm: its exchanges share an instance, which is not what is measured here",
                named.shown
            );
            return Err(Trouble::new(why).hint("docs/proxy-wasm.md tells how to measure one"));
        }
        let (mut stores, mut clusters) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..ROUNDS {
            let mut subject = Self::with(named, given, &module, &stores, &clusters)?;
            let before = (stores.len(), clusters.len());
            for event in subject.tried()? {
                match event {
                    Event::Missing(Missing::Store, name) => drop(stores.insert(name)),
                    Event::Missing(Missing::Cluster, name) => {
                        clusters.insert(name.clone());
                        subject.unanswered.insert(name);
                    }
                    _ => {}
                }
            }
            if before == (stores.len(), clusters.len()) {
                return Ok(subject);
            }
        }
        Self::with(named, given, &module, &stores, &clusters)
    }

    fn with(
        named: &Named,
        given: &Given,
        module: &Arc<Module>,
        stores: &BTreeSet<String>,
        clusters: &BTreeSet<String>,
    ) -> Result<Self, Trouble> {
        let refused = |error: LoadError| {
            Trouble::new(format!("it cannot be configured: {error}"))
                .hint("--config gives it a configuration, --input what it reads")
        };
        let text = format!("[listeners.l]\nlisten = '127.0.0.1:0'\n[filters.{0}]\nmodule = 'builtin:router'\n", named.name);
        let mut loaded = config::parse(&text, Path::new("bench")).map_err(Trouble::new)?;
        let mut config =
            loaded.config.filters.pop_first().map(|(_, filter)| filter).ok_or_else(|| Trouble::new("there is no filter"))?;
        let own = Arc::make_mut(&mut config);
        own.config = given.config()?.into();
        own.module = named.source.clone();
        let inputs = inputs(given)?;
        let names: Vec<Arc<str>> = stores.iter().map(|name| name.as_str().into()).collect();
        let made: Stores = names.iter().map(|name| (Arc::clone(name), Store::build(name, &Arc::default(), None))).collect();
        let grants = Grants { stores: grant(&names, &made, &"".into()), ..Grants::default() };
        let text = config.config.to_string();
        let plan = Plan {
            name: named.name.as_str().into(),
            config,
            module: Arc::clone(module),
            grants,
            inputs: Arc::clone(&inputs),
            beside: None,
        };
        let around = Around { workers: 1, previous: None, metrics: &Registry::default(), taken: Taken::default() };
        let filter = Filter::build(plan, &around).map_err(refused)?;
        let mut request = Request::new(());
        *request.method_mut() = given.request.0.clone();
        *request.uri_mut() = given.request.1.parse().map_err(Trouble::new)?;
        *request.headers_mut() = given.headers();
        let connection = Connection::new("bench".into(), ([192, 0, 2, 7], 40_000).into(), ([192, 0, 2, 1], 443).into());
        Ok(Self {
            filter,
            config: text,
            inputs,
            reach: Arc::default(),
            connection: Arc::new(connection),
            request: request.into_parts().0,
            response: Response::new(()).into_parts().0,
            body: given.body()?,
            clusters: Arc::new(clusters.iter().map(|name| name.as_str().into()).collect()),
            unanswered: BTreeSet::new(),
        })
    }

    /// Clusters that the filter's own calls go to: where the exchange itself may go, nothing is sent.
    pub fn unanswered(&self) -> &BTreeSet<String> {
        &self.unanswered
    }

    /// What happens in one exchange.
    fn tried(&self) -> Result<Vec<Event>, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Trouble::new(format!("no runtime: {error}")))?;
        witness::begin();
        let outcome = tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut instance = self.instance().await?;
            self.exchange(&mut instance).await
        });
        let events = witness::end();
        outcome.map(|_| events)
    }

    /// A new, configured instance, as the proxy makes it.
    pub async fn instance(&self) -> Result<Instance, Trouble> {
        self.filter.instance().await.map_err(|error| Trouble::new(format!("no instance can be made: {error}")))
    }

    /// One that is not configured.
    pub async fn bare(&self) -> Result<Instance, Trouble> {
        let made = self.filter.module.prepared.instantiate(&self.filter.identity).await;
        made.map_err(|error| Trouble::new(format!("no instance can be made: {error}")))
    }

    pub async fn configure(&self, instance: &mut Instance) -> Result<(), Trouble> {
        let configured = instance.configure(&self.config, &self.inputs).await;
        configured.map(drop).map_err(|error| Trouble::new(format!("it cannot be configured: {error}")))
    }

    /// Request hook and response hook, on an exchange of their own.
    pub async fn exchange(&self, instance: &mut Instance) -> Result<Took, Trouble> {
        let mut exchange = Exchange::new(
            Arc::clone(&self.connection),
            self.request.clone(),
            "example.com".to_owned(),
            "4caf58aa332217d05e30072f5ef30cb6".to_owned(),
            Arc::clone(&self.clusters),
        );
        exchange.request_body = Body::whole(self.body.clone());
        let exchange = std::rc::Rc::new(std::cell::RefCell::new(exchange));
        let mut hand = Hand::new(Hook::Request, &exchange, &self.reach);
        let mut took = Took { request: None, response: None };
        let setup = &self.filter.setup;
        if setup.wants(Hook::Request) {
            let (verdict, time) = timed(instance, Call::Request, &mut hand).await?;
            took.request = Some(time);
            if verdict != Verdict::Next {
                return Ok(took);
            }
        }
        if setup.wants(Hook::Response) {
            {
                let mut exchange = exchange.borrow_mut();
                exchange.response = Some(self.response.clone());
                exchange.response_body = Body::default();
            }
            (hand.hook, hand.reply) = (Hook::Response, None);
            took.response = Some(timed(instance, Call::Response, &mut hand).await?.1);
        }
        Ok(took)
    }
}

async fn timed(instance: &mut Instance, call: Call, hand: &mut Hand) -> Result<(Verdict, Duration), Trouble> {
    let hook = call.hook().name();
    let began = Instant::now();
    let verdict = instance.call(call, hand).await;
    let took = began.elapsed();
    let verdict = verdict.map_err(|fault| {
        Trouble::new(format!("the filter failed in its {hook} hook: {fault}"))
            .hint("`tamis filter test` with the same flags shows what it did until then")
    })?;
    Ok((verdict, took))
}

fn inputs(given: &Given) -> Result<Inputs, Trouble> {
    let read = |(name, file): &(String, std::path::PathBuf)| {
        let content = std::fs::read(file).map_err(|error| Trouble::new(format!("cannot read {}: {error}", file.display())))?;
        Ok(Input { name: name.as_str().into(), content: content.into() })
    };
    given.input.iter().map(read).collect()
}
