//! Languages but Rust: which files show a project in one, how its own tools build it, and what is missing if they do not.

mod name;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::cli::filter::say::Trouble;

/// How one language's projects are built.
pub struct Toolchain {
    language: &'static str,
    /// The file that shows that a project is in this language.
    marker: &'static str,
    /// What the marker calls the project, by its text.
    name: fn(&str) -> Option<String>,
    /// Programs that must be there, and how one gets them.
    programs: &'static [&'static str],
    install: &'static str,
    /// The folder where modules come to lie.
    out: &'static str,
    /// Commands, one after the other; `{file}` is the module.
    commands: &'static [Step],
}

struct Step {
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// Left out if this is there already, and no older than the marker.
    makes: Option<&'static str>,
}

impl Step {
    const fn plain(command: &'static [&'static str]) -> Self {
        Self { command, environment: &[], makes: None }
    }
}

const ALL: [Toolchain; 4] = [
    Toolchain {
        language: "Go",
        marker: "go.mod",
        name: name::of_go_mod,
        programs: &["go"],
        install: "Go 1.24 or later comes from https://go.dev/dl",
        out: "build",
        commands: &[Step {
            command: &["go", "build", "-buildmode=c-shared", "-o", "{file}", "."],
            environment: &[("GOOS", "wasip1"), ("GOARCH", "wasm")],
            makes: None,
        }],
    },
    Toolchain {
        language: "JavaScript",
        marker: "package.json",
        name: name::of_package_json,
        programs: &["node", "npm"],
        install: "Node.js 20 or later brings both: https://nodejs.org, or your system's packages `nodejs` and `npm`",
        out: "dist",
        commands: &[
            Step {
                command: &["npm", "install", "--no-audit", "--no-fund"],
                environment: &[],
                makes: Some("node_modules/.package-lock.json"),
            },
            Step::plain(&["npm", "run", "build"]),
        ],
    },
    Toolchain {
        language: "Python",
        marker: "pyproject.toml",
        name: name::of_pyproject,
        programs: &["python3"],
        install: "Python 3.11 or later comes from https://www.python.org, or your system's packages `python3` and `python3-venv`",
        out: "dist",
        commands: &[
            Step { command: &["python3", "-m", "venv", ".venv"], environment: &[], makes: Some(".venv/pyvenv.cfg") },
            Step {
                command: &[".venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--editable", "."],
                environment: &[],
                makes: Some(".venv/bin/tamis-build"),
            },
            Step::plain(&[".venv/bin/tamis-build", "filter.py", "--out", "{file}"]),
        ],
    },
    Toolchain {
        language: "C",
        marker: "Makefile",
        // Its rules name the module themselves.
        name: |_| None,
        programs: &["make", "clang", "wasm-ld"],
        install: "on Debian and Ubuntu: apt-get install make clang lld wasi-libc libclang-rt-dev-wasm32",
        out: "build",
        commands: &[Step::plain(&["make"])],
    },
];

/// The files that show a project, for people.
pub fn markers() -> String {
    let others: Vec<_> = ALL.iter().map(|toolchain| toolchain.marker).collect();
    format!("Cargo.toml, {}", others.join(", ")).replace(", Makefile", " or a Makefile")
}

impl Toolchain {
    /// That of the project in a folder.
    pub fn of(folder: &Path) -> Option<&'static Self> {
        ALL.iter().find(|toolchain| folder.join(toolchain.marker).is_file())
    }

    /// Builds it, with the progress of the tools on standard error, and returns the module.
    pub fn build(&self, folder: &Path) -> Result<PathBuf, Trouble> {
        if let Some(missing) = self.programs.iter().find(|program| !is_there(program)) {
            return Err(Trouble::new(format!("a filter in {} needs `{missing}`, which is not on the path", self.language))
                .hint(self.install));
        }
        let began = SystemTime::now();
        let file = folder.join(self.out).join(format!("{}.wasm", self.project(folder)));
        for step in self.commands.iter().filter(|step| !step.is_done(folder, self.marker)) {
            step.run(folder, &file).map_err(|trouble| match trouble.hint {
                Some(_) => trouble,
                None => trouble.hint(format!("if a tool is missing: {}", self.install)),
            })?;
        }
        self.module(folder, began)
    }

    /// The project's own name, wherever somebody has put it; that of its folder, if it has none.
    fn project(&self, folder: &Path) -> String {
        let own = fs::read_to_string(folder.join(self.marker)).ok().and_then(|text| (self.name)(&text));
        own.or_else(|| Some(folder.file_name()?.to_string_lossy().into_owned())).unwrap_or_else(|| "filter".to_owned())
    }

    /// What was built: the only module in the folder, or else the only one that is new.
    fn module(&self, folder: &Path, began: SystemTime) -> Result<PathBuf, Trouble> {
        let out = folder.join(self.out);
        let entries = fs::read_dir(&out).into_iter().flatten().flatten().map(|entry| entry.path());
        let modules: Vec<_> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "wasm")).collect();
        let changed = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).is_ok_and(|at| at >= began);
        let new: Vec<_> = modules.iter().filter(|path| changed(path)).collect();
        match (modules.as_slice(), new.as_slice()) {
            ([file], _) => Ok(file.clone()),
            (_, [file]) => Ok((*file).clone()),
            ([], _) => Err(Trouble::new(format!("the build left no module in {}", out.display()))),
            _ => Err(Trouble::new(format!("{} has several modules", out.display()))
                .hint("remove those that are not this filter's, and build again")),
        }
    }
}

impl Step {
    fn is_done(&self, folder: &Path, marker: &str) -> bool {
        let time = |path: &str| fs::metadata(folder.join(path)).and_then(|file| file.modified()).ok();
        self.makes.and_then(time).is_some_and(|made| time(marker).is_none_or(|marker| made >= marker))
    }

    fn run(&self, folder: &Path, file: &Path) -> Result<(), Trouble> {
        let words: Vec<_> = self.command.iter().map(|word| word.replace("{file}", &file.display().to_string())).collect();
        let shown = self.command.join(" ").replace("{file}", "FILE");
        let [program, arguments @ ..] = words.as_slice() else { return Ok(()) };
        // A path of the project's own is one below its folder.
        let program = if program.contains('/') { folder.join(program).display().to_string() } else { program.clone() };
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment.iter().copied()).current_dir(folder).stdin(Stdio::null());
        // Only what this command says goes to standard output: it may be JSON.
        let output = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| Trouble::new(format!("`{shown}` cannot be run: {error}")))?;
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        match output.status.success() {
            true => Ok(()),
            false => Err(Trouble::new(format!("the filter does not build: `{shown}` fails, and says why above"))),
        }
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_known_by_its_file() {
        for toolchain in &ALL {
            let folder = tempfile::tempdir().expect("a folder for the test");
            assert!(Toolchain::of(folder.path()).is_none());
            fs::write(folder.path().join(toolchain.marker), "").expect("it can be written");
            assert_eq!(Toolchain::of(folder.path()).map(|found| found.language), Some(toolchain.language));
        }
    }

    #[test]
    fn a_project_is_called_what_it_calls_itself() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let [go, node, python, c] = &ALL;
        let texts = [
            (go, "module example.com/edge/gate/v2\n\ngo 1.24\n"),
            (node, r#"{ "name": "@edge/gate", "scripts": {} }"#),
            (python, "[project]\nname = \"gate\"\n"),
        ];
        for (toolchain, text) in texts {
            fs::write(folder.path().join(toolchain.marker), text).expect("it can be written");
            assert_eq!(toolchain.project(folder.path()), "gate", "{}", toolchain.language);
        }
        let own = folder.path().file_name().map(|name| name.to_string_lossy().into_owned());
        for (toolchain, text) in
            [(go, "go 1.24\n"), (node, "{"), (python, "[project]\n"), (c, "all:\n"), (node, r#"{ "name": "../x" }"#)]
        {
            fs::write(folder.path().join(toolchain.marker), text).expect("it can be written");
            assert_eq!(Some(toolchain.project(folder.path())), own, "{}: {text}", toolchain.language);
        }
    }

    #[test]
    fn what_was_built_is_found() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let go = &ALL[0];
        let began = SystemTime::UNIX_EPOCH;
        let later = SystemTime::now() + std::time::Duration::from_secs(3600);
        assert!(go.module(folder.path(), began).is_err());
        let build = folder.path().join("build");
        fs::create_dir(&build).expect("it can be made");
        fs::write(build.join("a.wasm"), "").expect("it can be written");
        assert_eq!(go.module(folder.path(), later).expect("the only one"), build.join("a.wasm"));
        fs::write(build.join("b.wasm"), "").expect("it can be written");
        assert!(go.module(folder.path(), began).is_err() && go.module(folder.path(), later).is_err());
    }
}
