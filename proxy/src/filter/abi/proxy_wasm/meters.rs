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

/// Which names are taken by which kind, over all filters.
static KINDS: Mutex<Option<HashMap<String, Kind>>> = Mutex::new(None);

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
    /// The number of a metric, which is the same for all who name it so.
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
        let shown: Arc<str> = shown(name, kind).into();
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

/// What scrapers take for a name. One of another kind with the same name is told apart.
fn shown(name: &str, kind: Kind) -> String {
    let letter = |found: char| if found.is_ascii_alphanumeric() || found == '_' || found == ':' { found } else { '_' };
    let mut shown = format!("{PREFIX}{}", name.chars().map(letter).collect::<String>());
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    let kinds = kinds.get_or_insert_default();
    while kinds.get(&shown).is_some_and(|known| *known != kind) {
        shown.push('_');
        shown.push_str(kind.name());
    }
    kinds.insert(shown.clone(), kind);
    shown
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
