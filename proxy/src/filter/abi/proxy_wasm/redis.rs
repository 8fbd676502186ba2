//! Redis, as Higress' plugins speak to it: `proxy_redis_init` says how to log in, `proxy_redis_call` sends one command.
//!
//! An instance has one connection to each service, opened with the first command and closed after a while without any. Commands go
//! out as they come and replies come back in that order. What breaks it fails those that wait, and the next one opens another.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::callout::{self, Kind, count};
use super::memory::{self, Call as Caller};
use super::resp::{self, Reply};
use super::room::{Claim, Room};
use super::state::{Answered, ROOT, upstream};
use super::status::{Status, buffer};
use super::vm::Vm;
use crate::cluster::raw::{self, Raw};
use crate::cluster::{Cluster, Wishes};
use crate::exchange::Attempt;
use crate::filter::host::http_client::{ANSWER_BYTES_MAX, TIMEOUT_MAX};
use crate::worker;

/// Longest name of a service, of a user, and longest password.
const ACCOUNT_BYTES_MAX: u32 = 4096;
/// Services that one instance speaks to.
const SERVICES_MAX: usize = 64;
/// How long a connection stays open without a command.
const IDLE: Duration = Duration::from_secs(60);
/// What is read at once.
const READ_BYTES: usize = 16 << 10;

/// What a callback is told of a command.
const OK: u32 = 0;
/// No reply came.
const NETWORK_ERROR: u32 = u32::MAX;

/// How to log in to a service.
#[derive(Debug, Clone)]
pub struct Account {
    user: String,
    password: String,
    database: u32,
    timeout: Duration,
}

/// A command that is to be sent.
#[derive(Debug)]
pub struct Asked {
    service: String,
    account: Account,
    query: Bytes,
}

/// A command that is on its way.
#[derive(Debug)]
pub struct Waiting {
    token: u32,
    until: Instant,
    _claim: Claim,
}

/// To the task of a connection. What may wait there is bounded by what the host holds for the instance.
pub type Line = mpsc::UnboundedSender<(Bytes, Waiting)>;

/// `proxy_redis_init`
pub fn init(
    call: &mut Caller<'_>,
    service: (u32, u32),
    user: (u32, u32),
    password: (u32, u32),
    timeout_ms: u32,
) -> wasmtime::Result<Status> {
    if [service.1, user.1, password.1].into_iter().any(|length| length > ACCOUNT_BYTES_MAX) {
        return Ok(Status::BadArgument);
    }
    let service = memory::text(call, service.0, service.1)?;
    let user = memory::text(call, user.0, user.1)?;
    let password = memory::text(call, password.0, password.1)?;
    let Some(database) = database(&service) else { return Ok(Status::BadArgument) };
    let state = call.data_mut();
    let name = upstream(&state.identity.config.proxy_wasm, &service);
    if !state.identity.grants.clusters.contains(name) {
        callout::tell_of_missing(&state.identity, name);
        return Ok(Status::BadArgument);
    }
    if state.accounts.len() >= SERVICES_MAX && !state.accounts.contains_key(&service) {
        return Ok(Status::InternalFailure);
    }
    let timeout = Duration::from_millis(u64::from(timeout_ms));
    let timeout = if timeout.is_zero() { TIMEOUT_MAX } else { timeout.min(TIMEOUT_MAX) };
    state.accounts.insert(service, Account { user, password, database, timeout });
    Ok(Status::Ok)
}

/// What stands behind a service's name: `?db=2&…`. How commands are gathered before they are sent has no meaning here.
fn database(service: &str) -> Option<u32> {
    let (_, options) = service.split_once('?').unwrap_or_default();
    match options.split('&').find_map(|option| option.strip_prefix("db=")) {
        Some(number) => number.parse().ok(),
        None => Some(0),
    }
}

/// `proxy_redis_call`
pub fn call(call: &mut Caller<'_>, service: (u32, u32), query: (u32, u32), token_to: u32) -> wasmtime::Result<Status> {
    memory::put_u32(call, token_to, 0)?;
    let service = memory::text(call, service.0, service.1)?;
    let Some(claim) = callout::claim(call, &[query.1]) else { return Ok(Status::InternalFailure) };
    let query = memory::copy(call, query.0, query.1)?;
    let Some(account) = call.data().accounts.get(&service).cloned() else { return Ok(Status::BadArgument) };
    if !resp::is_command(&query) {
        return Ok(Status::BadArgument);
    }
    let timeout = account.timeout;
    let asked = Asked { service: service.clone(), account, query: query.into() };
    callout::plan(call, &service, (Kind::Redis(asked), claim), timeout, token_to)
}

/// Sends it, over a connection that is there or another one.
pub fn ask(vm: &Rc<Vm>, token: u32, (asked, claim): (Asked, Claim), cluster: Option<Arc<Cluster>>) {
    let Asked { service, account, query } = asked;
    let until = Instant::now() + account.timeout;
    let mut sent = (query, Waiting { token, until, _claim: claim });
    let known = vm.lines.borrow().get(&service).cloned();
    if let Some(line) = known {
        match line.send(sent) {
            Ok(()) => return,
            Err(back) => sent = back.0,
        }
    }
    let (line, commands) = mpsc::unbounded_channel();
    // It was just made.
    let _ = line.send(sent);
    vm.lines.borrow_mut().insert(service, line);
    let (weak, room) = (Rc::downgrade(vm), vm.room.clone());
    worker::spawn(async move {
        let mut link = Link { vm: weak, commands, waiting: VecDeque::new() };
        if let Some(cluster) = cluster {
            link.serve(&cluster, &account, &room).await;
        }
        link.fail();
    });
}

struct Link {
    vm: Weak<Vm>,
    commands: mpsc::UnboundedReceiver<(Bytes, Waiting)>,
    waiting: VecDeque<Waiting>,
}

impl Link {
    async fn serve(&mut self, cluster: &Arc<Cluster>, account: &Account, room: &Room) {
        // Whoever is first has no more time than that.
        let opened = tokio::time::timeout(account.timeout, Box::pin(open(cluster, account))).await;
        match opened.unwrap_or_else(|_| Err("it took too long".into())) {
            Ok(raw) => self.speak(raw, room).await,
            Err(why) => tracing::warn!(cluster = %cluster.name, why, "a filter has no connection to Redis"),
        }
    }

    /// Until nobody has anything to say, or something breaks.
    async fn speak(&mut self, mut raw: Raw, room: &Room) {
        let (mut from, mut to) = tokio::io::split(&mut raw.stream);
        let (mut out, mut come, mut reply) = (BytesMut::new(), BytesMut::new(), Reply::default());
        let Some(mut claim) = room.claim(0) else { return };
        loop {
            let until = self.waiting.front().map_or_else(|| Instant::now() + IDLE, |first| first.until);
            come.reserve(READ_BYTES);
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let Some((query, waiting)) = command else { return };
                    out.extend_from_slice(&query);
                    self.waiting.push_back(waiting);
                }
                written = to.write_buf(&mut out), if !out.is_empty() => match written {
                    // What nobody may answer yet is on its way.
                    Ok(count) if count > 0 => if out.is_empty() && to.flush().await.is_err() { return },
                    _ => return,
                },
                read = from.read_buf(&mut come) => match read {
                    Ok(count) if count > 0 && claim.grow(count) => {
                        if !self.replies(&mut come, &mut reply, &mut claim) {
                            return;
                        }
                    }
                    _ => return,
                },
                // A reply that comes later would be taken for that of the next.
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }

    /// Delivers those that are whole. False for what is none.
    fn replies(&mut self, come: &mut BytesMut, reply: &mut Reply, claim: &mut Claim) -> bool {
        loop {
            match reply.length(come) {
                Ok(Some(length)) => {
                    // Nobody has asked for it.
                    let Some(first) = self.waiting.pop_front() else { return false };
                    let body = come.split_to(length).freeze();
                    *reply = Reply::default();
                    self.answered(first, OK, body);
                    claim.shrink(length);
                }
                Ok(None) => return come.len() <= ANSWER_BYTES_MAX,
                Err(resp::Wrong) => return false,
            }
        }
    }

    /// None of those that wait has a reply.
    fn fail(&mut self) {
        self.commands.close();
        while let Ok((_, waiting)) = self.commands.try_recv() {
            self.waiting.push_back(waiting);
        }
        while let Some(waiting) = self.waiting.pop_front() {
            self.answered(waiting, NETWORK_ERROR, Bytes::new());
        }
    }

    fn answered(&self, waiting: Waiting, status: u32, body: Bytes) {
        let Some(vm) = self.vm.upgrade() else { return };
        vm.calls.set(vm.calls.get() - 1);
        let length = count(body.len());
        let answered = Answered { body, buffer: buffer::REDIS_REPLY, ..Answered::default() };
        vm.deliver("proxy_on_redis_call_response", |machine| {
            machine.store.data_mut().answered = Some(Box::new(answered));
            let arguments = (ROOT, waiting.token, status, length);
            let outcome = machine.store_call(|callbacks| &callbacks.redis_call_response, arguments, ());
            machine.store.data_mut().answered = None;
            outcome
        });
    }
}

/// A connection that is logged in.
async fn open(cluster: &Arc<Cluster>, account: &Account) -> Result<Raw, String> {
    let opened = raw::open(cluster, &Wishes::default(), &mut Attempt::default()).await;
    let mut raw = opened.map_err(|failure| failure.to_string())?;
    let number = account.database.to_string();
    let log_in = match (&*account.user, &*account.password) {
        (_, "") => None,
        ("", password) => Some(resp::command(&["AUTH", password])),
        (user, password) => Some(resp::command(&["AUTH", user, password])),
    };
    let select = (account.database != 0).then(|| resp::command(&["SELECT", &number]));
    for command in log_in.into_iter().chain(select) {
        raw.stream.write_all(&command).await.map_err(|error| error.to_string())?;
        raw.stream.flush().await.map_err(|error| error.to_string())?;
        let mut come = BytesMut::new();
        let length = loop {
            if let Some(length) = Reply::default().length(&come).map_err(|resp::Wrong| "what it says is no reply")? {
                break length;
            }
            if raw.stream.read_buf(&mut come).await.map_err(|error| error.to_string())? == 0 || come.len() > READ_BYTES {
                return Err("it ended the connection".to_owned());
            }
        };
        if !come.starts_with(b"+") {
            return Err(String::from_utf8_lossy(&come[..length]).trim_end().to_owned());
        }
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_say_which_database() {
        assert_eq!(database("redis"), Some(0));
        assert_eq!(database("outbound|6379||redis.static?db=3&buffer_flush_timeout=3"), Some(3));
        assert_eq!(database("redis?max_buffer_size_before_flush=1024"), Some(0));
        assert_eq!(database("redis?db=x"), None);
    }
}
