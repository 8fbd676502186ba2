//! The text of one configuration file, and where in it a byte is. It never knows what the text means.

use std::path::{Path, PathBuf};

/// A byte order mark that some editors write; no editor counts it as a column.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a file with the start of each of its lines.
#[derive(Debug)]
pub struct Text {
    file: PathBuf,
    /// Where relative paths in it start.
    folder: PathBuf,
    text: String,
    line_starts: Vec<usize>,
}

impl Text {
    pub fn new(file: &Path, text: String) -> Self {
        Self::placed(file, file.parent().unwrap_or(Path::new("")), text)
    }

    /// A text that came another way than by a file, and is called `name` where its mistakes are told.
    pub fn placed(name: &Path, folder: &Path, text: String) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: name.to_owned(), folder: folder.to_owned(), text, line_starts }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let before = self.text[start..offset].chars().filter(|c| *c != BYTE_ORDER_MARK).count();
        (line, before + 1)
    }

    /// A line without its end, and where it starts.
    pub fn line(&self, line: usize) -> (&str, usize) {
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let text = self.text[start..end].trim_end_matches('\r');
        match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => (rest, start + BYTE_ORDER_MARK.len_utf8()),
            None => (text, start),
        }
    }

    /// The nearest start of a character at or before a byte.
    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str, offset: usize) -> (usize, usize) {
        Text::new(Path::new("t"), text.to_owned()).position(offset)
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(position("é = 1", 3), (1, 3));
        assert_eq!(position("é = 1", 1), (1, 1), "inside a character is the character");
    }

    #[test]
    fn lines_end_with_a_newline_with_or_without_a_carriage_return() {
        assert_eq!(position("a\r\nb\nc", 3), (2, 1));
        assert_eq!(position("a\r\nb\nc", 5), (3, 1));
        assert_eq!(position("a\n", 2), (2, 1));
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("a", 99), (1, 2), "past the end is the end");
    }

    #[test]
    fn a_byte_order_mark_is_no_column() {
        assert_eq!(position("\u{feff}a = 1", 3), (1, 1));
        assert_eq!(Text::new(Path::new("t"), "\u{feff}a".to_owned()).line(1), ("a", 3));
    }
}
