//! What a project calls itself, so that its module has the same name in whatever folder it lies.

use serde_json::Value;
use toml::de::DeTable;

/// The last part of the module's path, without the version that may follow it.
pub fn of_go_mod(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("module "))?;
    let path = path.split("//").next().unwrap_or_default().trim().trim_matches('"');
    let is_version = |part: &&str| part.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
    sound(path.split('/').rev().find(|part| !is_version(part))?)
}

/// Without the scope.
pub fn of_package_json(text: &str) -> Option<String> {
    let package: Value = serde_json::from_str(text).ok()?;
    let name = package["name"].as_str()?;
    sound(name.strip_prefix('@').and_then(|scoped| scoped.split_once('/')).map_or(name, |(_, name)| name))
}

pub fn of_pyproject(text: &str) -> Option<String> {
    let project = DeTable::parse(text).ok()?;
    sound(project.get_ref().get("project")?.get_ref().get("name")?.get_ref().as_str()?)
}

/// It becomes the name of a file.
fn sound(name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain)).then(|| name.to_owned())
}
