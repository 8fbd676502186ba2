//! Which modules of its own crate a file mentions: `crate::…` and `super::…`, alone or in a group, in `use` or in code.

use crate::tokens::{self, Token};

/// A path that leads to a module at the top of the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub module: String,
    pub line: usize,
}

/// The imports of the file that is this module. What leads to the module's own top is none.
pub fn of(source: &str, module: &[String]) -> Vec<Import> {
    let tokens = tokens::of(source);
    let mut inner = InnerModules::default();
    let mut imports = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        inner.step(&tokens, at);
        let begins = at == 0 || tokens[at - 1].text != "::";
        let base = match token.text.as_str() {
            "crate" if begins => Vec::new(),
            "super" if begins => {
                let mut base = module.to_vec();
                base.extend(inner.names.iter().map(|(name, _)| name.clone()));
                base.pop();
                base
            }
            _ => continue,
        };
        if text(&tokens, at + 1) == "::" {
            follow(&tokens, at + 2, base, &mut imports);
        }
    }
    imports.retain(|import| import.module != module[0]);
    imports
}

/// Goes along a path from `base` until it is clear which module at the top it leads to. Returns where the path ends.
fn follow(tokens: &[Token], mut at: usize, mut base: Vec<String>, imports: &mut Vec<Import>) -> usize {
    loop {
        match text(tokens, at) {
            "super" => {
                base.pop();
                at += 1;
            }
            "self" => at += 1,
            "{" => return follow_group(tokens, at + 1, &base, imports),
            name if is_name(name) => {
                let module = base.first().cloned().unwrap_or_else(|| name.to_owned());
                imports.push(Import { module, line: tokens[at].line });
                base.push(name.to_owned());
                at += 1;
            }
            _ => return at,
        }
        if text(tokens, at) != "::" {
            return at;
        }
        at += 1;
    }
}

/// `{a, b::c, d as e}` after a path; returns where it ends.
fn follow_group(tokens: &[Token], mut at: usize, base: &[String], imports: &mut Vec<Import>) -> usize {
    loop {
        match text(tokens, at) {
            "}" => return at + 1,
            "" => return at,
            "," => at += 1,
            "as" => at += 2,
            _ => at = follow(tokens, at, base.to_vec(), imports).max(at + 1),
        }
    }
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.text.as_str())
}

fn is_name(text: &str) -> bool {
    text != "as" && text.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
}

/// The `mod name { … }` around the present place, each with the depth of braces it was opened at.
#[derive(Default)]
struct InnerModules {
    names: Vec<(String, usize)>,
    depth: usize,
}

impl InnerModules {
    fn step(&mut self, tokens: &[Token], at: usize) {
        match tokens[at].text.as_str() {
            "{" => {
                if at >= 2 && tokens[at - 2].text == "mod" {
                    self.names.push((tokens[at - 1].text.clone(), self.depth));
                }
                self.depth += 1;
            }
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                if self.names.last().is_some_and(|(_, depth)| *depth == self.depth) {
                    self.names.pop();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(source: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
        let mut modules: Vec<String> = of(source, &module).into_iter().map(|import| import.module).collect();
        modules.dedup();
        modules
    }

    #[test]
    fn a_use_and_a_path_in_code_are_imports() {
        assert_eq!(modules("use crate::config::Config; fn f() { crate::tls::g(); }", &["http"]), ["config", "tls"]);
    }

    #[test]
    fn every_part_of_a_group_is_an_import() {
        assert_eq!(modules("use crate::{config::{self, Config}, tls as t, http};", &["http"]), ["config", "tls"]);
    }

    #[test]
    fn super_leads_to_the_parent_and_from_the_top_to_the_crate() {
        assert_eq!(modules("use super::body;", &["http", "forward"]), Vec::<String>::new());
        assert_eq!(modules("use super::super::tls;", &["http", "forward"]), ["tls"]);
        assert_eq!(modules("use super::tls;", &["http"]), ["tls"]);
    }

    #[test]
    fn super_in_an_inner_module_leads_to_the_file() {
        assert_eq!(modules("mod tests { use super::Body; } use super::tls;", &["http"]), ["tls"]);
    }

    #[test]
    fn a_path_of_another_crate_is_none() {
        assert_eq!(
            modules("use std::sync::Arc; use http::crate_like; fn f() { wasmtime::component::bindgen!() }", &["tls"]),
            Vec::<String>::new()
        );
    }
}
