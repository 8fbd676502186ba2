//! What the guest reads as its configuration.

use tamis_sdk::Hook;
use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub greeting: String,
    #[serde(default)]
    pub keep_state: bool,
    #[serde(default)]
    pub tick_every_ms: u64,
    #[serde(default)]
    pub want: Vec<Wanted>,
    #[serde(default)]
    pub routes: Vec<Route>,
    /// One more metric, whose name may be none.
    pub counter: Option<String>,
    /// What to fail with, unexpectedly.
    pub throw: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub path: String,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    Request,
    RequestChunk,
    Response,
    ResponseChunk,
    Trailers,
    Complete,
    Tick,
}

impl From<Wanted> for Hook {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Request => Hook::Request,
            Wanted::RequestChunk => Hook::RequestChunk,
            Wanted::Response => Hook::Response,
            Wanted::ResponseChunk => Hook::ResponseChunk,
            Wanted::Trailers => Hook::Trailers,
            Wanted::Complete => Hook::Complete,
            Wanted::Tick => Hook::Tick,
        }
    }
}
