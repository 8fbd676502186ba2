//! Other programs: the binary `tamis` and the Python clients and servers.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};

use crate::guests::module_cache;

/// Runs a program to its end.
pub async fn output(program: impl AsRef<Path>, arguments: &[&str]) -> Output {
    let mut command = command(program.as_ref(), arguments);
    command.output().await.unwrap_or_else(|error| panic!("cannot run {}: {error}", program.as_ref().display()))
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("XDG_CACHE_HOME", module_cache()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("the output is text")
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("the output is text")
}

/// The interpreter with the packages of tests/python/requirements.txt.
pub fn python() -> PathBuf {
    let python = std::env::var_os("TAMIS_TEST_PYTHON").map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "there is no {}: run scripts/test-deps", python.display());
    python
}

pub fn python_script(name: &str) -> PathBuf {
    repository().join("tests/python").join(name)
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// A program that goes on running; killed when dropped.
pub struct Running {
    child: Child,
    stdout: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    stderr: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    /// What it said so far.
    pub said: String,
}

impl Running {
    pub fn start(program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        Self::start_with(program, arguments, |_| {})
    }

    /// The same, with what else the program is started with.
    pub fn start_with(program: impl AsRef<Path>, arguments: &[&str], with: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(program.as_ref(), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        with(&mut command);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", program.as_ref().display()));
        let stdout: Box<dyn AsyncRead + Send + Unpin> = Box::new(child.stdout.take().expect("it was piped"));
        let stderr: Box<dyn AsyncRead + Send + Unpin> = Box::new(child.stderr.take().expect("it was piped"));
        Self { child, stdout: BufReader::new(stdout).lines(), stderr: BufReader::new(stderr).lines(), said: String::new() }
    }

    /// Waits for a line on its standard output that contains this.
    pub async fn prints(&mut self, part: &str) -> String {
        loop {
            let line = self.stdout.next_line().await.ok().flatten();
            let line = line.unwrap_or_else(|| panic!("it ended without printing {part:?}; it said:\n{}", self.said));
            self.note(&line);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for a line on its standard error, where logs go, that contains this.
    pub async fn logs(&mut self, part: &str) -> String {
        loop {
            let line = self.stderr.next_line().await.ok().flatten();
            let line = line.unwrap_or_else(|| panic!("it ended without logging {part:?}; it said:\n{}", self.said));
            self.note(&line);
            if line.contains(part) {
                return line;
            }
        }
    }

    fn note(&mut self, line: &str) {
        self.said.push_str(line);
        self.said.push('\n');
    }

    /// Sends a signal by its name without `SIG`.
    pub async fn signal(&self, name: &str) {
        let process = self.child.id().expect("it runs").to_string();
        let sent = output("kill", &[&format!("-{name}"), &process]).await;
        assert!(sent.status.success(), "kill -{name} failed: {}", stderr(&sent));
    }

    pub fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// The same where somebody else goes on writing to its standard error.
    pub async fn exit_code_alone(&mut self) -> Option<i32> {
        self.child.wait().await.expect("it can be waited for").code()
    }

    /// Waits for its end and returns its exit code.
    pub async fn exit_code(&mut self) -> Option<i32> {
        while let Ok(Some(line)) = self.stderr.next_line().await {
            self.note(&line);
        }
        self.child.wait().await.expect("it can be waited for").code()
    }
}
