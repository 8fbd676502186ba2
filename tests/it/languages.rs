//! The SDKs of all languages promise the same: every behaviour of sdk/conformance.json, shown by the guest of each language.

mod behaviour;
mod check;
mod services;
mod stage;

use std::collections::BTreeMap;

use behaviour::{Behaviour, behaviours};
use stage::Stage;
use tamis_tests::command::repository;
use tamis_tests::languages::{LANGUAGES, conformance_guest, is_left_out};
use tamis_tests::{Edge, edge};

/// What was seen of each behaviour: nothing that was wrong, or what was.
type Seen = BTreeMap<&'static str, Result<(), String>>;

/// What behaviours are asked for over: both protocols, one of them in TLS.
const EDGES: [Edge; 2] = [Edge::HTTP1_PLAIN, Edge::HTTP2_TLS];

#[test]
fn every_language_behaves_the_same() {
    let languages = wanted();
    let table: Vec<(&str, Seen)> = std::thread::scope(|scope| {
        let threads: Vec<_> = languages.iter().map(|language| scope.spawn(|| (*language, seen(language)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
    });
    print(&table);
    let wrong: String = table
        .iter()
        .flat_map(|(language, seen)| {
            seen.iter().filter_map(move |(name, seen)| Some(format!("{language}, {name}: {}\n", seen.as_ref().err()?)))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_sdk_is_a_language_of_the_list() {
    let folders = std::fs::read_dir(repository().join("sdk")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        folders.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let mut listed = LANGUAGES.map(str::to_owned);
    found.sort();
    listed.sort();
    assert_eq!(found, listed, "tests/harness/languages.rs lists the folders of sdk/");
}

#[test]
fn the_list_of_behaviours_is_the_page() {
    let file = repository().join("sdk/CONFORMANCE.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let rows: String =
        behaviours().iter().enumerate().map(|(at, one)| format!("| {} | `{}` | {} |\n", at + 1, one.name, one.says)).collect();
    let begin = page.find("| 1 |").expect("the page has the table");
    let end = begin + page[begin..].find("\n\n").map_or(page.len() - begin, |end| end + 1);
    if std::env::var_os("TAMIS_BLESS").is_some() {
        std::fs::write(&file, format!("{}{rows}{}", &page[..begin], &page[end..])).unwrap();
        return;
    }
    assert_eq!(&page[begin..end], rows, "TAMIS_BLESS=1 writes the table of sdk/CONFORMANCE.md");
}

/// `TAMIS_LANGUAGES=js,python` looks at some only, while somebody works on them.
fn wanted() -> Vec<&'static str> {
    let wanted: Vec<_> = match std::env::var("TAMIS_LANGUAGES") {
        Ok(some) => LANGUAGES.into_iter().filter(|language| some.split(',').any(|one| one == *language)).collect(),
        Err(_) => LANGUAGES.to_vec(),
    };
    wanted.into_iter().filter(|language| !is_left_out(language)).collect()
}

fn seen(language: &'static str) -> Seen {
    let module = conformance_guest(language);
    let mut seen: Seen = behaviours().iter().map(|one| (one.name.as_str(), Ok(()))).collect();
    for kind in EDGES {
        let stage = Stage::build(language, &module, kind);
        for one in behaviours().iter().filter(|one| one.is_over(kind)) {
            let shown = match &one.refused {
                Some(parts) => stage.refuses(one, parts),
                None => shown(&stage, one),
            };
            if let (Err(why), Some(so_far @ Ok(()))) = (shown, seen.get_mut(one.name.as_str())) {
                *so_far = Err(format!("over {:?}: {why}", kind.protocol));
            }
        }
    }
    seen
}

/// Whatever goes wrong is this behaviour's.
fn shown(stage: &Stage, one: &'static Behaviour) -> Result<(), String> {
    let mut shown = Ok(());
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| edge::run(async { shown = stage.shows(one).await })));
    match asked {
        Ok(()) => shown,
        Err(why) => Err(why.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned())),
    }
}

fn print(table: &[(&str, Seen)]) {
    println!("\n{:44}{}", "behaviour", table.iter().map(|(language, _)| format!("{language:>10}")).collect::<String>());
    for one in behaviours() {
        let cells = table.iter().map(|(_, seen)| if seen[one.name.as_str()].is_ok() { "ok" } else { "NOT" });
        println!("{:44}{}", one.name, cells.map(|cell| format!("{cell:>10}")).collect::<String>());
    }
}
