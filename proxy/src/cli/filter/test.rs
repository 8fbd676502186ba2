//! `tamis filter test`: one exchange through one filter, in a whole proxy inside of this process, and what came of it.
//!
//! The proxy is the real one, with one worker; its upstream services are in this process as well and answer what the
//! command line says. What the filter does is seen by `filter/witness`.

mod lab;
mod origin;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::module::Named;
use super::say::{self, Trouble};
use lab::Lab;
use origin::Answer;
use report::Report;

/// The cluster of the listener.
const UPSTREAM: &str = "upstream";

#[derive(Debug, Args)]
pub struct Test {
    /// The module: a file, or a built-in filter such as `builtin:router`.
    #[arg(value_name = "FILE")]
    module: PathBuf,
    #[command(flatten)]
    given: Given,
    /// The status of the upstream's answer.
    #[arg(long, value_name = "N", default_value = "200")]
    response_status: StatusCode,
    /// A field of the upstream's answer; as often as you like.
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    response_header: Vec<(HeaderName, HeaderValue)>,
    /// The body of the upstream's answer: text, or `@` and a file.
    #[arg(long, value_name = "TEXT|@FILE", default_value = "the upstream's answer\n", hide_default_value = true)]
    response_body: String,
    /// What a cluster answers, to the filter's own calls and to requests that it sends there: `idp=200:{"user": "ada"}`.
    /// Any other answers what the upstream does.
    #[arg(long, value_name = "CLUSTER=STATUS[:BODY]", value_parser = Answer::parse)]
    answer: Vec<(String, Answer)>,
    /// Grant nothing. Otherwise every cluster and store that the filter asks for is there and granted.
    #[arg(long)]
    allow_nothing: bool,
    /// An environment variable that it may see.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// What a filter is given, for `test` and `bench`.
#[derive(Debug, Args)]
pub struct Given {
    /// Method and target.
    #[arg(long, value_name = "METHOD TARGET", default_value = "GET /", value_parser = request)]
    pub request: (Method, String),
    /// A field of the request; as often as you like.
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// The body of the request: text, or `@` and a file.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub body: Option<String>,
    /// What `configure` is given: JSON, or `@` and a file with it.
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    pub config: String,
    /// An input of the filter; as often as you like.
    #[arg(long, value_name = "NAME=@FILE", value_parser = input)]
    pub input: Vec<(String, PathBuf)>,
}

impl Given {
    pub fn config(&self) -> Result<Value, Trouble> {
        let text = content(&self.config)?;
        serde_json::from_slice(&text).map_err(|error| {
            Trouble::new(format!("--config: expected JSON: {error}"))
                .hint("for example --config '{\"closed\": [\"/shop\"]}', or --config @config.json")
        })
    }

    pub fn body(&self) -> Result<Bytes, Trouble> {
        self.body.as_deref().map_or(Ok(Bytes::new()), content)
    }

    pub fn headers(&self) -> HeaderMap {
        map(&self.header)
    }
}

impl Test {
    pub fn run(self) -> ExitCode {
        say::exit_code(self.test())
    }

    fn test(&self) -> Result<(), Trouble> {
        let module = Named::read(&self.module)?;
        let upstream =
            Answer { status: self.response_status, headers: map(&self.response_header), body: content(&self.response_body)? };
        let mut answers: BTreeMap<String, Answer> = self.answer.iter().cloned().collect();
        answers.entry(UPSTREAM.to_owned()).or_insert_with(|| upstream.clone());
        let lab = Lab {
            module: &module,
            config: self.given.config()?.into(),
            inputs: &self.given.input,
            environment: self.env.iter().cloned().collect(),
            method: self.given.request.0.clone(),
            target: self.given.request.1.clone(),
            headers: self.given.headers(),
            body: self.given.body()?,
            grant: !self.allow_nothing,
            otherwise: upstream,
        };
        let ran = lab.run(answers)?;
        let report = Report::new(&module.shown, &lab, &ran);
        if self.json {
            println!("{}", report.to_json());
        } else {
            report.print();
        }
        match report.failed() {
            None => Ok(()),
            Some(hook) => Err(Trouble::new(format!("the filter failed in its {hook} hook"))
                .hint("docs/filters.md#when-it-fails says what that means for an exchange, and what its limits are")),
        }
    }
}

/// Text as it is, or what is in a file.
fn content(text: &str) -> Result<Bytes, Trouble> {
    match text.strip_prefix('@') {
        None => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(file) => std::fs::read(file).map(Bytes::from).map_err(|error| Trouble::new(format!("cannot read {file}: {error}"))),
    }
}

fn map(fields: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name.clone(), value.clone());
    }
    map
}

fn request(text: &str) -> Result<(Method, String), String> {
    let (method, target) = text.split_once(' ').ok_or("expected a method and a target, such as `GET /path`")?;
    let method = method.parse::<Method>().map_err(|_| format!("`{method}` is no method"))?;
    let target = target.trim();
    let sound = target.starts_with('/') && target.parse::<http::uri::PathAndQuery>().is_ok();
    if sound {
        Ok((method, target.to_owned()))
    } else {
        Err(format!("`{target}` is no target; expected one that begins with `/`"))
    }
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected a field, such as `x-user: ada`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is no name of a field"))?;
    Ok((name, value.trim().parse().map_err(|_| format!("`{value}` is no value of a field"))?))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn input(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once("=@").ok_or("expected NAME=@FILE")?;
    let file = PathBuf::from(file);
    if file.is_file() { Ok((name.to_owned(), file)) } else { Err(format!("there is no file {}", file.display())) }
}
