//! A mistake in a configuration, all mistakes of one, and how they are shown. Finding them is done elsewhere.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::text::Text;

/// Mistakes that are shown at once; of more than these only the number is told.
pub const RENDERED_MAX: usize = 1000;

/// One mistake and where it is.
#[derive(Debug, Clone)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What was expected and what was found, in one line.
    pub message: String,
    /// What may be meant, or what else would do.
    pub help: Option<String>,
    /// The offending bytes of the file; `None` when the file as a whole is meant.
    pub span: Option<Range<usize>>,
    /// The filter that is to blame, where one is.
    pub filter: Option<Arc<str>>,
    text: Arc<Text>,
}

impl Problem {
    pub(super) fn new(text: &Arc<Text>, span: Range<usize>, message: impl Into<String>) -> Self {
        let (line, column) = text.position(span.start);
        Self { line, column, message: message.into(), help: None, span: Some(span), filter: None, text: Arc::clone(text) }
    }

    /// A mistake of the file as a whole.
    pub(super) fn of_file(text: &Arc<Text>, message: impl Into<String>) -> Self {
        Self { line: 1, column: 1, message: message.into(), help: None, span: None, filter: None, text: Arc::clone(text) }
    }

    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn of_filter(mut self, filter: &str) -> Self {
        self.filter = Some(filter.into());
        self
    }

    pub fn file(&self) -> &Path {
        self.text.file()
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file().to_string_lossy(),
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "help": self.help,
        })
    }

    /// The mistake with its line of the file and the offending part underlined, without a newline at the end.
    pub fn render(&self, colour: bool) -> String {
        self.render_as(&Level::ERROR, colour)
    }

    /// The same of what is no mistake.
    pub fn render_note(&self, colour: bool) -> String {
        self.render_as(&Level::NOTE, colour)
    }

    fn render_as(&self, level: &Level<'_>, colour: bool) -> String {
        let file = self.file().to_string_lossy();
        let (line, start) = self.text.line(self.line);
        let mut group = Group::with_title(level.clone().primary_title(self.message.as_str()));
        group = match &self.span {
            Some(span) => {
                // Only the first line of what is wrong is shown: the rest of a long table says nothing more.
                let from = span.start.clamp(start, start + line.len()) - start;
                let to = span.end.clamp(start + from, start + line.len()) - start;
                let annotation = AnnotationKind::Primary.span(from..to);
                group.element(Snippet::source(line).path(file.as_ref()).line_start(self.line).annotation(annotation))
            }
            None => group.element(Origin::path(file.as_ref())),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }

    fn sort_key(&self) -> (&Path, usize, usize) {
        (self.file(), self.line, self.column)
    }
}

/// One line: file, line, column, what is wrong. Fit for a log.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file().display())?;
        if self.span.is_some() {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// Every mistake of a configuration, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Adds one where it belongs.
    pub fn push(&mut self, problem: Problem) {
        let at = self.0.partition_point(|known| known.sort_key() <= problem.sort_key());
        self.0.insert(at, problem);
    }

    pub fn merge(&mut self, others: Self) {
        self.0.extend(others.0);
        self.0.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    }

    /// All of them, each with the offending text underlined, an empty line between two.
    pub fn render(&self, colour: bool) -> String {
        let mut shown: Vec<String> = self.0.iter().take(RENDERED_MAX).map(|problem| problem.render(colour)).collect();
        if self.0.len() > RENDERED_MAX {
            shown.push(format!("and {} more", self.0.len() - RENDERED_MAX));
        }
        shown.join("\n\n")
    }

    /// An array of objects with `file`, `line`, `column`, `message` and `help`.
    pub fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(Problem::to_json).collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

impl From<Vec<Problem>> for Problems {
    fn from(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        Self(problems)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Extend<Problem> for Problems {
    fn extend<T: IntoIterator<Item = Problem>>(&mut self, problems: T) {
        self.merge(Self(problems.into_iter().collect()));
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<T: IntoIterator<Item = Problem>>(problems: T) -> Self {
        problems.into_iter().collect::<Vec<_>>().into()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
