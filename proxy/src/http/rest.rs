//! An HTTP/1 connection that has been without an exchange for a while: all that is kept of it is its socket, until its next byte
//! comes. hyper's buffers, and the room for an exchange, are most of what an idle connection would take.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::pulse::Watched;
use super::serve::Served;
use crate::config::ListenerTimeouts;
use crate::filter::heap;
use crate::worker;

/// What is read of the next request before there are buffers again: a byte would do, but may cost TLS a record's copy.
const FIRST_BYTES: usize = 64;
/// When so many of a worker rest, what they have freed is worth a look at the whole heap: some ten megabytes.
const GIVE_BACK_EACH: u32 = 512;
/// How much later that is: others come to rest meanwhile, and threads that allocate may have to wait for a moment.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);

thread_local! {
    static RESTED: Cell<u32> = const { Cell::new(0) };
}

/// Somebody is about to give memory back, for all workers.
static GIVES_BACK: AtomicBool = AtomicBool::new(false);

/// How long it is idle before it rests. Sooner, if it has to be, its buffers are looked into once: the head of a next request may
/// have begun in them, together with the request before, and only here can anybody tell when it is late.
pub fn after(served: &Served, timeouts: &ListenerTimeouts) -> Duration {
    let (rest, head) = (timeouts.rest, timeouts.request_headers);
    let is_looked_into = served.looked.get() == served.exchanges.get();
    match head.is_zero() || is_looked_into || !rest.is_zero() && rest < head {
        true => rest,
        false => head,
    }
}

/// Its buffers are at hand: whether it rests from here on.
pub fn begins(served: &Served) -> bool {
    served.looked.set(served.exchanges.get());
    let rest = served.listener.borrow().config.timeouts.rest;
    let begins = !rest.is_zero() && served.pulse.idle_since().is_some_and(|since| since.elapsed() >= rest);
    if begins {
        served.resting.set(true);
        served.request.take();
    }
    begins
}

/// Waits for the next bytes, which are read again after that; zero: the client has closed.
pub async fn awake(io: &mut Watched<impl AsyncRead + Unpin>) -> io::Result<usize> {
    // What came with the last request, and is none by itself, is there already.
    if io.has_more() {
        return Ok(1);
    }
    let mut first = [0; FIRST_BYTES];
    let count = io.read(&mut first).await?;
    io.put_back(Bytes::copy_from_slice(&first[..count]));
    Ok(count)
}

/// Another connection rests: once there are many, what they leave goes back to the system.
pub fn give_back() {
    RESTED.set(RESTED.get() + 1);
    if RESTED.get() < GIVE_BACK_EACH || GIVES_BACK.swap(true, Ordering::Relaxed) {
        return;
    }
    RESTED.set(0);
    worker::spawn(async {
        tokio::time::sleep(GIVE_BACK_AFTER).await;
        GIVES_BACK.store(false, Ordering::Relaxed);
        let _ = tokio::task::spawn_blocking(heap::give_back).await;
    });
}
