//! The schemas of configurations: what ships carries one that fits it, and `tamis check` and whoever loads a module holds
//! configurations against it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamis_tests::command::{output, repository, stderr, stdout};
use tamis_tests::{guest, proxy, refused, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

/// Every filter that ships: its name and its folder.
fn shipped() -> Vec<(String, PathBuf)> {
    let folders = std::fs::read_dir(repository().join("filters")).unwrap().map(|entry| entry.unwrap().path());
    // The crate that filters share has no page of its own.
    let filters = folders.filter(|folder| folder.join("README.md").exists() && !folder.ends_with("matching"));
    let mut named: Vec<_> = filters.map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder)).collect();
    named.sort();
    assert!(named.iter().any(|(name, _)| name == "router"), "the folder was found: {named:?}");
    named
}

async fn schema_of(name: &str) -> Value {
    let ran = output(TAMIS, &["filter", "inspect", "--schema", &format!("builtin:{name}")]).await;
    assert!(ran.status.success(), "{name}: {}", stderr(&ran));
    serde_json::from_str(stdout(&ran)).unwrap()
}

/// Every key that a schema knows, at any depth.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(table) => {
            if let Some(Value::Object(properties)) = table.get("properties") {
                found.extend(properties.keys().cloned());
            }
            table.values().for_each(|value| keys(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

/// The keys that the option tables of a page name: in the first cell of each row of those whose head begins with `key`.
fn told_keys(page: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    let mut inside = false;
    for line in page.lines() {
        inside = line.starts_with("| key") || inside && line.starts_with('|');
        let cell = line.split('|').nth(1).filter(|_| inside).unwrap_or_default();
        for code in cell.split('`').skip(1).step_by(2) {
            // `https = true` names `https`, and `delay.fixed` both of its keys.
            let key = code.split([' ', '=']).next().unwrap_or_default();
            told.extend(key.split('.').filter(|key| !key.is_empty()).map(str::to_owned));
        }
    }
    told
}

/// The configurations that a filter's example files give it.
fn examples(folder: &Path, module: &str) -> Vec<(PathBuf, Value)> {
    let listed = std::fs::read_dir(folder.join("examples")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = listed.chain([folder.join("example.toml")]).filter(|file| file.extension().is_some_and(|kind| kind == "toml"));
    let mut found = Vec::new();
    for file in files.filter(|file| file.exists()) {
        let table: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        let filters = table["filters"].as_table().unwrap().values();
        for filter in filters.filter(|filter| filter["module"].as_str() == Some(module)) {
            let config = filter.get("config").cloned().unwrap_or_else(|| toml::Table::new().into());
            found.push((file.clone(), as_given(config)));
        }
    }
    found
}

/// As a filter is given it: a date is a text.
fn as_given(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(as_given).collect(),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(key, value)| (key, as_given(value))).collect()),
        plain => serde_json::to_value(plain).unwrap(),
    }
}

scenario!(each_shipped_filter_carries_a_schema_that_fits_it);
async fn each_shipped_filter_carries_a_schema_that_fits_it() {
    for (name, folder) in shipped() {
        let schema = schema_of(&name).await;
        let written: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("schema.json")).unwrap()).unwrap();
        assert_eq!(schema, written, "{name}: the module carries its schema.json");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        let valid = jsonschema::options().build(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));

        let examples = examples(&folder, &format!("builtin:{name}"));
        assert!(!examples.is_empty(), "{name} has examples");
        for (file, config) in examples {
            let mistakes: Vec<_> =
                valid.iter_errors(&config).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(mistakes.is_empty(), "{}: {mistakes:?}", file.display());
            let mut strange = config.clone();
            strange["no-such-key"] = json!(true);
            assert!(!valid.is_valid(&strange), "{name} refuses a key that it does not know");
        }

        let mut known = BTreeSet::new();
        keys(&schema, &mut known);
        let told = told_keys(&std::fs::read_to_string(folder.join("README.md")).unwrap());
        assert!(!told.is_empty(), "{name}: its page has tables of keys");
        assert!(told.is_subset(&known), "{name}: its page has keys that its schema has not: {:?}", told.difference(&known));
    }
}

scenario!(what_filters_share_their_schemas_have_alike);
async fn what_filters_share_their_schemas_have_alike() {
    let read =
        |folder: &Path| -> Value { serde_json::from_str(&std::fs::read_to_string(folder.join("schema.json")).unwrap()).unwrap() };
    let shared = read(&repository().join("filters/matching"));
    let mut compared = 0;
    for (name, folder) in shipped() {
        for (part, schema) in read(&folder)["$defs"].as_object().into_iter().flatten() {
            if let Some(alike) = shared["$defs"].get(part) {
                assert_eq!(schema, alike, "{name}: `{part}` is not what filters/matching/schema.json has");
                compared += 1;
            }
        }
    }
    assert!(compared > 0);
}

scenario!(check_tells_every_mistake_where_it_is_and_once);
async fn check_tells_every_mistake_where_it_is_and_once() {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("tamis.toml");
    let text = r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["router"]
[filters.router]
module = "builtin:router"
[[filters.router.config.routes]]
match = { path-prefx = "/a" }
to = "one"
[[filters.router.config.routes]]
match = { path-prefix = "b" }
to = [{ cluster = "one", weight = "much" }]
[clusters.one]
endpoints = ["127.0.0.1:1"]
"#;
    std::fs::write(&file, text).unwrap();
    let ran = output(TAMIS, &["check", "--json", "-c", file.to_str().unwrap()]).await;
    let told: Value = serde_json::from_str(stdout(&ran)).unwrap();
    let problems = told["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|problem| (problem["line"].as_u64(), problem["column"].as_u64())).collect();
    assert_eq!(places, [(Some(7), Some(11)), (Some(10), Some(25)), (Some(11), Some(35))], "{told}");
    let message = |at: usize| problems[at]["message"].as_str().unwrap();
    assert_eq!(
        message(0),
        "filter `router`: routes[0].match.path-prefx: unknown key `path-prefx`; the nearest is `path-prefix`",
        "what configure says comes in its own words, once"
    );
    assert!(message(2).ends_with("expected an integer, found \"much\""), "{told}");
}

/// A guest that takes `keep`, with a schema of its own.
fn with_schema(folder: &Path, schema: &str) -> PathBuf {
    let mut module = guest("keeper").bytes();
    let name = "tamis:config-schema";
    module.extend([0, u8::try_from(1 + name.len() + schema.len()).unwrap(), u8::try_from(name.len()).unwrap()]);
    module.extend(name.bytes().chain(schema.bytes()));
    let file = folder.join("module.wasm");
    std::fs::write(&file, module).unwrap();
    file
}

fn configured(module: &Path, config: &str) -> String {
    format!("[listeners.edge]\nfilters = ['a']\n[filters.a]\nmodule = '{}'\nconfig = {config}\n", module.display())
}

scenario!(what_configure_takes_and_the_schema_refuses_does_not_go_live);
async fn what_configure_takes_and_the_schema_refuses_does_not_go_live() {
    let here = tempfile::tempdir().unwrap();
    let module = with_schema(here.path(), r#"{"properties": {"keep": {"const": true}}}"#);
    let listening =
        |config: &str| configured(&module, config).replace("[listeners.edge]", "[listeners.edge]\nlisten = '127.0.0.1:0'");
    let said = refused(listening("{ keep = false }"));
    assert!(said.contains("keep: expected true, found false") && said.contains("tamis.toml:6:19"), "{said}");

    let proxy = proxy(configured(&module, "{ keep = true }"));
    assert_eq!(proxy.client().await.get("/").await.status, 404, "it serves, without a cluster");
    let operator = proxy.operator().await;
    let pushed = operator.request("PUT", "/filters/a/config").body(r#"{"keep": false}"#).await;
    assert_eq!(pushed.status, 422, "{}", pushed.text());
    assert!(pushed.text().contains("keep: expected true, found false"), "{}", pushed.text());
    assert_eq!(operator.request("PUT", "/filters/a/config").body("{}").await.status, 200);
}

scenario!(a_schema_that_is_none_is_told_when_the_module_is_loaded);
async fn a_schema_that_is_none_is_told_when_the_module_is_loaded() {
    let here = tempfile::tempdir().unwrap();
    let module = with_schema(here.path(), r#"{"type": "objekt"}"#);
    let said = refused(configured(&module, "{}").replace("[listeners.edge]", "[listeners.edge]\nlisten = '127.0.0.1:0'"));
    assert!(said.contains("tamis:config-schema") && said.contains("objekt"), "{said}");
    let inspected = output(TAMIS, &["filter", "inspect", module.to_str().unwrap()]).await;
    assert!(!inspected.status.success() && stderr(&inspected).contains("objekt"), "{}", stderr(&inspected));
}

scenario!(a_module_without_a_schema_is_told_so);
async fn a_module_without_a_schema_is_told_so() {
    let ran = output(TAMIS, &["filter", "inspect", "--schema", &guest("stamp-a").to_string()]).await;
    assert!(!ran.status.success() && stderr(&ran).contains("no schema"), "{}", stderr(&ran));
}
