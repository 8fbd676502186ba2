//! What the configuration says, as plain data, and the answer to what is denied.

use std::collections::BTreeMap;

use matching::change::{Name, with_fields};
use matching::{Match, Template, Text, value};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

use crate::rule::Action;

/// The gRPC code of a denial: PERMISSION_DENIED.
const PERMISSION_DENIED: u32 = 7;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Where no rule decides.
    #[serde(default = "deny")]
    pub default: Action,
    #[serde(default)]
    pub deny: Denial,
    /// Nothing is denied; what would be is noted and counted.
    #[serde(default)]
    pub audit: bool,
}

fn deny() -> Action {
    Action::Deny
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    pub name: Option<String>,
    pub action: Action,
    #[serde(rename = "match", default)]
    pub matches: Match,
    /// The source is in one of these inputs.
    #[serde(default)]
    pub list: OneOrMany<String>,
    /// The source is in none of these.
    #[serde(default)]
    pub not_list: OneOrMany<String>,
    #[serde(default)]
    pub audit: bool,
}

/// What a client gets that is denied. It tells nobody which rule it was.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Denial {
    pub status: u16,
    pub body: Text,
    pub content_type: Template,
    pub headers: BTreeMap<Name, Template>,
    pub grpc_status: u32,
    pub grpc_message: String,
}

impl Default for Denial {
    fn default() -> Self {
        Denial {
            status: 403,
            body: Text(Template::text("access denied\n")),
            content_type: Template::text("text/plain; charset=utf-8"),
            headers: BTreeMap::new(),
            grpc_status: PERMISSION_DENIED,
            grpc_message: "access denied".to_owned(),
        }
    }
}

impl Denial {
    pub fn checked(self) -> Result<Self, ConfigError> {
        if !(400..600).contains(&self.status) {
            return Err(ConfigError::at("deny.status", format!("expected 400 to 599, found {}", self.status)));
        }
        if !(1..=16).contains(&self.grpc_status) {
            return Err(ConfigError::at("deny.grpc-status", format!("expected 1 to 16, found {}", self.grpc_status)));
        }
        Ok(self)
    }

    pub fn answer(&self, request: &Request) -> Verdict {
        if value::is_grpc(request) {
            return Reply::grpc(self.grpc_status, self.grpc_message.as_str()).into();
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::FORBIDDEN);
        let fields = self.headers.iter().map(|(name, value)| (name.0.as_str(), value));
        let fields = [("content-type", &self.content_type)].into_iter().chain(fields);
        let reply = with_fields(Reply::new(status), fields, request);
        reply.body(self.body.0.expand(request)).into()
    }
}
