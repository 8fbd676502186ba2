//! The access log of the proxy under test: lines of a file that can be awaited.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

const LOOK_EVERY: Duration = Duration::from_millis(5);

pub struct AccessLog {
    file: PathBuf,
}

impl AccessLog {
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Waits until there are `count` lines, and returns all there are. More than that many fail the scenario.
    pub async fn lines(&self, count: usize) -> Vec<Value> {
        loop {
            let lines = self.present();
            assert!(lines.len() <= count, "{count} lines were expected: {lines:#?}");
            if lines.len() == count {
                return lines;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for the one line.
    pub async fn line(&self) -> Value {
        self.lines(1).await.remove(0)
    }

    /// Waits for a line in which `field` is `value`.
    pub async fn line_where(&self, field: &str, value: &str) -> Value {
        loop {
            if let Some(line) = self.present().into_iter().find(|line| line[field] == value) {
                return line;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The whole lines so far, as they stand there.
    pub fn texts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().map(str::to_owned).collect()
    }

    /// Waits for the one line, whatever it looks like.
    pub async fn text(&self) -> String {
        loop {
            let mut lines = self.texts();
            assert!(lines.len() <= 1, "one line was expected: {lines:#?}");
            match lines.pop() {
                Some(line) => return line,
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// The whole lines so far.
    pub fn present(&self) -> Vec<Value> {
        self.texts()
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON in the access log, {error}: {line}")))
            .collect()
    }
}
