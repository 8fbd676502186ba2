//! `clock` and `entropy`: the time, and numbers nobody can guess.

use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand;

use crate::filter::{OutOfPlace, hand};

/// Bytes of one `entropy.bytes`.
pub const ENTROPY_BYTES_MAX: u32 = 64 * 1024;

/// Nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since some moment in the life of this process.
pub fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// `clock.sleep-ms`. Only while a hook runs: nobody waits for a filter that is being configured.
pub async fn sleep_ms(ms: u32) -> Result<(), OutOfPlace> {
    hand::with("sleep-ms", |_| ())?;
    tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    Ok(())
}

/// The generator of the cryptography library takes tens of milliseconds to begin, which can pass beside other work.
pub fn begin_to_draw() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let begin = || {
            let _ = rand::fill(&mut [0]);
        };
        // Without a thread whoever draws first waits for it.
        let _ = std::thread::Builder::new().name("entropy".to_owned()).spawn(begin);
    });
}

/// From that generator.
pub fn bytes(count: u32) -> Result<Vec<u8>, String> {
    if count > ENTROPY_BYTES_MAX {
        return Err(format!("{count} bytes of entropy were asked for, expected at most {ENTROPY_BYTES_MAX}"));
    }
    let mut bytes = vec![0; count as usize];
    rand::fill(&mut bytes).map_err(|_| "the system has no entropy".to_owned())?;
    Ok(bytes)
}

pub fn next() -> Result<u64, String> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).map_err(|_| "the system has no entropy".to_owned())?;
    Ok(u64::from_le_bytes(bytes))
}
