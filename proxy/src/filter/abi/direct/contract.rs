//! wit/ as core modules see it, written by the build script: each function with its types in words, and the numbers that carry them.

/// A function of an interface of wit/.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub interface: &'static str,
    pub name: &'static str,
    /// Its types, as `words` has them.
    pub words: &'static str,
    pub params: &'static [Number],
    pub results: &'static [Number],
}

/// What a core function is given and gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    I32,
    I64,
    F32,
    F64,
}

include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// What filters may import.
pub fn import(interface: &str, name: &str) -> Option<&'static Function> {
    find(IMPORTS, interface, name)
}

/// What filters may export.
pub fn export(interface: &str, name: &str) -> Option<&'static Function> {
    find(EXPORTS, interface, name)
}

fn find(all: &'static [Function], interface: &str, name: &str) -> Option<&'static Function> {
    all.iter().find(|function| function.interface == interface && function.name == name)
}
