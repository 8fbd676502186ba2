//! The text that scrapers read: the Prometheus exposition format 0.0.4, or OpenMetrics 1.0 for those who ask for it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Kind;

/// How the page is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    OpenMetrics,
}

impl Format {
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What a scraper wants, by its `accept`: OpenMetrics where it is liked no less than the other.
    pub fn wanted(accept: &str) -> Self {
        let weight = |wanted: &str| {
            let ranges = accept.split(',').map(|range| {
                let mut parts = range.split(';').map(str::trim);
                (parts.next().unwrap_or_default(), parts.find_map(|part| part.strip_prefix("q=")))
            });
            let weights = ranges
                .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, weight)| weight.map_or(Some(1.0), |weight| weight.parse::<f64>().ok()).unwrap_or(0.0));
            weights.fold(0.0, f64::max)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Format::OpenMetrics } else { Format::Text }
    }
}

/// Metrics in order of their names, the lines of each together, whoever they come from.
#[derive(Debug, Default)]
pub struct Exposition {
    format: Format,
    metrics: BTreeMap<String, String>,
}

/// The lines of one metric.
pub struct Lines<'a> {
    format: Format,
    name: &'a str,
    /// Of counters in OpenMetrics, whose names have it whatever they were declared as.
    total: &'static str,
    text: &'a mut String,
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        Self { format, metrics: BTreeMap::new() }
    }

    pub const fn format(&self) -> Format {
        self.format
    }

    /// Opens a metric, or goes on with it: the first words of help are the ones that are told.
    pub fn metric<'a>(&'a mut self, name: &'a str, help: &str, kind: Kind) -> Lines<'a> {
        let is_open = self.format == Format::OpenMetrics;
        let (name, total) = match kind {
            Kind::Counter if is_open => (name.strip_suffix("_total").unwrap_or(name), "_total"),
            _ => (name, ""),
        };
        let text = self.metrics.entry(name.to_owned()).or_insert_with(|| {
            let mut help = help.replace('\\', "\\\\").replace('\n', "\\n");
            if is_open {
                help = help.replace('"', "\\\"");
            }
            format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name())
        });
        Lines { format: self.format, name, total, text }
    }

    pub fn finish(self) -> String {
        let end = if self.format == Format::OpenMetrics { "# EOF\n" } else { "" };
        let mut page: String = self.metrics.into_values().collect();
        page.push_str(end);
        page
    }
}

impl Lines<'_> {
    /// One line. `le` is the bound of a bucket.
    pub fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<f64>, value: f64) {
        let text = &mut *self.text;
        text.push_str(self.name);
        text.push_str(self.total);
        text.push_str(suffix);
        let le = le.map(|le| match self.format {
            // As OpenMetrics wants bounds written.
            Format::OpenMetrics if le.is_finite() => format!("{le:?}"),
            _ => number(le),
        });
        let all = labels.iter().copied().chain(le.as_deref().map(|le| ("le", le)));
        let mut between = '{';
        for (label, value) in all {
            text.push(between);
            between = ',';
            text.push_str(label);
            text.push_str("=\"");
            for found in value.chars() {
                match found {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        if between == ',' {
            text.push('}');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, " {}", number(value));
    }
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_format_gives_a_meaning_is_escaped() {
        let mut exposition = Exposition::default();
        exposition.metric("b", "two\nlines \\ \"quoted\"", Kind::Counter).sample("", &[("path", "a\\b\"c\nd")], None, 1.0);
        exposition.metric("a", "first", Kind::Gauge).sample("", &[], None, f64::INFINITY);
        exposition.metric("b", "not told", Kind::Counter).sample("", &[("path", "")], None, 1.5);
        let expected = "# HELP a first\n# TYPE a gauge\na +Inf\n\
            # HELP b two\\nlines \\\\ \"quoted\"\n# TYPE b counter\nb{path=\"a\\\\b\\\"c\\nd\"} 1\nb{path=\"\"} 1.5\n";
        assert_eq!(exposition.finish(), expected);
    }

    #[test]
    fn open_metrics_has_names_without_and_samples_with_total() {
        let mut exposition = Exposition::new(Format::OpenMetrics);
        exposition.metric("a_total", "an \"a\"", Kind::Counter).sample("", &[("b", "c")], None, 1.0);
        exposition.metric("declared", "by a filter", Kind::Counter).sample("", &[], None, 2.0);
        exposition.metric("h", "help", Kind::Histogram).sample("_bucket", &[], Some(10.0), 3.0);
        exposition.metric("h", "help", Kind::Histogram).sample("_bucket", &[], Some(f64::INFINITY), 3.0);
        let expected = "# HELP a an \\\"a\\\"\n# TYPE a counter\na_total{b=\"c\"} 1\n\
            # HELP declared by a filter\n# TYPE declared counter\ndeclared_total 2\n\
            # HELP h help\n# TYPE h histogram\nh_bucket{le=\"10.0\"} 3\nh_bucket{le=\"+Inf\"} 3\n# EOF\n";
        assert_eq!(exposition.finish(), expected);
    }

    #[test]
    fn a_scraper_gets_what_it_likes_best() {
        for (accept, wanted) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html, application/xml;q=0.9, */*;q=0.8", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5", Format::Text),
            ("Application/OpenMetrics-Text; version=1.0.0; q=0.5, text/plain;version=0.0.4;q=0.3,*/*;q=0.2", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Text),
        ] {
            assert_eq!(Format::wanted(accept), wanted, "{accept}");
        }
    }
}
