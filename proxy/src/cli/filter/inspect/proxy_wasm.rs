//! What a module made for proxy-wasm exports and imports, and what of that is honoured here.

use serde_json::{Value, json};
use wasmparser::{Parser, Payload, TypeRef};

use super::super::say::{self, Paint};
use crate::filter::abi::proxy_wasm::{ANSWERED_ONLY, Exports, offers};

/// See the module.
#[derive(Debug)]
pub struct ProxyWasm {
    pub version: String,
    pub callbacks: Vec<String>,
    /// Callbacks that nothing here brings about.
    pub never_called: Vec<String>,
    /// What it imports, as `module.name`, and how it is offered.
    pub imports: Vec<(String, Offered)>,
}

/// How a function is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offered {
    Yes,
    /// It answers that it cannot be had.
    AnsweredOnly,
    No,
}

impl Offered {
    const fn word(self) -> &'static str {
        match self {
            Offered::Yes => "yes",
            Offered::AnsweredOnly => "answered-only",
            Offered::No => "no",
        }
    }
}

impl ProxyWasm {
    /// `None`: it is made for something else.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let exports = Exports::of(bytes)?;
        let mut imports = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            let Ok(Payload::ImportSection(section)) = payload else { continue };
            for import in section.into_imports().flatten() {
                let name = format!("{}.{}", import.module, import.name);
                let offered = match offers(import.module, import.name) && matches!(import.ty, TypeRef::Func(_)) {
                    false => Offered::No,
                    true if ANSWERED_ONLY.contains(&import.name) => Offered::AnsweredOnly,
                    true => Offered::Yes,
                };
                imports.push((name, offered));
            }
        }
        imports.sort();
        imports.dedup();
        let version = exports.version().map_or_else(|why| why, |version| version.to_string());
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Some(Self {
            version,
            callbacks: owned(exports.callbacks().collect()),
            never_called: owned(exports.never_called()),
            imports,
        })
    }

    /// Whether it calls a function of this name.
    pub fn calls(&self, name: &str) -> bool {
        self.imports.iter().any(|(known, _)| known.ends_with(name))
    }

    pub fn missing(&self) -> Vec<String> {
        self.imports.iter().filter(|(_, offered)| *offered == Offered::No).map(|(name, _)| name.clone()).collect()
    }

    pub fn to_json(&self) -> Value {
        let imports: Vec<_> =
            self.imports.iter().map(|(name, offered)| json!({ "name": name, "offered": offered.word() })).collect();
        json!({ "version": self.version, "callbacks": self.callbacks, "never-called": self.never_called, "imports": imports })
    }

    pub fn print(&self, paint: Paint) {
        say::row("interface", &self.version);
        let called = |name: &&String| !self.never_called.contains(name);
        let short = |name: &String| name.strip_prefix("proxy_on_").unwrap_or(name).to_owned();
        say::row("callbacks", self.callbacks.iter().filter(called).map(short).collect::<Vec<_>>().join(", "));
        if !self.never_called.is_empty() {
            say::row("never called", self.never_called.iter().map(short).collect::<Vec<_>>().join(", "));
        }
        let shown: Vec<_> = self
            .imports
            .iter()
            .map(|(name, offered)| {
                let name = name.strip_prefix("env.proxy_").unwrap_or(name);
                match offered {
                    Offered::Yes => name.to_owned(),
                    Offered::AnsweredOnly => format!("{name} (answers that it cannot be had)"),
                    Offered::No => paint.bad(&format!("{name} (missing)")),
                }
            })
            .collect();
        say::row("imports", shown.join(", "));
    }
}
