//! Whole numbers within bounds.

use std::fmt::Display;

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// A whole number from `min` to `max`, both included, as a `T`.
pub struct Integer<T> {
    min: T,
    max: T,
    /// What 0 stands for, where it is more than a number.
    zero: Option<&'static str>,
}

impl<T> Integer<T> {
    pub const fn within(min: T, max: T) -> Self {
        Self { min, max, zero: None }
    }

    #[must_use]
    pub const fn zero_means(self, words: &'static str) -> Self
    where
        T: Copy,
    {
        Self { min: self.min, max: self.max, zero: Some(words) }
    }
}

impl<T: Copy + Display + TryFrom<i128> + PartialOrd> Kind for Integer<T> {
    type Value = T;

    fn expected(&self) -> String {
        let zero = self.zero.map(|words| format!(", 0 for {words}")).unwrap_or_default();
        format!("an integer from {} to {}{zero}", self.min, self.max)
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<T> {
        let Value::Integer(number) = node.value else { return reader.mismatch(&self.expected(), node) };
        match T::try_from(number) {
            Ok(value) if value >= self.min && value <= self.max => Some(value),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}
