//! How the commands for authors speak: errors with what to do next, sizes and times for people, colours for terminals.

use std::fmt::Display;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// Why a command did not do what it was asked, and what to do about it.
#[derive(Debug)]
pub struct Trouble {
    pub message: String,
    pub hint: Option<String>,
}

impl Trouble {
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), hint: None }
    }

    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

/// Tells what went wrong, if something did.
pub fn exit_code(outcome: Result<(), Trouble>) -> ExitCode {
    let Err(trouble) = outcome else { return ExitCode::SUCCESS };
    let error = if crate::cli::colour_on_stderr() { "\x1b[1;31merror\x1b[0m" } else { "error" };
    eprintln!("{error}: {}", trouble.message);
    if let Some(hint) = &trouble.hint {
        eprintln!("{hint}");
    }
    ExitCode::FAILURE
}

/// Colours on standard output.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    pub fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A line `name  value`, with the values one below the other.
pub fn row(name: &str, value: impl Display) {
    println!("{name:<16}{value}");
}

pub fn bytes(count: usize) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

pub fn time(time: Duration) -> String {
    match time.as_nanos() {
        nanos @ 0..1000 => format!("{nanos} ns"),
        nanos @ 1000..1_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        nanos => format!("{:.1} ms", nanos as f64 / 1e6),
    }
}
