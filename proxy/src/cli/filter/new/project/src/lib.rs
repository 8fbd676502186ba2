//! Closes parts of a site: whoever asks for them is told to come back later. Every answer says that the filter was there.

use tamis_sdk::prelude::*;

/// What the proxy's configuration says in `filters.{name}.config`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Paths that are closed, with everything below them. Each begins with "/".
    closed: Vec<String>,
    /// What clients are told to wait, in seconds.
    #[serde(default = "a_minute")]
    retry_after: u64,
}

fn a_minute() -> u64 {
    60
}

/// One configured instance. The proxy makes several, and lets each work for one exchange at a time.
#[derive(Debug)]
pub struct ThisFilter {
    config: Config,
}

impl Filter for ThisFilter {
    type Config = Config;

    /// Called before anything is served. What it refuses never goes live; the path tells the operator where to look.
    fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
        for (index, path) in config.closed.iter().enumerate() {
            if !path.starts_with('/') {
                return Err(ConfigError::at(
                    format!("closed[{index}]"),
                    format!("expected a path that begins with \"/\", found {path:?}"),
                ));
            }
        }
        Ok(ThisFilter { config })
    }
}

impl ThisFilter {
    /// The closed path that this one lies at or below.
    fn closed(&self, path: &str) -> Option<&str> {
        let is_below = |closed: &&String| {
            path.strip_prefix(closed.as_str()).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || closed.ends_with('/')
            })
        };
        self.config.closed.iter().find(is_below).map(String::as_str)
    }
}

impl RequestHook for ThisFilter {
    /// The head of a request is there: let it pass, change it, or answer it.
    fn on_request(&self, request: &mut Request) -> Verdict {
        let path = request.path();
        let Some(closed) = self.closed(&path) else {
            return Verdict::Next;
        };
        log::info!(
            "{} asked for {path}, which is closed",
            request.connection().source()
        );
        // Notes travel with the exchange: to later hooks, and into the access log.
        request.notes().set("closed", closed);
        Reply::new(StatusCode::SERVICE_UNAVAILABLE)
            .header("retry-after", &self.config.retry_after.to_string())
            .text("closed for now\n")
            .into()
    }
}

impl ResponseHook for ThisFilter {
    /// The head of the answer is there.
    fn on_response(&self, response: &mut Response) -> Verdict {
        if let Err(refused) = response.set_header("x-filter", "{name}") {
            log::warn!("no x-filter: {refused}");
        }
        Verdict::Next
    }
}

tamis_sdk::export!(ThisFilter: request, response);
