//! `tamis completions` and `tamis man`: what shells and readers of manual pages are given, made of the arguments themselves.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell.
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Write a page for each command into this folder. Without it, tamis(1) goes to standard output.
    folder: Option<PathBuf>,
}

impl Completions {
    pub fn run(&self, mut command: Command) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "tamis", &mut script);
        exit_code(io::stdout().write_all(&script), "standard output")
    }
}

impl Man {
    pub fn run(&self, command: Command) -> ExitCode {
        match &self.folder {
            Some(folder) => {
                let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
                exit_code(written, &folder.display().to_string())
            }
            None => {
                let mut page = Vec::new();
                let written = clap_mangen::Man::new(command).render(&mut page);
                exit_code(written.and_then(|()| io::stdout().write_all(&page)), "standard output")
            }
        }
    }
}

/// Whoever stops reading has read enough.
fn exit_code(written: io::Result<()>, to: &str) -> ExitCode {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to {to}: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
