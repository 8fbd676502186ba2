//! Which of several routes wins.

use super::*;
use matching::host::Pattern as Host;
use matching::pattern::{Pattern, Template};

fn index(routes: &[(&str, &str, usize)]) -> Index {
    let mut builder = Builder::default();
    for (host, path, conditions) in routes {
        let pattern = match path.strip_suffix("...") {
            Some(prefix) => Pattern::prefix(prefix),
            None if path.contains('{') => Pattern::Template(Template::parse(path).unwrap()),
            None => Pattern::Exact((*path).to_owned()),
        };
        builder.insert(&[Host::parse(host).unwrap()], &pattern, *conditions);
    }
    builder.finish()
}

fn order(index: &Index, host: &str, path: &str) -> Vec<usize> {
    let mut asked = Vec::new();
    index.find(host, path, |position| {
        asked.push(position);
        false
    });
    asked
}

#[test]
fn the_most_specific_host_comes_first_and_the_others_follow() {
    let index = index(&[
        ("*", "/...", 0),
        ("*.example.com", "/...", 0),
        ("*.eu.example.com", "/...", 0),
        ("api.eu.example.com", "/...", 0),
        ("*.com", "/...", 0),
    ]);
    assert_eq!(order(&index, "api.eu.example.com", "/"), [3, 2, 1, 4, 0]);
    assert_eq!(order(&index, "x.y.example.com", "/"), [1, 4, 0]);
    assert_eq!(order(&index, "example.com", "/"), [4, 0]);
    assert_eq!(order(&index, "", "/"), [0]);
}

#[test]
fn the_path_as_it_is_then_templates_then_the_longest_prefix() {
    let index = index(&[
        ("*", "/...", 0),
        ("*", "/users...", 0),
        ("*", "/users/{id}", 0),
        ("*", "/users/me", 0),
        ("*", "/{kind}/me", 0),
        ("*", "/users/me/...", 0),
    ]);
    assert_eq!(order(&index, "", "/users/me"), [3, 2, 4, 5, 1, 0]);
    assert_eq!(order(&index, "", "/users/7"), [2, 1, 0]);
    assert_eq!(order(&index, "", "/users"), [1, 0]);
    assert_eq!(order(&index, "", "/users/"), [1, 0]);
    assert_eq!(order(&index, "", "/usersx"), [0]);
    assert_eq!(order(&index, "", "/users/me/x"), [5, 1, 0]);
    assert_eq!(order(&index, "", "/posts/me"), [4, 0]);
}

#[test]
fn a_literal_that_leads_nowhere_does_not_hide_a_parameter() {
    let index = index(&[("*", "/a/b/c", 0), ("*", "/{x}/b/d", 0), ("*", "/a/{y}/d", 0)]);
    assert_eq!(order(&index, "", "/a/b/d"), [2, 1]);
    assert_eq!(order(&index, "", "/a/b/c"), [0]);
    assert!(order(&index, "", "/a//d").is_empty());
}

#[test]
fn for_the_same_paths_more_conditions_then_the_order_of_the_file() {
    let index = index(&[("*", "/a", 0), ("*", "/a", 1), ("*", "/a", 2), ("*", "/a", 1)]);
    assert_eq!(order(&index, "", "/a"), [2, 1, 3, 0]);
    assert_eq!(index.find("", "/a", |position| position == 3), Some(3));
}

#[test]
fn a_slash_at_the_end_is_another_path_but_not_another_prefix() {
    let index = index(&[("*", "/a", 0), ("*", "/a/", 0), ("*", "/b/...", 0), ("*", "/{x}", 0)]);
    assert_eq!(order(&index, "", "/a"), [0, 3]);
    assert_eq!(order(&index, "", "/a/"), [1]);
    assert_eq!(order(&index, "", "/b"), [3, 2]);
    assert_eq!(order(&index, "", "/b/"), [2]);
    assert!(order(&index, "", "/").is_empty());
}

#[test]
fn ten_thousand_routes_are_each_found() {
    let paths: Vec<_> = (0..10_000).map(|i| format!("/service-{}/v{}/item-{i}", i % 100, i % 7)).collect();
    let routes: Vec<_> = paths.iter().map(|path| ("a.example", path.as_str(), 0)).collect();
    let index = index(&routes);
    for (position, path) in paths.iter().enumerate() {
        assert_eq!(index.find("a.example", path, |_| true), Some(position));
    }
}
