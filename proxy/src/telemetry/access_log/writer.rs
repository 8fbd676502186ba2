//! The thread that writes the lines, and the queue before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::config::AccessLogOutput;

/// Bytes that are written at once.
const BATCH_BYTES: usize = 64 * 1024;
/// The thread rests this long when it has written what there was: a worker that finds it asleep wakes it with a system call, and a line
/// that is written alone costs another.
const PAUSE: Duration = Duration::from_millis(10);
/// How often a full queue is looked at when the proxy leaves.
const FLUSH_LOOK: Duration = Duration::from_millis(5);
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
    messages: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Something else than a line is to be seen to.
    Wake,
    /// Answered when everything before it has been written.
    Flush(SyncSender<()>),
}

impl Writer {
    /// `None` where nothing is to be written.
    pub fn open(output: &AccessLogOutput, queue: usize, counts: &Arc<Counts>) -> io::Result<Option<Self>> {
        let output = match output {
            AccessLogOutput::Off => return Ok(None),
            AccessLogOutput::Stdout => Output::Stdout(io::stdout()),
            AccessLogOutput::File(path) => Output::File(path.clone(), append(path)?),
        };
        let (messages, lines) = sync_channel(queue);
        let reopen = Arc::new(AtomicBool::new(false));
        let scribe = Scribe {
            output,
            counts: Arc::clone(counts),
            reopen: Arc::clone(&reopen),
            failing: false,
            torn: false,
            no_room_told: Counts::get(&counts.no_room),
            told_at: None,
        };
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || scribe.write_lines(&lines))?;
        Ok(Some(Self { messages, reopen }))
    }

    pub fn queue(&self, line: Vec<u8>, counts: &Counts) {
        if self.messages.try_send(Message::Line(line)).is_err() {
            counts.no_room.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // Where there is no room, the thread is about to look by itself.
        let _ = self.messages.try_send(Message::Wake);
    }

    pub fn flush(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        // A queue that is full gets its chance as well.
        while let Err(TrySendError::Full(back)) = self.messages.try_send(message) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(FLUSH_LOOK);
            message = back;
        }
        written.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
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

/// What the thread knows.
struct Scribe {
    output: Output,
    counts: Arc<Counts>,
    reopen: Arc<AtomicBool>,
    /// The last write failed, and the log has been told.
    failing: bool,
    /// The output ends in the middle of a line.
    torn: bool,
    no_room_told: u64,
    told_at: Option<Instant>,
}

impl Scribe {
    /// Writes what is queued, as much at once as there is.
    fn write_lines(mut self, queue: &Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        while let Ok(first) = queue.recv() {
            batch.clear();
            let mut flushed = Vec::new();
            let mut lines = 0;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => {
                        batch.extend_from_slice(&line);
                        lines += 1;
                    }
                    Message::Wake => {}
                    Message::Flush(done) => flushed.push(done),
                }
                next = if batch.len() < BATCH_BYTES { queue.try_recv().ok() } else { None };
            }
            if self.reopen.swap(false, Ordering::Acquire) {
                self.open_anew();
            }
            if lines > 0 {
                self.write(&batch, lines);
            }
            let is_flushed = !flushed.is_empty();
            for done in flushed {
                let _ = done.send(());
            }
            self.tell_of_the_queue();
            if batch.len() < BATCH_BYTES && !is_flushed {
                std::thread::sleep(PAUSE);
            }
        }
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
            writer.queue(b"a line\n".to_vec(), &counts);
        }
        assert!(writer.flush(Duration::from_secs(60)));
        assert_eq!((Counts::get(&counts.written), Counts::get(&counts.unwritten)), (0, 10));
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
            writer.queue(line.clone(), &counts);
        }
        assert!(Counts::get(&counts.no_room) > 50, "{counts:?}");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        let (writer, counts) = writer(path.to_str().expect("UTF-8"), 100);
        let line = |text: &str| {
            writer.queue(format!("{text}\n").into_bytes(), &counts);
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
