//! `tamis filter promote` and `abort`: what becomes of a canary that was loaded.

use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::Method;

use super::remote::{Remote, gone_live, segment};

/// A filter with a canary.
#[derive(Debug, Args)]
pub struct Canary {
    name: String,
    #[command(flatten)]
    remote: Remote,
}

impl Canary {
    pub fn promote(&self) -> ExitCode {
        self.remote.run(Method::POST, &format!("/filters/{}/promote", segment(&self.name)), Ok(Bytes::new()), gone_live)
    }

    pub fn abort(&self) -> ExitCode {
        self.remote.run(Method::DELETE, &format!("/filters/{}/canary", segment(&self.name)), Ok(Bytes::new()), gone_live)
    }
}
