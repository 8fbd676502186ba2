//! What the process itself takes, under the names that Prometheus' own clients use, and which build it is.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::metrics::{Exposition, Kind};

/// In which the kernel tells /proc/PID/stat, on every machine that Linux runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// Writes what can be found out. What cannot, because /proc is not there, is left out.
pub fn render(exposition: &mut Exposition) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    exposition.metric("tamis_build_info", "Which build this is; always 1.", Kind::Gauge).sample("", &version, None, 1.0);
    let mut tell = |name, help, kind, value: Option<f64>| {
        if let Some(value) = value {
            exposition.metric(name, help, kind).sample("", &[], None, value);
        }
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = Duration::new(u64::try_from(cpu.tv_sec).unwrap_or(0), u32::try_from(cpu.tv_nsec).unwrap_or(0));
    tell("process_cpu_seconds_total", "CPU time of the process, of all threads.", Kind::Counter, Some(cpu.as_secs_f64()));
    let resident = "Memory of the process that is in RAM.";
    tell("process_resident_memory_bytes", resident, Kind::Gauge, kib(&status, "VmRSS:"));
    let reserved = "Address space of the process; instances of filters reserve much and take little.";
    tell("process_virtual_memory_bytes", reserved, Kind::Gauge, kib(&status, "VmSize:"));
    tell("process_threads", "Threads of the process.", Kind::Gauge, field(&status, "Threads:"));
    let open = fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as f64);
    tell("process_open_fds", "Open file descriptors of the process.", Kind::Gauge, open);
    let most = getrlimit(Resource::Nofile).current.map(|most| most as f64);
    tell("process_max_fds", "File descriptors that the process may have open.", Kind::Gauge, most);
    let started = "When the process began, in seconds since 1970.";
    tell("process_start_time_seconds", started, Kind::Gauge, start_time(&stat));
}

fn field(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn kib(status: &str, name: &str) -> Option<f64> {
    field(status, name).map(|kib| kib * 1024.0)
}

/// The 22nd field counts from the boot. The second one is a name in parentheses, which may hold anything.
fn start_time(stat: &str) -> Option<f64> {
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let boot = field(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
    Some(boot + ticks / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let mut exposition = Exposition::default();
        render(&mut exposition);
        let page = exposition.finish();
        let value = |name: &str| -> f64 {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no {name}: {page}")).parse().expect("a number")
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        assert!((now - 24.0 * 3600.0..now + 2.0).contains(&value("process_start_time_seconds")), "{page}");
        assert!((1e6..1e12).contains(&value("process_resident_memory_bytes")), "{page}");
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") <= value("process_max_fds"), "{page}");
        assert!(value("process_cpu_seconds_total") > 0.0 && value("process_threads") >= 1.0, "{page}");
    }
}
