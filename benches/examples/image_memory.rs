//! What a hundred live instances of one image add to the memory of the process: `image_memory INSTANCES`.
//!
//! The figure is Pss, of which the kernel says what is this process's own; pages of the image that instances only read are
//! counted once.

use std::sync::Arc;

use tamis::filter::abi::Call;
use tamis::filter::hand::Hand;
use tamis::filter::{Configured, Hook, Verdict, block_on};
use tamis_benches::{filter_of, record};
use tamis_tests::guest;

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100);
    let ranges = guest("ranges").to_string();
    let filter = filter_of(&ranges, "ranges", "memory = \"128MiB\"\nisolation = \"fresh\"\nconfig = { count = 1000000 }");
    let Configured::Image(image) = &filter.configured else { panic!("{:?}", filter.configured) };
    println!("image_bytes {}", image.bytes);
    println!("image_took_ms {}", image.took.as_millis());
    // One has been called already, as in a process that serves.
    let mut live = vec![called(&filter)];
    let before = pss_kib();
    live.extend((0..count).map(|_| called(&filter)));
    let after = pss_kib();
    println!("instances {count}");
    println!("pss_kib_added {}", after.saturating_sub(before));
    println!("linear_memory_kib_each {}", live[0].memory_bytes() / 1024);
}

fn called(filter: &Arc<tamis::filter::Filter>) -> tamis::filter::abi::Instance {
    let mut instance = block_on(false, filter.instance()).expect("nothing waits").expect("an instance");
    let record = record("/users/7?page=2");
    let mut hand = Hand::new(Hook::Request, record.shared(), &Arc::default());
    let verdict = block_on(false, instance.call(Call::Request, &mut hand)).expect("nothing waits").expect("it does not fail");
    assert_eq!(verdict, Verdict::Next);
    instance
}

fn pss_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux tells of a process's memory");
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).expect("it has a sum");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of kB")
}
