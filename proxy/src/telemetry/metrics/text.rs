//! The text that scrapers read: Prometheus exposition format 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Kind;

/// Metrics in order of their names, the lines of each together, whoever they come from.
#[derive(Debug, Default)]
pub struct Exposition(BTreeMap<String, String>);

/// The lines of one metric.
pub struct Lines<'a> {
    name: &'a str,
    text: &'a mut String,
}

impl Exposition {
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Opens a metric, or goes on with it: the first words of help are the ones that are told.
    pub fn metric<'a>(&'a mut self, name: &'a str, help: &str, kind: Kind) -> Lines<'a> {
        let text = self.0.entry(name.to_owned()).or_insert_with(|| {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name())
        });
        Lines { name, text }
    }

    pub fn finish(self) -> String {
        self.0.into_values().collect()
    }
}

impl Lines<'_> {
    /// One line. `le` is the bound of a bucket.
    pub fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<f64>, value: f64) {
        let text = &mut *self.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let le = le.map(number);
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
}
