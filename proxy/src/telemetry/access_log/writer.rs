//! The lines that wait, a place for each worker, and the thread that writes them.
//!
//! A worker appends to a place of its own and locks nobody out but the thread, which comes by every few milliseconds and takes all
//! there is in the time of a swap. Nobody is woken and nothing is allocated for a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::config::AccessLogOutput;
use crate::telemetry::metrics::{SHARDS, shard};

/// The thread rests this long when it has written what there was: a worker that finds it asleep wakes it with a system call, and a line
/// that is written alone costs another.
const PAUSE: Duration = Duration::from_millis(10);
/// What a place or the thread keeps for the next lines; what a slow output has made larger is given back.
const KEPT_BYTES_MAX: usize = 1 << 20;
const KEPT_LINES_MAX: usize = 4096;
/// A queue that is full again and again is told of once in this time.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What became of lines, over all outputs that the process has had.
#[derive(Debug, Default)]
pub struct Counts {
    pub written: AtomicU64,
    /// The queue was full.
    pub no_room: AtomicU64,
    /// The output did not take them.
    pub unwritten: AtomicU64,
}

impl Counts {
    pub fn get(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// One output. When it is dropped, what is queued is still written.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    thread: Thread,
}

/// What workers and the thread share.
#[derive(Debug)]
struct Queue {
    places: [Place; SHARDS],
    /// Lines that one place holds.
    lines_max: usize,
    /// The thread has found nothing, and waits to be woken.
    asleep: AtomicBool,
    reopen: AtomicBool,
    /// Nobody writes lines any more.
    closed: AtomicBool,
    /// Answered when everything before it has been written.
    flushes: Mutex<Vec<SyncSender<()>>>,
}

/// On a cache line of its own, that workers do not meet.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Of each line: when its exchange ended, and where it ends.
    lines: Vec<(Duration, usize)>,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// `None` where nothing is to be written.
    pub fn open(output: &AccessLogOutput, lines_max: usize, counts: &Arc<Counts>) -> io::Result<Option<Self>> {
        let output = match output {
            AccessLogOutput::Off => return Ok(None),
            AccessLogOutput::Stdout => Output::Stdout(io::stdout()),
            AccessLogOutput::File(path) => Output::File(path.clone(), append(path)?),
        };
        let queue = Arc::new(Queue {
            places: Default::default(),
            lines_max,
            asleep: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            flushes: Mutex::default(),
        });
        let scribe = Scribe {
            output,
            counts: Arc::clone(counts),
            queue: Arc::clone(&queue),
            failing: false,
            torn: false,
            no_room_told: Counts::get(&counts.no_room),
            told_at: None,
        };
        let running = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || scribe.write_lines())?;
        Ok(Some(Self { queue, thread: running.thread().clone() }))
    }

    /// Lets `line` append one to what waits, with its end, or leave it as it is. `ended`: by which lines are put in order.
    pub fn append(&self, counts: &Counts, ended: Duration, line: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.queue.places[shard()].lock();
        if waiting.lines.len() >= self.queue.lines_max {
            counts.no_room.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = waiting.bytes.len();
        line(&mut waiting.bytes);
        let end = waiting.bytes.len();
        if end > before {
            waiting.lines.push((ended, end));
        }
        // A place that fills up is not left to the pause.
        let hurry = waiting.lines.len() == self.queue.lines_max.div_ceil(2);
        drop(waiting);
        if hurry || self.queue.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }

    pub fn reopen(&self) {
        self.queue.reopen.store(true, Ordering::Release);
        self.thread.unpark();
    }

    pub fn flush(&self, within: Duration) -> bool {
        let (done, written) = sync_channel(1);
        self.queue.flushes.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        self.thread.unpark();
        written.recv_timeout(within).is_ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.closed.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

enum Output {
    Stdout(io::Stdout),
    File(PathBuf, File),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout(stdout) => stdout.write(bytes),
            Output::File(_, file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout(stdout) => stdout.flush(),
            Output::File(_, file) => file.flush(),
        }
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// All lines by when their exchanges ended; how many there are.
fn in_order(places: &[Waiting], sorted: &mut Vec<u8>) -> u64 {
    let mut lines: Vec<(Duration, &[u8])> = Vec::new();
    for place in places {
        let mut begin = 0;
        lines.extend(place.lines.iter().map(|(ended, end)| (*ended, &place.bytes[std::mem::replace(&mut begin, *end)..*end])));
    }
    lines.sort_by_key(|(ended, _)| *ended);
    sorted.clear();
    lines.iter().for_each(|(_, line)| sorted.extend_from_slice(line));
    lines.len() as u64
}

/// What the thread knows.
struct Scribe {
    output: Output,
    counts: Arc<Counts>,
    queue: Arc<Queue>,
    /// The last write failed, and the log has been told.
    failing: bool,
    /// The output ends in the middle of a line.
    torn: bool,
    no_room_told: u64,
    told_at: Option<Instant>,
}

impl Scribe {
    /// Writes what waits, as much at once as there is, until nobody writes lines any more.
    fn write_lines(mut self) {
        let mut taken: [Waiting; SHARDS] = Default::default();
        let mut sorted = Vec::new();
        loop {
            let closed = self.queue.closed.load(Ordering::SeqCst);
            let flushes = std::mem::take(&mut *self.queue.flushes.lock().unwrap_or_else(PoisonError::into_inner));
            if self.queue.reopen.swap(false, Ordering::Acquire) {
                self.open_anew();
            }
            let any = self.write_all(&mut taken, &mut sorted);
            flushes.iter().for_each(|done| _ = done.send(()));
            self.tell_of_the_queue();
            if closed {
                return;
            }
            if any {
                std::thread::park_timeout(PAUSE);
            } else {
                self.sleep();
                // One line has come; those that follow it closely are written with it.
                std::thread::park_timeout(PAUSE);
            }
        }
    }

    /// Takes what waits, and writes it in the order in which exchanges ended. False: there was nothing.
    fn write_all(&mut self, taken: &mut [Waiting; SHARDS], sorted: &mut Vec<u8>) -> bool {
        for (place, taken) in self.queue.places.iter().zip(taken.iter_mut()) {
            std::mem::swap(&mut *place.lock(), taken);
        }
        let some = taken.iter().filter(|place| !place.lines.is_empty()).count();
        if some == 1 {
            // One worker's are in order.
            for place in taken.iter().filter(|place| !place.lines.is_empty()) {
                self.write(&place.bytes, place.lines.len() as u64);
            }
        } else if some > 1 {
            let lines = in_order(taken, sorted);
            self.write(sorted, lines);
            sorted.shrink_to(KEPT_BYTES_MAX);
        }
        for taken in taken.iter_mut() {
            taken.lines.clear();
            taken.lines.shrink_to(KEPT_LINES_MAX);
            taken.bytes.clear();
            taken.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        some > 0
    }

    /// Until somebody has something for it to do. Whoever comes after the flag is set wakes the thread, and whoever came before is seen.
    fn sleep(&self) {
        let queue = &self.queue;
        queue.asleep.store(true, Ordering::SeqCst);
        let is_idle = queue.places.iter().all(|place| place.lock().lines.is_empty())
            && !queue.closed.load(Ordering::SeqCst)
            && !queue.reopen.load(Ordering::Acquire)
            && queue.flushes.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if is_idle {
            std::thread::park();
        }
        queue.asleep.store(false, Ordering::SeqCst);
    }

    /// What was queued before the file was moved away goes into the new one as well.
    fn open_anew(&mut self) {
        let Output::File(path, file) = &mut self.output else { return };
        match append(path) {
            Ok(new) => {
                *file = new;
                self.torn = false;
                tracing::info!(file = %path.display(), "the access log's file was opened anew");
            }
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "the access log's file cannot be opened anew; the old one is kept");
            }
        }
    }

    /// An output that fails is told of once and tried again with the next lines.
    fn write(&mut self, batch: &[u8], lines: u64) {
        let mut rest = batch;
        let mut result = if self.torn { self.output.write_all(b"\n") } else { Ok(()) };
        if result.is_ok() {
            self.torn = false;
            while !rest.is_empty() && result.is_ok() {
                match self.output.write(rest) {
                    Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => result = Err(error),
                }
            }
            result = result.and_then(|()| self.output.flush());
            let taken = &batch[..batch.len() - rest.len()];
            self.torn = taken.last().is_some_and(|last| *last != b'\n');
        }
        let lost = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counts.written.fetch_add(lines - lost.min(lines), Ordering::Relaxed);
        self.counts.unwritten.fetch_add(lost, Ordering::Relaxed);
        match &result {
            Err(error) if !self.failing => tracing::error!(%error, "the access log cannot be written; its lines are lost"),
            Ok(()) if self.failing => {
                let lost = Counts::get(&self.counts.unwritten);
                tracing::info!(lost_until_now = lost, "the access log can be written again");
            }
            _ => {}
        }
        self.failing = result.is_err();
    }

    fn tell_of_the_queue(&mut self) {
        let lost = Counts::get(&self.counts.no_room);
        if lost > self.no_room_told && self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            tracing::warn!(lines = lost - self.no_room_told, "the access log's output was too slow; these lines are lost");
            (self.no_room_told, self.told_at) = (lost, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(path: &str, queue: usize) -> (Writer, Arc<Counts>) {
        let counts = Arc::<Counts>::default();
        let output = AccessLogOutput::File(path.into());
        (Writer::open(&output, queue, &counts).expect("it can be opened").expect("it is on"), counts)
    }

    #[test]
    fn a_full_disk_loses_lines_which_are_counted() {
        let (writer, counts) = writer("/dev/full", 100);
        for _ in 0..10 {
            writer.append(&counts, Duration::ZERO, |lines| lines.extend_from_slice(b"a line\n"));
        }
        assert!(writer.flush(Duration::from_secs(60)));
        assert_eq!((Counts::get(&counts.written), Counts::get(&counts.unwritten)), (0, 10));
    }

    #[test]
    fn lines_of_several_workers_stand_in_the_order_in_which_exchanges_ended() {
        let place = |lines: &[(u64, &str)]| {
            let mut waiting = Waiting::default();
            for (ended, line) in lines {
                waiting.bytes.extend_from_slice(line.as_bytes());
                waiting.lines.push((Duration::from_nanos(*ended), waiting.bytes.len()));
            }
            waiting
        };
        let mut sorted = b"of before".to_vec();
        let lines =
            in_order(&[place(&[(1, "one "), (4, "four")]), place(&[]), place(&[(2, "two "), (3, "three ")])], &mut sorted);
        assert_eq!((lines, sorted.as_slice()), (4, b"one two three four".as_slice()));
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        // Open at both ends, so that opening waits for nobody; nobody reads.
        let _both = OpenOptions::new().read(true).write(true).open(&pipe).expect("open");
        let (writer, counts) = writer(pipe.to_str().expect("UTF-8"), 2);
        let line = vec![b'x'; 64 * 1024];
        // A pipe holds some, the thread holds a batch, the queue two; the rest finds no room.
        for _ in 0..100 {
            writer.append(&counts, Duration::ZERO, |lines| lines.extend_from_slice(&line));
        }
        assert!(Counts::get(&counts.no_room) > 50, "{counts:?}");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        let (writer, counts) = writer(path.to_str().expect("UTF-8"), 100);
        let line = |text: &str| {
            writer.append(&counts, Duration::ZERO, |lines| lines.extend_from_slice(format!("{text}\n").as_bytes()));
            assert!(writer.flush(Duration::from_secs(60)));
        };
        line("one");
        std::fs::rename(&path, &moved).expect("it can be moved");
        line("two");
        writer.reopen();
        line("three");
        let read = |path| std::fs::read_to_string(path).expect("it is there");
        assert_eq!((read(&moved).as_str(), read(&path).as_str()), ("one\ntwo\n", "three\n"));
        assert_eq!(Counts::get(&counts.written), 3);
    }
}
