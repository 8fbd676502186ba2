//! The languages that a project can be written in: their templates and SDKs, which lie in this binary.

use clap::ValueEnum;

use super::{fill, rust};

include!(concat!(env!("OUT_DIR"), "/languages.rs"));

/// Files by their path.
type Files = &'static [(&'static str, &'static str)];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Go,
    #[value(name = "js", alias = "javascript")]
    JavaScript,
    #[value(name = "ts", alias = "typescript")]
    TypeScript,
    Python,
    C,
}

impl Language {
    /// The project's own files, filled in.
    pub fn files(self, name: &str) -> Vec<(String, String)> {
        let template = match self {
            Language::Rust => return rust::files(name),
            Language::Go => "go",
            Language::JavaScript => "js",
            Language::TypeScript => "ts",
            Language::Python => "python",
            Language::C => "c",
        };
        find(TEMPLATES, template).iter().map(|(path, text)| (fill(path, name), fill(text, name))).collect()
    }

    /// The SDK, as one folder.
    pub fn sdk(self) -> Files {
        match self {
            Language::Rust => rust::SDK,
            Language::Go => find(SDKS, "go"),
            Language::JavaScript | Language::TypeScript => find(SDKS, "js"),
            Language::Python => find(SDKS, "python"),
            Language::C => find(SDKS, "c"),
        }
    }

    /// What to do first in the folder: commands, and what for.
    pub fn first_steps(self, name: &str) -> Vec<(&'static str, String)> {
        let natively = |what: &str| format!("natively, {what}");
        let build = |file: String| ("tamis filter build", file);
        match self {
            Language::Rust => vec![
                ("cargo test", natively("against the SDK's fake host")),
                build(format!("target/wasm32-unknown-unknown/release/{}.wasm", name.replace('-', "_"))),
            ],
            Language::Go => {
                vec![("go test ./...", natively("against the SDK's fake host")), build(format!("build/{name}.wasm"))]
            }
            Language::JavaScript | Language::TypeScript => vec![
                ("npm install", "what builds and tests it".to_owned()),
                ("npm test", natively("against the SDK's fake host")),
                build(format!("dist/{name}.wasm")),
            ],
            Language::Python => vec![
                build(format!("dist/{name}.wasm, with the tools in .venv")),
                (".venv/bin/python -m unittest", natively("against the SDK's fake host")),
            ],
            Language::C => {
                vec![("make test", natively("what knows nothing of the proxy")), build(format!("build/{name}.wasm"))]
            }
        }
    }
}

fn find(all: &[(&str, Files)], name: &str) -> Files {
    all.iter().find(|(known, _)| *known == name).map_or(&[], |(_, files)| files)
}
