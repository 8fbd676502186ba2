//! The proxy's own log: how it looks is said at the start, what it tells can be changed while it runs.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The log of this process, once it has been started.
static LOG: OnceLock<Log> = OnceLock::new();

/// Levels from silence to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Directives that are taken at once: each is looked at for every kind of line.
const DIRECTIVES_MAX: usize = 50;

/// How its lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With colours for a terminal.
    Text {
        colour: bool,
    },
    Json,
}

/// What it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// A level, or directives such as `info,tamis::cluster=debug`.
    pub now: String,
    /// As it was started.
    pub configured: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log of this process was not started by tamis, and so its level is not for tamis to change")]
    NotOurs,
    #[error("{0}")]
    Directives(String),
    #[error("the log could not be changed: {0}")]
    Reload(String),
}

struct Log {
    configured: String,
    now: Mutex<String>,
    /// The subscriber's type says how lines look; nobody else needs to know.
    reload: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
}

/// Starts the log of this process, on standard error.
pub fn start(directives: &str, format: Format) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| LogError::Directives(format!("expected a level or directives, found `{directives}`: {error}")))?;
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| LogError::Reload(error.to_string());
    let reload: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync> = match format {
        Format::Text { colour } => {
            let log = log.with_ansi(colour).with_env_filter(filter).with_filter_reloading();
            let handle = log.reload_handle();
            log.try_init().map_err(failed)?;
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
        Format::Json => {
            let log = log.json().with_ansi(false).with_env_filter(filter).with_filter_reloading();
            let handle = log.reload_handle();
            log.try_init().map_err(failed)?;
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
    };
    let configured = directives.to_owned();
    // Only the first log of a process can be started.
    let _ = LOG.set(Log { now: Mutex::new(configured.clone()), configured, reload });
    Ok(())
}

pub fn told() -> Result<Told, LogError> {
    let log = LOG.get().ok_or(LogError::NotOurs)?;
    let now = log.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Told { now, configured: log.configured.clone() })
}

/// Tells other things from now on, until the process ends; `None`: what was configured again.
pub fn tell(directives: Option<&str>) -> Result<Told, LogError> {
    let log = LOG.get().ok_or(LogError::NotOurs)?;
    let filter = match directives {
        Some(directives) => parse(directives)?,
        None => EnvFilter::try_new(&log.configured).map_err(|error| LogError::Directives(error.to_string()))?,
    };
    let told = directives.unwrap_or(&log.configured).to_owned();
    let mut now = log.now.lock().unwrap_or_else(PoisonError::into_inner);
    (log.reload)(filter).map_err(LogError::Reload)?;
    tracing::warn!(level = %told, before = %*now, "the level of this log was changed");
    now.clone_from(&told);
    Ok(Told { now: told, configured: log.configured.clone() })
}

/// More strict than at the start: a level with a slip in it would be the name of a target otherwise, and nothing would be told.
fn parse(directives: &str) -> Result<EnvFilter, LogError> {
    let wrong = |found: &str| {
        let expected = format!("expected one of {}, or `TARGET=LEVEL` such as `tamis::cluster=debug`", LEVELS.join(", "));
        LogError::Directives(format!("{expected}, found `{found}`"))
    };
    let parts: Vec<&str> = directives.split(',').map(str::trim).collect();
    if parts.len() > DIRECTIVES_MAX {
        return Err(LogError::Directives(format!("expected at most {DIRECTIVES_MAX} directives, found {}", parts.len())));
    }
    for part in &parts {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) || level.parse::<LevelFilter>().is_err() {
            return Err(wrong(part));
        }
    }
    EnvFilter::try_new(parts.join(",")).map_err(|_| wrong(directives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_with_a_slip_is_no_target() {
        for good in ["debug", "INFO", "off", "info,tamis::cluster=debug", "warn, tamis=trace"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "debg", "tamis::cluster", "tamis=loud", "info,", "info;debug", "9", "a=b=c"] {
            let error = parse(bad).expect_err(bad).to_string();
            assert!(
                error.contains("off, error, warn, info, debug, trace")
                    && error.contains(&format!("`{}`", bad.split(',').next_back().unwrap_or(bad))),
                "{error}"
            );
        }
    }
}
