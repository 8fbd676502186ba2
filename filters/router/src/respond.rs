//! Answers of the router's own.

use matching::change::with_fields;
use matching::{Template, Text};
use tamis_sdk::prelude::*;

use crate::config;

#[derive(Debug)]
pub struct Respond {
    status: StatusCode,
    body: Option<Template>,
    fields: Vec<(String, Template)>,
}

impl Respond {
    /// Paths of errors are relative to the answer.
    pub fn build(respond: config::Respond) -> Result<Self, ConfigError> {
        let status = StatusCode::from_u16(respond.status).ok().filter(|status| (200..600).contains(&status.as_u16()));
        let Some(status) = status else {
            return Err(ConfigError::at("status", format!("expected 200 to 599, found {}", respond.status)));
        };
        let mut fields: Vec<_> = respond.headers.into_iter().map(|(name, value)| (name.0, value)).collect();
        let usual = respond.body.is_some().then(|| Template::text("text/plain; charset=utf-8"));
        fields.extend(respond.content_type.or(usual).map(|content_type| ("content-type".to_owned(), content_type)));
        let seconds = respond.retry_after.map(|after| after.as_millis().div_ceil(1000).to_string());
        fields.extend(seconds.map(|seconds| ("retry-after".to_owned(), Template::text(seconds))));
        Ok(Respond { status, body: respond.body.map(|Text(body)| body), fields })
    }

    pub fn take(&self, request: &Request) -> Verdict {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value));
        let reply = with_fields(Reply::new(self.status), fields, request);
        let body = self.body.as_ref().map(|body| body.expand(request)).unwrap_or_default();
        reply.body(body).into()
    }
}
