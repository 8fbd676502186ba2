//! `tamis check`: every mistake of a configuration, without opening an address.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::app::App;
use crate::config::{self, Problems};

pub fn check(file: &Path, as_json: bool) -> ExitCode {
    let outcome = config::examine(file).and_then(App::check);
    let found = match &outcome {
        Ok(_) => 0,
        Err(problems) => problems.len(),
    };
    if as_json {
        let of = |problems: Option<&Problems>| problems.map_or_else(|| json!([]), Problems::to_json);
        let (notes, problems) = (of(outcome.as_ref().ok()), of(outcome.as_ref().err()));
        println!("{}", json!({ "file": file, "ok": found == 0, "problems": problems, "notes": notes }));
    } else {
        match &outcome {
            Ok(notes) => {
                for note in notes {
                    eprintln!("{}\n", note.render_note(super::colour_on_stderr()));
                }
                println!("{}: no mistakes found", file.display());
            }
            Err(problems) => {
                eprintln!("{}\n", problems.render(super::colour_on_stderr()));
                eprintln!("{}: {found} {}", file.display(), if found == 1 { "mistake" } else { "mistakes" });
            }
        }
    }
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
