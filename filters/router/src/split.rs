//! Which of several clusters an exchange goes to: by weight, drawn or stable, by name or by what a logical name stands for.

use matching::hash::{below, hash};
use matching::{Pattern, Template};
use tamis_sdk::prelude::*;

use crate::config;
use crate::names::{Found, Names};

/// The note that carries a new cookie to the response.
pub const COOKIE_NOTE: &str = "router.cookie";

#[derive(Debug)]
pub struct Split {
    /// Those with a weight above zero; never empty.
    targets: Vec<Target>,
    weights: u64,
    sticky: Option<config::Sticky>,
    /// So that two routes that split by the same key do not send the same clients to their smaller shares.
    seed: u64,
}

#[derive(Debug)]
struct Target {
    to: To,
    weight: u64,
}

#[derive(Debug)]
enum To {
    Cluster(String),
    /// The segments of a logical name.
    Name(Vec<Template>),
}

/// What makes the choice: the same key chooses the same.
#[derive(Debug, Clone, Copy)]
enum Chance {
    Drawn,
    /// A hash, and how many numbers have been made of it.
    Stable(u64, u64),
}

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        match self {
            Chance::Drawn => entropy::below(bound),
            Chance::Stable(..) => below(self.next(), bound),
        }
    }

    /// From 0 up to 1: what 53 bits say, which a float holds exactly.
    fn unit(&mut self) -> f64 {
        let number = match self {
            Chance::Drawn => entropy::next(),
            Chance::Stable(..) => self.next(),
        };
        (number >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        match self {
            Chance::Drawn => entropy::next(),
            Chance::Stable(hashed, count) => {
                *count += 1;
                hash(*count, &hashed.to_le_bytes())
            }
        }
    }
}

impl Split {
    pub fn build(route: &mut config::Route) -> Result<Self, ConfigError> {
        let to = route.to.take().map(|to| to.0).unwrap_or_default();
        let to = to.into_iter().filter(|target| target.weight > 0);
        let targets = to.map(Target::build).collect::<Result<Vec<_>, _>>().map_err(|error| error.within("to"))?;
        if targets.is_empty() {
            return Err(ConfigError::at("to", "expected a cluster with a weight above 0, found none"));
        }
        let weights = targets.iter().map(|target| target.weight).sum();
        let sticky = route.sticky.take();
        let seed = hash(0, route.name.as_deref().unwrap_or_default().as_bytes());
        Ok(Split { targets, weights, sticky, seed })
    }

    pub fn cookie(&self) -> Option<&config::StickyCookie> {
        match &self.sticky {
            Some(config::Sticky::Cookie(cookie)) => Some(cookie),
            _ => None,
        }
    }

    /// Sets the cluster; an answer where there is none.
    pub fn choose(&self, request: &mut Request, pattern: &Pattern, names: &Names) -> Result<(), Reply> {
        let mut chance = self.chance(request, pattern);
        match &self.target(&mut chance).to {
            To::Cluster(cluster) => request.destination().set_cluster(cluster).map_err(|why| {
                log::error!("{why}");
                Reply::new(StatusCode::SERVICE_UNAVAILABLE).text("unknown cluster\n")
            }),
            To::Name(segments) => {
                let Some(name) = expanded(segments, request) else { return Err(nowhere("a name with an empty segment")) };
                match names.resolve(&name, request, &mut || chance.unit())? {
                    // It has been set.
                    Found::Cluster(_) => Ok(()),
                    Found::Nowhere | Found::Fail => Err(nowhere(&format!("/{}", name.join("/")))),
                }
            }
        }
    }

    fn chance(&self, request: &Request, pattern: &Pattern) -> Chance {
        let stable = |key: &str| Chance::Stable(hash(self.seed, key.as_bytes()), 0);
        match &self.sticky {
            None => Chance::Drawn,
            Some(config::Sticky::Key(key)) => key.value(request, Some(pattern)).map_or(Chance::Drawn, |key| stable(&key)),
            Some(config::Sticky::Cookie(sticky)) => {
                let known = matching::value::cookies(request, &sticky.cookie).into_iter().find(|value| !value.is_empty());
                stable(&known.unwrap_or_else(|| {
                    let fresh = format!("{:016x}", entropy::next());
                    request.notes().set(COOKIE_NOTE, &fresh);
                    fresh
                }))
            }
        }
    }

    fn target(&self, chance: &mut Chance) -> &Target {
        let last = self.targets.len() - 1;
        if last == 0 {
            return &self.targets[0];
        }
        let mut drawn = chance.below(self.weights);
        let chosen = self.targets.iter().position(|target| match drawn.checked_sub(target.weight) {
            Some(left) => {
                drawn = left;
                false
            }
            None => true,
        });
        &self.targets[chosen.unwrap_or(last)]
    }
}

impl Target {
    fn build(target: config::Target) -> Result<Self, ConfigError> {
        let to = match target.cluster.strip_prefix('/') {
            None => To::Cluster(target.cluster),
            Some(name) => {
                let segments = name.split('/').map(Template::parse).collect::<Result<Vec<_>, _>>().map_err(ConfigError::new)?;
                if name.split('/').any(str::is_empty) {
                    return Err(ConfigError::new(format!("expected a name such as \"/svc/users\", found \"/{name}\"")));
                }
                To::Name(segments)
            }
        };
        Ok(Target { to, weight: u64::from(target.weight) })
    }
}

/// A value that is empty, or has a slash in it, names nothing: a client could name what it likes by it.
fn expanded(segments: &[Template], request: &Request) -> Option<Vec<String>> {
    let segments = segments.iter().map(|template| String::from_utf8(template.expand(request)).ok());
    segments.map(|segment| segment.filter(|segment| !segment.is_empty() && !segment.contains('/'))).collect()
}

fn nowhere(name: &str) -> Reply {
    log::warn!("{name} leads to no cluster");
    Reply::new(StatusCode::SERVICE_UNAVAILABLE).text("the name leads to no cluster\n")
}
