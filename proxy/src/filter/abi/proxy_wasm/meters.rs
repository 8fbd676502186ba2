//! Metrics of guests of this ABI: defined while they run, added up over all workers, and shown as `wasmcustom_NAME`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::memory::{self, Call};
use super::status::Status;
use crate::telemetry::metrics::{Description, Exposition, Family, Kind};

/// Metrics of one filter; what is defined past them counts in one that is called `other`.
pub const METERS_MAX: usize = 1000;
/// Bytes of one name.
pub const NAME_BYTES_MAX: usize = 256;
const PREFIX: &str = "wasmcustom_";

/// Those of one filter, whose next version goes on with them.
#[derive(Debug, Default)]
pub struct Meters {
    all: RwLock<Vec<Arc<Meter>>>,
}

/// Which metric has which name on the page, over all filters: a base and a kind.
static TAKEN: Mutex<Option<HashMap<String, (String, Kind)>>> = Mutex::new(None);

#[derive(Debug)]
struct Meter {
    /// As the guest calls it.
    name: String,
    kind: Kind,
    /// As scrapers see it.
    shown: Arc<str>,
    value: AtomicI64,
    histogram: Option<Family>,
}

impl Meters {
    /// The number of a metric, which is the same for all names that read the same on the page.
    fn define(&self, name: &str, kind: Kind) -> u32 {
        let find = |all: &[Arc<Meter>], name: &str| all.iter().position(|meter| meter.name == name && meter.kind == kind);
        if let Some(known) = find(&self.all.read().unwrap_or_else(PoisonError::into_inner), name) {
            return number(known);
        }
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let name = if all.len() < METERS_MAX { name } else { "other" };
        if let Some(known) = find(&all, name) {
            return number(known);
        }
        let shown = shown(name, kind);
        if let Some(known) = all.iter().position(|meter| meter.kind == kind && base(&meter.shown, kind) == base(&shown, kind)) {
            return number(known);
        }
        let shown: Arc<str> = shown.into();
        let histogram = (kind == Kind::Histogram).then(|| {
            let help = "A metric of a filter made for proxy-wasm.".into();
            Family::new(Description { name: Arc::clone(&shown), help, kind, labels: [].into() }, 1)
        });
        all.push(Arc::new(Meter { name: name.to_owned(), kind, shown, value: AtomicI64::new(0), histogram }));
        number(all.len() - 1)
    }

    fn get(&self, id: u32) -> Option<Arc<Meter>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(usize::try_from(id).ok()?.checked_sub(1)?).cloned()
    }

    /// Each with the name of the filter.
    pub fn render(&self, filter: &str, exposition: &mut Exposition) {
        let all: Vec<_> = self.all.read().unwrap_or_else(PoisonError::into_inner).clone();
        for meter in all {
            match &meter.histogram {
                Some(family) => family.render(exposition, &[("filter", filter)]),
                None => {
                    let mut lines = exposition.metric(&meter.shown, "A metric of a filter made for proxy-wasm.", meter.kind);
                    lines.sample("", &[("filter", filter)], None, meter.value.load(Ordering::Relaxed) as f64);
                }
            }
        }
    }
}

fn number(position: usize) -> u32 {
    u32::try_from(position + 1).unwrap_or(u32::MAX)
}

/// The name that a metric has in both formats of the page: counters end in `_total` in one of them, whatever they are called.
fn base(shown: &str, kind: Kind) -> &str {
    if kind == Kind::Counter { shown.strip_suffix("_total").unwrap_or(shown) } else { shown }
}

/// What scrapers take for a name. One whose series would have the names of another metric's is told apart.
fn shown(name: &str, kind: Kind) -> String {
    let letter = |found: char| if found.is_ascii_alphanumeric() || found == '_' || found == ':' { found } else { '_' };
    let mut shown = format!("{PREFIX}{}", name.chars().map(letter).collect::<String>());
    let series: &[&str] = match kind {
        Kind::Counter => &["", "_total"],
        Kind::Gauge => &[""],
        Kind::Histogram => &["", "_bucket", "_count", "_sum"],
    };
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    loop {
        let base = base(&shown, kind);
        let mut names = series.iter().map(|end| format!("{base}{end}"));
        if names.clone().all(|name| taken.get(&name).is_none_or(|(known, its)| known == base && *its == kind)) {
            names.by_ref().for_each(|name| drop(taken.insert(name, (base.to_owned(), kind))));
            return shown;
        }
        drop(names);
        shown = format!("{base}_{}", kind.name());
    }
}

/// `proxy_define_metric`
pub fn define(call: &mut Call<'_>, kind: u32, name: (u32, u32), to: u32) -> wasmtime::Result<Status> {
    let kind = match kind {
        0 => Kind::Counter,
        1 => Kind::Gauge,
        2 => Kind::Histogram,
        _ => return Ok(Status::BadArgument),
    };
    let name = memory::text(call, name.0, name.1)?;
    let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
    let id = call.data().identity.meters.define(name, kind);
    memory::put_u32(call, to, id)?;
    Ok(Status::Ok)
}

/// `proxy_increment_metric`
pub fn increment(call: &Call<'_>, id: u32, by: i64) -> Status {
    let Some(meter) = call.data().identity.meters.get(id) else { return Status::NotFound };
    match meter.kind {
        Kind::Histogram => return Status::BadArgument,
        Kind::Counter if by <= 0 => return Status::BadArgument,
        _ => meter.value.fetch_add(by, Ordering::Relaxed),
    };
    Status::Ok
}

/// `proxy_record_metric`
pub fn record(call: &Call<'_>, id: u32, value: i64) -> Status {
    let Some(meter) = call.data().identity.meters.get(id) else { return Status::NotFound };
    match (&meter.histogram, meter.kind) {
        // Whatever it is, it is a number.
        (Some(family), _) => drop(family.observe::<&str>(&[], value as f64)),
        (None, Kind::Counter) => drop(meter.value.fetch_add(value.max(0), Ordering::Relaxed)),
        (None, _) => meter.value.store(value, Ordering::Relaxed),
    }
    Status::Ok
}

/// `proxy_get_metric`
pub fn get(call: &mut Call<'_>, id: u32, to: u32) -> wasmtime::Result<Status> {
    let Some(meter) = call.data().identity.meters.get(id) else { return Ok(Status::NotFound) };
    if meter.histogram.is_some() {
        return Ok(Status::BadArgument);
    }
    memory::put_u64(call, to, meter.value.load(Ordering::Relaxed).cast_unsigned())?;
    Ok(Status::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Format;

    #[test]
    fn one_name_is_one_metric_and_is_shown_with_the_filter() {
        let meters = Meters::default();
        let hits = meters.define("test.hits;a=b", Kind::Counter);
        assert_eq!(meters.define("test.hits;a=b", Kind::Counter), hits);
        assert_ne!(meters.define("test.hits;a=b", Kind::Gauge), hits);
        meters.get(hits).expect("it is there").value.store(3, Ordering::Relaxed);
        let mut exposition = Exposition::default();
        meters.render("f", &mut exposition);
        let page = exposition.finish();
        assert!(page.contains("wasmcustom_test_hits_a_b{filter=\"f\"} 3\n"), "{page}");
        assert!(page.contains("wasmcustom_test_hits_a_b_gauge{filter=\"f\"} 0\n"), "{page}");
        assert!(meters.get(0).is_none() && meters.get(99).is_none());
    }

    fn page(filters: &[(&str, &Meters)], format: Format) -> Vec<String> {
        let mut exposition = Exposition::new(format);
        filters.iter().for_each(|(filter, meters)| meters.render(filter, &mut exposition));
        exposition.finish().lines().map(|line| line.rsplit_once(' ').expect("a value").0.to_owned()).collect()
    }

    #[test]
    fn names_that_read_the_same_are_one_series_and_others_are_told_apart() {
        let (one, other) = (Meters::default(), Meters::default());
        let same = one.define("test.same.name", Kind::Counter);
        for name in ["test_same_name", "test-same_name", "test.same.name.total"] {
            assert_eq!(one.define(name, Kind::Counter), same, "{name}");
        }
        one.define("test.histogram", Kind::Histogram);
        for name in ["test.histogram.count", "test.histogram.total", "test.histogram"] {
            for meters in [&one, &other] {
                meters.define(name, Kind::Counter);
                meters.define(name, Kind::Gauge);
            }
        }
        one.define("test.gauge.total", Kind::Gauge);
        other.define("test.gauge", Kind::Counter);
        for format in [Format::Text, Format::OpenMetrics] {
            let page = page(&[("one", &one), ("other", &other)], format);
            let (types, series): (Vec<_>, Vec<_>) = page.iter().partition(|line| line.starts_with('#'));
            for mut lines in [types, series] {
                let all = lines.len();
                lines.sort_unstable();
                lines.dedup();
                assert_eq!(lines.len(), all, "{page:#?}");
            }
        }
    }

    #[test]
    fn what_is_too_many_counts_as_other() {
        let meters = Meters::default();
        for number in 0..METERS_MAX {
            meters.define(&format!("test_many_{number}"), Kind::Counter);
        }
        let other = meters.define("test_one_more", Kind::Counter);
        assert_eq!(meters.define("test_yet_another", Kind::Counter), other);
    }
}
