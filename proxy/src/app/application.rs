//! The program that runs beside the proxy, as its child: it starts when the proxy serves, is told what the proxy is told, and
//! when it ends the proxy leaves with its exit code.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait, waitpid};
use tokio::signal::unix::{SignalKind, signal};

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
    running: Option<Running>,
    code: Option<u8>,
    /// A signal has asked it to end.
    pub was_asked: bool,
}

#[derive(Debug)]
struct Running {
    process: Pid,
    /// Tells that a child has ended.
    children: tokio::signal::unix::Signal,
    /// This is the first process of its namespace: what loses its parent becomes its child, and is a zombie until it looks.
    adopts: bool,
    /// It has been waited for: its number may be somebody else's by now.
    has_ended: bool,
}

impl Drop for Running {
    /// Nobody is left to tell it to end.
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = kill_process(self.process, Signal::KILL);
        }
    }
}

impl Running {
    /// `Ok(None)`: it runs on.
    fn look(&self) -> io::Result<Option<WaitStatus>> {
        if !self.adopts {
            return Ok(waitpid(Some(self.process), WaitOptions::NOHANG)?.map(|(_, status)| status));
        }
        while let Some((process, status)) = wait(WaitOptions::NOHANG)? {
            if process == self.process {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    async fn ended(&mut self) -> io::Result<WaitStatus> {
        loop {
            if let Some(status) = self.look()? {
                self.has_ended = true;
                return Ok(status);
            }
            self.children.recv().await;
        }
    }
}

impl Application {
    /// A program and its arguments, not yet started.
    pub fn new(command: Vec<OsString>) -> Self {
        Self { command, running: None, code: None, was_asked: false }
    }

    pub fn start(&mut self) {
        let Some((program, arguments)) = self.command.split_first() else { return self.code = Some(NOT_FOUND) };
        let mut command = Command::new(program);
        command.args(arguments);
        for variable in OF_ONE_PROCESS.iter().chain(&OF_THE_MANAGER).chain([&VARIABLE]) {
            command.env_remove(variable);
        }
        // Heard from before there is anything to hear of.
        let started = signal(SignalKind::child()).and_then(|children| Ok((children, command.spawn()?)));
        match started {
            Ok((children, child)) => {
                let process = Pid::from_child(&child);
                tracing::info!(program = %program.display(), process = child.id(), "the application runs");
                self.running = Some(Running { process, children, adopts: getpid() == Pid::INIT, has_ended: false });
                // It has no pipes; who waits for it is `Running`.
                drop::<Child>(child);
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
        let Some(running) = &mut self.running else { return };
        self.code = Some(match running.ended().await {
            Ok(status) => {
                let code = code(status);
                tracing::info!(code, "the application has ended");
                code
            }
            Err(error) => {
                tracing::error!(%error, "nobody knows how the application ended");
                NOT_STARTED
            }
        });
        self.running = None;
    }

    /// Ends it, whatever it does.
    pub async fn kill(&mut self) {
        if let Some(process) = self.hears() {
            pass_on(process, Signal::KILL);
        }
        self.ended().await;
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
        Some(self.running.as_ref()?.process)
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

fn code(status: WaitStatus) -> u8 {
    let exit = status.exit_status().and_then(|code| u8::try_from(code).ok());
    let signal = || status.terminating_signal().and_then(|signal| SIGNALLED.checked_add(u8::try_from(signal).ok()?));
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
