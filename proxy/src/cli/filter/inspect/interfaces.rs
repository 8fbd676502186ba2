//! What a component imports and exports, and what of that this proxy has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wasmtime::component::{Component, types::ComponentItem};

use crate::filter::abi::component::Waits;
use crate::filter::{Engine, Hook};

const PACKAGE: &str = "tamis:filter/";
/// The host takes any of the same.
const VERSION: &str = "0.1.";

#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub offered: bool,
    waits: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Interfaces {
    /// Each with its functions; one that has none of its own stands for itself.
    pub imports: BTreeMap<String, Vec<Function>>,
    pub hooks: Vec<String>,
    pub configure: bool,
    /// The versions of wit/ that it was built against, as `tamis:filter@0.1.0`.
    pub versions: Vec<String>,
}

impl Interfaces {
    pub fn of(engine: &Engine, component: &Component) -> Self {
        let mut found = Self::default();
        let mut versions = BTreeSet::new();
        let ty = component.component_type();
        for (interface, item) in ty.imports(engine.wasmtime()) {
            versions.extend(version(interface));
            let functions = functions(engine, interface, &item.ty);
            // Interfaces of types only are of no interest, as long as they are there.
            if !functions.is_empty() {
                found.imports.insert(interface.to_owned(), functions);
            }
        }
        for (interface, _) in ty.exports(engine.wasmtime()) {
            versions.extend(version(interface));
            let name = plain(interface);
            found.configure |= name == "configure";
            found.hooks.extend(name.strip_suffix("-hook").filter(|_| interface.starts_with(PACKAGE)).map(str::to_owned));
        }
        // In the order of their life; those that this version does not run come last.
        let place = |hook: &String| Hook::ALL.iter().position(|known| known.name() == hook.as_str()).unwrap_or(Hook::ALL.len());
        found.hooks.sort_by_key(place);
        found.versions = versions.into_iter().collect();
        found
    }

    pub fn is_empty(&self) -> bool {
        self.imports.is_empty() && self.hooks.is_empty() && !self.configure
    }

    pub fn waits(&self) -> bool {
        self.imports.values().flatten().any(|function| function.waits)
    }

    /// Every function that the proxy does not offer, with its interface.
    pub fn missing(&self) -> Vec<String> {
        let all =
            self.imports.iter().flat_map(|(interface, functions)| functions.iter().map(move |function| (interface, function)));
        let name = |(interface, function): (&String, &Function)| match function.name.as_str() {
            "" => interface.clone(),
            name => format!("{interface}#{name}"),
        };
        all.filter(|(_, function)| !function.offered).map(name).collect()
    }

    pub fn to_json(&self) -> Value {
        let functions = |functions: &[Function]| -> Vec<Value> {
            functions.iter().map(|f| json!({ "name": f.name, "offered": f.offered, "waits": f.waits })).collect()
        };
        let each = |(interface, all): (&String, &Vec<Function>)| json!({ "interface": interface, "functions": functions(all) });
        self.imports.iter().map(each).collect()
    }
}

fn functions(engine: &Engine, interface: &str, item: &ComponentItem) -> Vec<Function> {
    let linker = engine.linker();
    let known = |name: &str| match ours(interface) {
        Some(interface) => linker.offers(interface, name),
        None => linker.foreign(interface),
    };
    let function = |name: &str| {
        let known = known(name);
        Function { name: name.to_owned(), offered: known.is_some(), waits: known.is_some_and(|waits| waits == Waits::Always) }
    };
    match item {
        ComponentItem::ComponentInstance(instance) => {
            let exports = instance.exports(engine.wasmtime());
            let mut all: Vec<_> = exports
                .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                .map(|(name, _)| function(name))
                .collect();
            if all.is_empty() && ours(interface).is_none() && linker.foreign(interface).is_none() {
                all.push(function(""));
            }
            all
        }
        _ => vec![function("")],
    }
}

fn ours(interface: &str) -> Option<&str> {
    let (name, version) = interface.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(VERSION).then_some(name)
}

fn version(interface: &str) -> Option<String> {
    let (_, version) = interface.strip_prefix(PACKAGE)?.split_once('@')?;
    Some(format!("tamis:filter@{version}"))
}

/// The name without a version, and one of wit/ without its package.
pub fn plain(interface: &str) -> &str {
    let name = interface.strip_prefix(PACKAGE).unwrap_or(interface);
    name.split_once('@').map_or(name, |(name, _)| name)
}
