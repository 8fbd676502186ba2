//! What names stand for.

use super::*;

const CLUSTERS: [&str; 4] = ["users", "users-v4", "users-staged", "orders"];

fn at(name: &str, tables: &[&str], draw: f64) -> Found {
    let tables: Vec<Dtab> = tables.iter().map(|table| Dtab::parse(table).unwrap()).collect();
    let tables: Vec<&Dtab> = tables.iter().collect();
    resolve(&segments(name), &tables, &mut |cluster| CLUSTERS.contains(&cluster), &mut || draw)
}

/// The segments of a name.
fn segments(name: &str) -> Vec<String> {
    name.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn cluster(name: &str) -> Found {
    Found::Cluster(name.to_owned())
}

#[test]
fn names_are_replaced_until_they_are_clusters() {
    let table = "/svc => /cluster ; /svc/users => /eu/prod/users-v4 ; /eu/prod => /cluster";
    for (name, found) in [
        ("/svc/users", cluster("users-v4")),
        ("/svc/orders", cluster("orders")),
        ("/svc/nobody", Found::Nowhere),
        ("/other/users", Found::Nowhere),
        ("/cluster/users", cluster("users")),
        ("/svc/users/further", Found::Nowhere),
    ] {
        // What follows a name follows what takes its place: `/eu/prod/users-v4/further` is still that cluster.
        let found = if name.ends_with("further") { cluster("users-v4") } else { found };
        assert_eq!(at(name, &[table], 0.0), found, "{name}");
    }
}

#[test]
fn the_last_entry_comes_first_and_those_before_it_stand_in() {
    assert_eq!(at("/svc/users", &["/svc/users => /cluster/users ; /svc/users => /cluster/users-v4"], 0.0), cluster("users-v4"));
    assert_eq!(at("/svc/users", &["/svc/users => /cluster/users ; /svc/users => /cluster/gone"], 0.0), cluster("users"));
    assert_eq!(at("/svc/users", &["/svc/users => /cluster/users ; /svc/users => !"], 0.0), Found::Fail);
    assert_eq!(at("/svc/users", &["/svc/users => /cluster/users ; /svc/users => ~"], 0.0), cluster("users"));
    let tables = ["/svc => /cluster", "/svc/users => /cluster/users-staged"];
    assert_eq!(at("/svc/users", &tables, 0.0), cluster("users-staged"), "a later table comes first");
    assert_eq!(at("/svc/orders", &tables, 0.0), cluster("orders"));
}

#[test]
fn alternatives_and_weights() {
    assert_eq!(at("/a", &["/a => /cluster/gone | /cluster/users | /cluster/orders"], 0.0), cluster("users"));
    let weighted = ["/a => 0.9 * /cluster/users & 0.1 * /cluster/orders"];
    assert_eq!(at("/a", &weighted, 0.89), cluster("users"));
    assert_eq!(at("/a", &weighted, 0.91), cluster("orders"));
    assert_eq!(
        at("/a", &["/a => 9 * /cluster/gone & /cluster/orders"], 0.0),
        cluster("orders"),
        "the share of nobody is shared out"
    );
    assert_eq!(at("/a", &["/a => (/cluster/gone | /cluster/users) & 0 * /cluster/orders"], 0.99), cluster("users"));
}

#[test]
fn any_segment_may_stand_in_a_prefix() {
    let table = "/host/*/users => /cluster/users ; /host => ! ; /host/*/users => /cluster/users";
    assert_eq!(at("/host/anything/users", &[table], 0.0), cluster("users"));
    assert_eq!(at("/host/anything/else", &[table], 0.0), Found::Fail);
}

#[test]
fn circles_end() {
    assert_eq!(at("/a", &["/a => /b ; /b => /a"], 0.0), Found::Fail);
    assert_eq!(at("/a", &["/a => /a/a"], 0.0), Found::Fail);
    let wide = "/a => /a/x | /a/y | /a/z";
    assert_eq!(at("/a", &[wide], 0.0), Found::Fail, "nor does it take for ever");
}

#[test]
fn what_is_no_table_is_refused() {
    for (bad, said) in [
        ("/a", "expected \"/prefix => /name\", found \"/a\""),
        ("a => /b", "expected a name such as \"/svc/users\", found \"a\" in \"a => /b\""),
        ("/a => b c", "expected a name such as \"/svc/users\", found \"b\" in \"/a => b c\""),
        ("/a => /b c", "expected the end of the entry, found \"c\" in \"/a => /b c\""),
        ("/a => /b |", "expected a name, \"~\", \"!\" or \"(\", found its end in \"/a => /b |\""),
        ("/a => (/b", "expected \")\", found its end in \"/a => (/b\""),
        ("/a => 0.5 /b", "expected a weight such as \"0.9 *\", found \"0.5 /b\" in \"/a => 0.5 /b\""),
        ("/a//b => /c", "expected no empty segments, found \"/a//b\" in \"/a//b => /c\""),
        ("/a => /b/*", "expected \"*\" in the prefix only, found \"/b/*\" in \"/a => /b/*\""),
    ] {
        assert_eq!(Dtab::parse(bad).unwrap_err(), said);
    }
    assert!(Dtab::parse(&format!("/a => {}", "(".repeat(1000))).is_err());
    assert!(Dtab::parse(" ; ").unwrap().is_empty());
}
