//! Changes that wait until the one under way is done, in the order in which they came. Of several of the same kind that
//! would overwrite each other, only the newest is kept.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::trial::Failed;
use crate::admin::api::{Change as Wanted, Command, Refused};
use crate::admin::config::Reconfigure;
use crate::cluster::discovery::{Answer, Query};
use crate::config::Input;

/// Something that makes another snapshot.
#[derive(Debug)]
pub enum Change {
    /// The configuration and every module are read again; the former perhaps only if it has changed.
    Reload { if_changed: bool },
    /// The file of a module may have other bytes.
    Module(PathBuf),
    /// An input may have other content, or has this one.
    Input(Input, Option<Arc<[u8]>>),
    /// Files that certificates are read from may have changed.
    Certificates,
    /// A new version has failed its probation.
    GoBack(Failed),
    /// Somebody knows endpoints.
    Found(Query, Answer),
    /// An operator wants something of a filter.
    Command(Command),
    /// An operator wants another configuration.
    Configure(Box<Reconfigure>),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Waiting(VecDeque<Change>);

impl Waiting {
    pub fn next(&mut self) -> Option<Change> {
        self.0.pop_front()
    }

    pub fn add(&mut self, change: Change) {
        let replaced = match &change {
            Change::Reload { if_changed } => {
                // One that reads everything anyway will do for both.
                if let Some(Change::Reload { if_changed: waiting }) = self.find(|other| matches!(other, Change::Reload { .. })) {
                    *waiting &= *if_changed;
                    return;
                }
                None
            }
            Change::Module(path) => {
                if self.find(|other| matches!(other, Change::Module(waiting) if waiting == path)).is_some() {
                    return;
                }
                None
            }
            Change::Certificates => {
                if self.find(|other| matches!(other, Change::Certificates)).is_some() {
                    return;
                }
                None
            }
            Change::Input(input, _) => {
                self.0.iter().position(|other| matches!(other, Change::Input(waiting, _) if waiting == input))
            }
            Change::Found(query, _) => {
                self.0.iter().position(|other| matches!(other, Change::Found(waiting, _) if waiting == query))
            }
            Change::GoBack(_) | Change::Configure(_) => None,
            Change::Command(command) => self.outdated(command),
        };
        let Some(at) = replaced else { return self.0.push_back(change) };
        // At the end of the queue, for what came in between was meant to come before.
        if let Some(Change::Command(old)) = self.0.remove(at) {
            let message = format!("a newer {} for filter `{}` came while this one waited", old.change.name(), old.filter);
            let _ = old.answer.send(Err(Refused::Conflict(message)));
        }
        self.0.push_back(change);
    }

    /// What the old way of resolving names has said does not count any more.
    pub fn forget_found(&mut self) {
        self.0.retain(|change| !matches!(change, Change::Found(query, _) if !matches!(query, Query::File(_))));
    }

    fn find(&mut self, wanted: impl Fn(&Change) -> bool) -> Option<&mut Change> {
        self.0.iter_mut().find(|change| wanted(change))
    }

    /// The last command for the same filter, if it pushes the same part: nobody will see what it pushes.
    fn outdated(&self, new: &Command) -> Option<usize> {
        let of_filter = |change: &Change| matches!(change, Change::Command(command) if command.filter == new.filter);
        let at = self.0.iter().rposition(of_filter)?;
        let Change::Command(last) = &self.0[at] else { return None };
        let same = matches!(
            (&last.change, &new.change),
            (Wanted::Module(_), Wanted::Module(_)) | (Wanted::Config(_), Wanted::Config(_))
        );
        same.then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;
    use crate::admin::api::Done;

    type Answered = oneshot::Receiver<Result<Done, Refused>>;

    fn command(filter: &str, change: Wanted) -> (Change, Answered) {
        let (answer, answered) = oneshot::channel();
        (Change::Command(Command { filter: filter.into(), change, over_file: false, answer, held: None }), answered)
    }

    fn module(text: &'static str) -> Wanted {
        Wanted::Module(Bytes::from_static(text.as_bytes()))
    }

    fn names(mut waiting: Waiting) -> Vec<String> {
        let name = |change| match change {
            Change::Reload { if_changed } => format!("reload {if_changed}"),
            Change::Module(path) => path.display().to_string(),
            Change::Input(input, _) => format!("{input:?}"),
            Change::Certificates => "certificates".to_owned(),
            Change::GoBack(failed) => format!("{} goes back", failed.filter),
            Change::Configure(_) => "configure".to_owned(),
            Change::Found(query, answer) => format!("{query} {}", answer.len()),
            Change::Command(Command { filter, change: Wanted::Module(bytes), .. }) => format!("{filter} {bytes:?}"),
            Change::Command(command) => format!("{} {}", command.filter, command.change.name()),
        };
        std::iter::from_fn(|| waiting.next()).map(name).collect()
    }

    #[test]
    fn only_the_newest_push_of_a_part_is_kept() {
        let mut waiting = Waiting::default();
        let (first, mut outdated) = command("f", module("1"));
        let (other, mut kept) = command("g", module("2"));
        waiting.add(first);
        waiting.add(other);
        waiting.add(command("f", module("3")).0);
        assert!(matches!(outdated.try_recv(), Ok(Err(Refused::Conflict(_)))));
        assert!(kept.try_recv().is_err(), "another filter's goes on waiting");
        assert_eq!(names(waiting), ["g b\"2\"", "f b\"3\""]);
    }

    #[test]
    fn what_depends_on_a_push_keeps_it() {
        let mut waiting = Waiting::default();
        for change in [module("1"), Wanted::Reset, module("2"), Wanted::Config(Arc::default()), module("3")] {
            waiting.add(command("f", change).0);
        }
        assert_eq!(names(waiting), ["f b\"1\"", "f reset", "f b\"2\"", "f config", "f b\"3\""]);
    }

    #[test]
    fn what_happens_twice_is_done_once() {
        let mut waiting = Waiting::default();
        for if_changed in [true, false, true] {
            waiting.add(Change::Reload { if_changed });
            waiting.add(Change::Module("a.wasm".into()));
            waiting.add(Change::Certificates);
        }
        for addresses in 1..=2 {
            let addresses = (0..addresses).map(|number| [127, 0, 0, number].into()).collect();
            waiting.add(Change::Found(Query::Host("h".into()), Answer::of_addresses(addresses)));
        }
        assert_eq!(names(waiting), ["reload false", "a.wasm", "certificates", "the name h 2"]);
    }
}
