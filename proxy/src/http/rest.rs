//! An HTTP/1 connection that has been without an exchange for a while: all that is kept of it is its socket, until its next byte
//! comes. hyper's buffers, and the room for an exchange, are most of what an idle connection would take.

use std::cell::Cell;
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::pulse::Watched;
use crate::filter::heap;

/// What is read of the next request before there are buffers again: a byte would do, but may cost TLS a record's copy.
const FIRST_BYTES: usize = 64;
/// When so many of a worker rest, what they have freed is worth a look at the whole heap: some ten megabytes.
const GIVE_BACK_EACH: u32 = 512;
/// No oftener than this, for threads that allocate may have to wait for a moment.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(10);

thread_local! {
    static RESTED: Cell<u32> = const { Cell::new(0) };
}

/// When memory was given back last.
static GIVEN_BACK: Mutex<Option<Instant>> = Mutex::new(None);

/// Waits for the next bytes, and puts them back; zero: the client has closed.
pub async fn awake(io: &mut Watched<impl AsyncRead + Unpin>) -> io::Result<usize> {
    let mut first = [0; FIRST_BYTES];
    let count = io.read(&mut first).await?;
    io.put_back(Bytes::copy_from_slice(&first[..count]));
    Ok(count)
}

/// Another connection rests: once there are many, what they leave goes back to the system.
pub fn give_back() {
    RESTED.set(RESTED.get() + 1);
    let (true, Ok(mut last)) = (RESTED.get() >= GIVE_BACK_EACH, GIVEN_BACK.try_lock()) else { return };
    if last.is_none_or(|last| last.elapsed() >= GIVE_BACK_PAUSE) {
        *last = Some(Instant::now());
        RESTED.set(0);
        tokio::task::spawn_blocking(heap::give_back);
    }
}
