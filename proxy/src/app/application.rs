//! The program that runs beside the proxy, as its child: it starts when the proxy serves, is told what the proxy is told, and
//! when it ends the proxy leaves with its exit code.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::upgrade::{OF_ONE_PROCESS, VARIABLE};

/// Exit codes of shells: the program is not there, or cannot be started.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;
/// A program that a signal ended has this and the signal's number.
const SIGNALLED: u8 = 128;
/// What the service manager says to the proxy.
const OF_THE_MANAGER: [&str; 2] = ["NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// See the module.
#[derive(Debug)]
pub struct Application {
    command: Vec<OsString>,
    running: Option<Child>,
    code: Option<u8>,
}

impl Application {
    /// A program and its arguments, not yet started.
    pub fn new(command: Vec<OsString>) -> Self {
        Self { command, running: None, code: None }
    }

    pub fn start(&mut self) {
        let Some((program, arguments)) = self.command.split_first() else { return self.code = Some(NOT_FOUND) };
        let mut command = Command::new(program);
        command.args(arguments).kill_on_drop(true);
        for variable in OF_ONE_PROCESS.iter().chain(&OF_THE_MANAGER).chain([&VARIABLE]) {
            command.env_remove(variable);
        }
        match command.spawn() {
            Ok(child) => {
                tracing::info!(program = %program.display(), process = child.id(), "the application runs");
                self.running = Some(child);
            }
            Err(error) => {
                tracing::error!(program = %program.display(), %error, "the application cannot be started");
                let missing = error.kind() == io::ErrorKind::NotFound;
                self.code = Some(if missing { NOT_FOUND } else { NOT_STARTED });
            }
        }
    }

    /// Waits for its end, once.
    pub async fn ended(&mut self) {
        if let Some(child) = &mut self.running {
            let status = child.wait().await;
            self.running = None;
            match status {
                Ok(status) => {
                    tracing::info!(%status, "the application has ended");
                    self.code = Some(code(status));
                }
                Err(error) => {
                    tracing::error!(%error, "nobody knows how the application ended");
                    self.code = Some(NOT_STARTED);
                }
            }
        }
    }

    /// Waits for its end; for ever where there is none to come.
    pub async fn end_of(application: &mut Option<Self>) {
        match application {
            Some(application) if application.running.is_some() => application.ended().await,
            _ => std::future::pending().await,
        }
    }

    /// Who hears signals, as long as it runs.
    pub fn hears(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.running.as_ref()?.id()?).ok()?)
    }

    /// The proxy is to leave, and does when the application has: it is asked to. False: there is none.
    pub fn is_told(application: Option<&Self>) -> bool {
        let process = application.and_then(Self::hears);
        process.inspect(|process| pass_on(*process, Signal::TERM)).is_some()
    }

    /// How it ended, once it has.
    pub fn code(&self) -> Option<u8> {
        self.code
    }
}

pub fn pass_on(process: Pid, signal: Signal) {
    if let Err(error) = kill_process(process, signal) {
        tracing::warn!(?signal, %error, "a signal cannot be passed on to the application");
    }
}

fn code(status: ExitStatus) -> u8 {
    let exit = status.code().and_then(|code| u8::try_from(code).ok());
    let signal = || status.signal().and_then(|signal| SIGNALLED.checked_add(u8::try_from(signal).ok()?));
    exit.or_else(signal).unwrap_or(NOT_STARTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ran(command: &[&str]) -> Option<u8> {
        let mut application = Application::new(command.iter().map(Into::into).collect());
        application.start();
        application.ended().await;
        application.code()
    }

    #[tokio::test]
    async fn exit_codes_are_those_of_a_shell() {
        assert_eq!(ran(&["sh", "-c", "exit 7"]).await, Some(7));
        assert_eq!(ran(&["sh", "-c", "kill -TERM $$"]).await, Some(143));
        assert_eq!(ran(&["/nowhere/at/all"]).await, Some(127));
        assert_eq!(ran(&["/dev/null"]).await, Some(126));
    }
}
