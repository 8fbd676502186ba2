//! `tamis filter inspect`: what a module offers, what it wants, what it was made with, and whether the proxy takes it.

mod interfaces;
mod proxy_wasm;
mod sections;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::module::{self, Named};
use super::say::{self, Paint, Trouble};
use crate::filter::Engine;
use crate::filter::abi;
use crate::filter::abi::component::{self, Prepared};
use crate::filter::module::{LoadError, digest};
use crate::filter::schema::{self, Schema};
use interfaces::Interfaces;
use proxy_wasm::ProxyWasm;
use sections::Sections;

/// Nothing is instantiated.
const INSTANCES: usize = 1;

#[derive(Debug, Args)]
pub struct Inspect {
    /// The module: a file, or a built-in filter such as `builtin:router`.
    #[arg(value_name = "FILE")]
    module: PathBuf,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
    /// Only the JSON Schema of its configuration, for editors and other tools.
    #[arg(long, conflicts_with = "json")]
    schema: bool,
}

impl Inspect {
    pub fn run(self) -> ExitCode {
        say::exit_code(self.inspect())
    }

    fn inspect(&self) -> Result<(), Trouble> {
        let named = Named::read(&self.module)?;
        if self.schema {
            return print_schema(&named);
        }
        let engine = module::engine(INSTANCES)?;
        let found = Found::of(&engine, &named);
        if self.json {
            println!("{}", found.to_json());
        } else {
            found.print();
        }
        match &found.refused {
            None => Ok(()),
            Some(why) => Err(Trouble::new(format!("{} is no filter for this proxy: {why}", named.shown)).hint(found.advice())),
        }
    }
}

/// As it stands in the module: what somebody laid out well stays so.
fn print_schema(named: &Named) -> Result<(), Trouble> {
    let schema = schema::section(&named.bytes).and_then(|section| str::from_utf8(section).ok());
    let none = || Trouble::new(format!("{} carries no schema of its configuration", named.shown));
    println!("{}", schema.ok_or_else(|| none().hint("docs/filters.md tells how a module gets one"))?.trim_end());
    Ok(())
}

/// Everything there is to say about a module.
struct Found {
    name: String,
    bytes: usize,
    sha256: String,
    sections: Sections,
    interfaces: Interfaces,
    /// It is run as the core module that it is.
    direct: bool,
    /// For a module made for that ABI.
    proxy_wasm: Option<ProxyWasm>,
    /// Why the proxy does not take it.
    refused: Option<String>,
}

impl Found {
    fn of(engine: &Engine, named: &Named) -> Self {
        let hash = digest(&named.bytes);
        if let Some(proxy_wasm) = ProxyWasm::of(&named.bytes) {
            let built = abi::Prepared::build(engine, &module::cache(), &named.bytes, &hash);
            let refused = built.err().map(|error| error.to_string());
            return Self::with(named, Interfaces::default(), Some(proxy_wasm), refused);
        }
        let component = component::compiled(engine, &module::cache(), &named.bytes, &hash).map(|(component, _)| component);
        let (interfaces, refused) = match component {
            Err(error) => (Interfaces::default(), Some(error.to_string())),
            Ok(component) => {
                let refused = Prepared::link(engine, &component).err().map(|error| error.to_string());
                (Interfaces::of(engine, &component), refused)
            }
        };
        Self::with(named, interfaces, None, refused)
    }

    fn with(named: &Named, interfaces: Interfaces, proxy_wasm: Option<ProxyWasm>, refused: Option<String>) -> Self {
        let refused = refused.or_else(|| Schema::of(&named.bytes).err().map(|why| LoadError::Schema(why).to_string()));
        Self {
            name: named.shown.clone(),
            bytes: named.bytes.len(),
            sha256: digest(&named.bytes).to_string(),
            sections: Sections::read(&named.bytes),
            interfaces,
            direct: refused.is_none() && proxy_wasm.is_none() && component::is_entered_directly(&named.bytes),
            proxy_wasm,
            refused,
        }
    }

    /// What the operator has to grant for all of it to work: the key, and what wants it.
    fn needs(&self) -> Vec<(&'static str, &'static str)> {
        if let Some(proxy_wasm) = &self.proxy_wasm {
            let calls = ["proxy_http_call", "proxy_grpc_call", "proxy_grpc_stream", "proxy_redis_init"].into_iter();
            let clusters = calls.filter(|name| proxy_wasm.calls(name)).map(|name| ("allow.clusters", name));
            let environment = ("allow.environment", "environ_get");
            return clusters.chain(proxy_wasm.calls("environ_get").then_some(environment)).collect();
        }
        let wants = |interface: &str| self.interfaces.imports.keys().any(|known| interfaces::plain(known) == interface);
        [
            ("allow.clusters", "http-client"),
            ("allow.stores", "store"),
            ("allow.stores", "quota"),
            ("allow.environment", "wasi:cli/environment"),
        ]
        .into_iter()
        .filter(|(_, interface)| wants(interface))
        .collect()
    }

    /// The way into it, as `modules.enter` has it.
    fn entered(&self) -> &'static str {
        if self.direct { "direct" } else { "component" }
    }

    fn advice(&self) -> &'static str {
        if self.proxy_wasm.is_some() {
            return "docs/proxy-wasm.md lists what such a module may import and which of its callbacks are called";
        }
        let others = self.interfaces.missing().iter().any(|name| name.contains("wasi:"));
        if others || self.sections.imports.iter().any(|name| name.starts_with("wasi")) {
            "docs/filters.md lists what a filter may import; a Rust filter is built for wasm32-unknown-unknown: `tamis filter build`"
        } else if self.interfaces.is_empty() {
            "`tamis filter new NAME` writes a project that builds into one"
        } else {
            "docs/filters.md lists what a filter may import and export; build it with the SDK of this version: `tamis filter build`"
        }
    }

    fn to_json(&self) -> Value {
        let needs: Vec<_> = self.needs().iter().map(|(key, interface)| json!({ "key": key, "for": interface })).collect();
        json!({
            "file": self.name,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "form": self.sections.form,
            "entered": self.proxy_wasm.is_none().then(|| self.entered()),
            "filter": self.refused.is_none(),
            "error": self.refused,
            "missing": self.proxy_wasm.as_ref().map_or_else(|| self.interfaces.missing(), ProxyWasm::missing),
            "abi": self.interfaces.versions,
            "proxy-wasm": self.proxy_wasm.as_ref().map(ProxyWasm::to_json),
            "configure": self.interfaces.configure,
            "hooks": self.interfaces.hooks,
            "imports": self.interfaces.to_json(),
            "core-imports": self.sections.imports,
            "needs": needs,
            "waits": self.interfaces.waits(),
            "memory": { "first": self.sections.memory_first, "most": self.sections.memory_most },
            "config-schema": self.sections.schema,
            "producers": self.sections.producers,
        })
    }

    fn print(&self) {
        let paint = Paint::stdout();
        println!("{}", paint.bold(&self.name));
        say::row("size", format!("{}, a {}", say::bytes(self.bytes), self.sections.form));
        say::row("sha256", &self.sha256);
        if self.refused.is_none() && self.proxy_wasm.is_none() {
            say::row("entered", self.entered());
        }
        if let Some(proxy_wasm) = &self.proxy_wasm {
            proxy_wasm.print(paint);
            for (key, function) in self.needs() {
                say::row("wants granted", format!("{key}, for {function}"));
            }
        } else if !self.interfaces.is_empty() {
            self.print_interfaces(paint);
        } else if !self.sections.imports.is_empty() {
            say::row("imports", self.sections.imports.join(", "));
        }
        if let Some(first) = self.sections.memory_first {
            let most = self
                .sections
                .memory_most
                .map_or("no limit of its own".to_owned(), |most| format!("at most {}", say::bytes(most)));
            say::row("memory", format!("{} to begin with, {most}", say::bytes(first)));
        }
        for (field, made_by) in &self.sections.producers {
            let each: Vec<_> = made_by.iter().map(|(name, version)| format!("{name} {version}").trim_end().to_owned()).collect();
            say::row(field, each.join(", "));
        }
        match &self.sections.schema {
            None => say::row("configuration", "no schema inside"),
            Some(schema) => {
                let text = serde_json::to_string_pretty(schema).unwrap_or_default();
                println!("configuration schema (JSON Schema)\n  {}", text.replace('\n', "\n  "));
            }
        }
        if let Some(error) = &self.sections.schema_error {
            say::row("", paint.bad(error));
        }
    }

    fn print_interfaces(&self, paint: Paint) {
        say::row("interface", self.interfaces.versions.join(", "));
        say::row("hooks", if self.interfaces.hooks.is_empty() { "none".to_owned() } else { self.interfaces.hooks.join(", ") });
        say::row("configured", if self.interfaces.configure { "yes" } else { "no: it takes any configuration and reads none" });
        say::row("waits", if self.interfaces.waits() { "it may: its hooks run on fibers" } else { "never" });
        let needs = self.needs();
        if needs.is_empty() {
            say::row("wants granted", "nothing");
        }
        for (key, interface) in needs {
            say::row("wants granted", format!("{key}, for {interface}"));
        }
        for (interface, functions) in &self.interfaces.imports {
            let shown: Vec<_> = functions
                .iter()
                .map(|function| match function.offered {
                    true => function.name.clone(),
                    false => paint.bad(format!("{} (missing)", function.name).trim()),
                })
                .collect();
            say::row("imports", format!("{}: {}", interfaces::plain(interface), shown.join(", ")));
        }
    }
}
