//! `metrics`: numbers of a filter's own, beside those of the proxy.
//!
//! [`Declarations`] are what `configure` says; [`Instruments`] are what hooks count in. A filter that is swapped for another
//! build of itself goes on counting where it was; what a filter counted goes when the filter leaves the configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::system;
use crate::filter::witness;
use crate::telemetry::metrics::{Description, Exposition, Family, Kind};

/// Metrics of one filter.
pub const METRICS_MAX: usize = 100;
/// Labels of one metric, the one with the filter's name aside.
pub const LABELS_MAX: usize = 10;
/// Series of one metric; past it every label reads `other`.
pub const SERIES_MAX: usize = 1000;
/// Bytes of the name of a metric or a label.
pub const NAME_BYTES_MAX: usize = 200;
/// Bytes of the words of help; the rest is cut off.
pub const HELP_BYTES_MAX: usize = 1000;
/// Between two warnings about what one filter gets wrong.
const WARNING_PAUSE_NS: u64 = 10_000_000_000;
/// The proxy's own names.
const OWN_PREFIX: &str = "tamis_";
/// The label that the host adds.
const FILTER_LABEL: &str = "filter";

/// What a filter declared, in order. Copies of one filter declare the same, so an id holds in each of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declarations(Vec<Description>);

/// Metrics of the filters beside one, each with the name of its filter.
#[derive(Debug, Clone, Default)]
pub struct Taken(Vec<(Arc<str>, Description)>);

impl Taken {
    /// Of filters of the same snapshot, the one that is being configured aside.
    pub fn by<'a>(filters: impl IntoIterator<Item = (&'a Arc<str>, &'a Declarations)>) -> Self {
        let each = |(filter, declarations): (&'a Arc<str>, &'a Declarations)| {
            declarations.0.iter().map(|description| (Arc::clone(filter), description.clone()))
        };
        Self(filters.into_iter().flat_map(each).collect())
    }
}

impl Declarations {
    /// `declare`: the id by which hooks name the metric. Two filters may share a name if they mean the same by it.
    pub fn declare(&mut self, taken: &Taken, name: &str, help: &str, kind: Kind, labels: &[String]) -> Result<u32, String> {
        if self.0.len() >= METRICS_MAX {
            return Err(format!("`{name}` is one metric too many, expected at most {METRICS_MAX}"));
        }
        check_name(name)?;
        check_labels(name, kind, labels)?;
        let description = Description {
            name: name.into(),
            help: help[..help.floor_char_boundary(HELP_BYTES_MAX)].into(),
            kind,
            labels: labels.iter().map(|label| Box::from(label.as_str())).collect(),
        };
        if let Some(other) = self.0.iter().find(|other| other.collides_with(&description)) {
            return Err(format!("`{name}` is taken by `{}`, which this filter declared before", other.name));
        }
        let collides =
            |(_, other): &&(Arc<str>, Description)| other.collides_with(&description) && !other.counts_like(&description);
        if let Some((filter, other)) = taken.0.iter().find(collides) {
            let labels = other.labels.join(", ");
            let kind = other.kind.name();
            return Err(format!(
                "`{name}` is taken by the {kind} `{}` of filter `{filter}`, whose labels are [{labels}]",
                other.name
            ));
        }
        self.0.push(description);
        Ok((self.0.len() - 1) as u32)
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Description> {
        self.0.iter()
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`, and none of the proxy's own.
fn check_name(name: &str) -> Result<(), String> {
    if name.starts_with(OWN_PREFIX) {
        return Err(format!("`{name}` is no name for a metric of a filter: `{OWN_PREFIX}` begins those of the proxy"));
    }
    if !is_name(name, b":") {
        return Err(format!("`{name}` is no valid name of a metric; expected letters, digits, `_` and `:`, no digit first"));
    }
    Ok(())
}

fn check_labels(metric: &str, kind: Kind, labels: &[String]) -> Result<(), String> {
    if labels.len() > LABELS_MAX {
        return Err(format!("`{metric}` has {} labels, expected at most {LABELS_MAX}", labels.len()));
    }
    for (place, label) in labels.iter().enumerate() {
        let reserved = label == FILTER_LABEL || label.starts_with("__") || kind == Kind::Histogram && label == "le";
        if reserved {
            return Err(format!("`{label}` is no name for a label of `{metric}`: it is reserved"));
        }
        if !is_name(label, b"") {
            return Err(format!("`{label}` is no valid name of a label; expected letters, digits and `_`, no digit first"));
        }
        if labels[..place].contains(label) {
            return Err(format!("`{metric}` has the label `{label}` twice"));
        }
    }
    Ok(())
}

fn is_name(name: &str, also: &[u8]) -> bool {
    let sound = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || also.contains(byte);
    name.len() <= NAME_BYTES_MAX
        && name.as_bytes().first().is_some_and(|first| !first.is_ascii_digit())
        && name.as_bytes().iter().all(sound)
}

/// What the hooks of a filter count in, by id.
#[derive(Debug, Default)]
pub struct Instruments {
    filter: Arc<str>,
    families: Vec<Family>,
    /// When the last warning was written, on the monotonic clock; 0: never.
    warned: AtomicU64,
}

impl Instruments {
    /// Goes on with the series of `previous`, the same filter in the snapshot before, where the declaration is the same.
    pub fn build(filter: &Arc<str>, declared: &Declarations, previous: Option<&Self>) -> Self {
        let family = |description: &Description| {
            let known = previous.map(|previous| &previous.families[..]).unwrap_or_default();
            match known.iter().find(|family| family.description().counts_like(description)) {
                Some(family) => family.again(description.clone()),
                None => Family::new(description.clone(), SERIES_MAX),
            }
        };
        let families = declared.0.iter().map(family).collect();
        Self { filter: Arc::clone(filter), families, warned: AtomicU64::new(0) }
    }

    /// `observe`: what cannot be counted is ignored, and the log says so now and then.
    pub fn observe<S: AsRef<str>>(&self, metric: u32, labels: &[S], value: f64) {
        match self.families.get(metric as usize) {
            Some(family) => {
                witness::effect("metrics", || {
                    let labels: Vec<_> = labels.iter().map(AsRef::as_ref).collect();
                    format!("{} {} [{}]: {value}", family.description().kind.name(), family.description().name, labels.join(", "))
                });
                if let Err(ignored) = family.observe(labels, value)
                    && self.may_warn()
                {
                    let metric = &*family.description().name;
                    tracing::warn!(filter = %self.filter, metric, %ignored, "a value of a metric is ignored");
                }
            }
            None if self.may_warn() => {
                let declared = self.families.len();
                tracing::warn!(filter = %self.filter, metric, declared, "a value of a metric that was not declared is ignored");
            }
            None => {}
        }
    }

    /// Each series with the name of the filter.
    pub fn render(&self, exposition: &mut Exposition) {
        self.families.iter().for_each(|family| family.render(exposition, &[(FILTER_LABEL, &self.filter)]));
    }

    fn may_warn(&self) -> bool {
        let now = system::monotonic_ns().max(1);
        let last = self.warned.load(Ordering::Relaxed);
        (last == 0 || now.saturating_sub(last) >= WARNING_PAUSE_NS)
            && self.warned.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declare(declarations: &mut Declarations, name: &str, kind: Kind, labels: &[&str]) -> Result<u32, String> {
        let labels: Vec<_> = labels.iter().map(|label| (*label).to_owned()).collect();
        declarations.declare(&Taken::default(), name, "help", kind, &labels)
    }

    fn page(instruments: &[&Instruments]) -> String {
        let mut exposition = Exposition::default();
        instruments.iter().for_each(|instruments| instruments.render(&mut exposition));
        exposition.finish()
    }

    #[test]
    fn ids_follow_the_order_and_bad_names_are_told() {
        let mut declared = Declarations::default();
        assert_eq!(declare(&mut declared, "hits_total", Kind::Counter, &["route"]), Ok(0));
        for (name, kind, labels) in [
            ("", Kind::Counter, &[][..]),
            ("7up", Kind::Counter, &[]),
            ("a-b", Kind::Counter, &[]),
            ("hits total", Kind::Counter, &[]),
            ("tamis_hits", Kind::Counter, &[]),
            ("é", Kind::Counter, &[]),
            ("hits_total", Kind::Counter, &["route"]),
            ("a", Kind::Counter, &["filter"]),
            ("a", Kind::Counter, &["__a"]),
            ("a", Kind::Counter, &["a:b"]),
            ("a", Kind::Counter, &["a", "a"]),
            ("a", Kind::Histogram, &["le"]),
            ("a", Kind::Counter, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]),
        ] {
            assert!(declare(&mut declared, name, kind, labels).is_err(), "{name} {labels:?}");
        }
        assert_eq!(declare(&mut declared, "size", Kind::Histogram, &[]), Ok(1));
        assert!(declare(&mut declared, "size_count", Kind::Gauge, &[]).is_err(), "the histogram writes that name");
        assert_eq!(declare(&mut declared, "a:b_9", Kind::Gauge, &["le"]), Ok(2));
    }

    #[test]
    fn two_filters_share_a_name_if_they_mean_the_same() {
        let mut first = Declarations::default();
        declare(&mut first, "hits", Kind::Counter, &["route"]).expect("a valid name");
        let name: Arc<str> = "first".into();
        let taken = Taken::by([(&name, &first)]);
        let mut second = Declarations::default();
        let refused = second.declare(&taken, "hits", "", Kind::Gauge, &["route".to_owned()]).expect_err("another kind");
        assert_eq!(refused, "`hits` is taken by the counter `hits` of filter `first`, whose labels are [route]");
        assert!(second.declare(&taken, "hits", "", Kind::Counter, &[]).is_err());
        assert!(second.declare(&taken, "hit", "", Kind::Histogram, &[]).is_ok());
        second.declare(&taken, "hits", "other words", Kind::Counter, &["route".to_owned()]).expect("the same");

        let instruments = [("first", &first, 0), ("second", &second, 1)].map(|(filter, declared, id)| {
            let instruments = Instruments::build(&filter.into(), declared, None);
            instruments.observe(id, &["a"], 2.0);
            instruments
        });
        let page = page(&[&instruments[0], &instruments[1]]);
        let expected = "# HELP hits help\n# TYPE hits counter\nhits{filter=\"first\",route=\"a\"} 2\nhits{filter=\"second\",route=\"a\"} 2\n";
        assert!(page.ends_with(expected), "{page}");
    }

    #[test]
    fn a_swap_goes_on_counting_what_is_declared_alike() {
        let filter: Arc<str> = "f".into();
        let mut old = Declarations::default();
        declare(&mut old, "hits", Kind::Counter, &[]).expect("valid");
        declare(&mut old, "load", Kind::Gauge, &[]).expect("valid");
        let old = Instruments::build(&filter, &old, None);
        old.observe(0, &[""; 0], 3.0);
        old.observe(1, &[""; 0], 3.0);
        let mut new = Declarations::default();
        declare(&mut new, "load", Kind::Counter, &[]).expect("valid");
        declare(&mut new, "hits", Kind::Counter, &[]).expect("valid");
        let new = Instruments::build(&filter, &new, Some(&old));
        new.observe(1, &[""; 0], 1.0);
        // An exchange that began before the swap.
        old.observe(0, &[""; 0], 1.0);
        new.observe(0, &[""; 0], 7.0);
        let expected = "# HELP hits help\n# TYPE hits counter\nhits{filter=\"f\"} 5\n# HELP load help\n# TYPE load counter\nload{filter=\"f\"} 7\n";
        assert_eq!(page(&[&new]), expected);
    }

    #[test]
    fn what_cannot_be_counted_warns_once_and_changes_nothing() {
        let mut declared = Declarations::default();
        declare(&mut declared, "hits", Kind::Counter, &["a"]).expect("valid");
        let instruments = Instruments::build(&"f".into(), &declared, None);
        assert!(instruments.may_warn());
        assert!(!instruments.may_warn());
        instruments.observe(7, &["x"], 1.0);
        instruments.observe(0, &["x", "y"], 1.0);
        instruments.observe(0, &["x"], f64::NAN);
        assert_eq!(page(&[&instruments]), "# HELP hits help\n# TYPE hits counter\n");
    }
}
