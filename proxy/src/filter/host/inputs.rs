//! Inputs: files and resources that a filter's configuration names, as `configure` gets them.

use std::sync::Arc;

/// One input and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub name: Arc<str>,
    pub content: Arc<[u8]>,
}

/// All inputs of a filter, by name.
pub type Inputs = Arc<[Input]>;
