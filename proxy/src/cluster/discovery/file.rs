//! A list of endpoints in a file, which is read again when it has changed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Finding, Found, Source};
use crate::config;

/// The list in this file.
pub struct List(pub Arc<Path>);

impl Source for List {
    fn find(&self) -> Finding<'_> {
        let path = Arc::clone(&self.0);
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            Ok(Found { answer: read.map_err(|error| error.to_string())??, again: None })
        })
    }

    /// Whoever watches the file says when it has changed.
    fn retry(&self) -> Option<Duration> {
        None
    }
}

/// Reads it, on a thread that may block.
pub fn read(path: &Path) -> Result<Answer, String> {
    let endpoints = config::endpoint_list(path).map_err(|problems| problems.to_string())?;
    Ok(Answer::Endpoints(endpoints.into()))
}
