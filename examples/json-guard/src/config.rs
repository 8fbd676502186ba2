//! What the configuration says, as plain data.

use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

/// Deeper JSON is refused by the parser itself.
pub const DEPTH_MAX: usize = 127;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default = "those_with_a_body")]
    pub methods: OneOrMany<String>,
    /// In bytes.
    #[serde(default = "limit")]
    pub limit: u32,
    #[serde(default = "depth")]
    pub max_depth: usize,
    #[serde(default)]
    pub rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    pub path: String,
    #[serde(default)]
    pub required: bool,
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    pub max_length: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    List,
    Object,
}

fn those_with_a_body() -> OneOrMany<String> {
    OneOrMany(["POST", "PUT", "PATCH"].map(str::to_owned).to_vec())
}

/// What a form or a call of an API has; uploads are no JSON.
fn limit() -> u32 {
    64 * 1024
}

fn depth() -> usize {
    16
}
