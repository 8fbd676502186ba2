//! What filters tell each other about an exchange.

use crate::host;

/// What filters tell each other about the exchange in hand; also found in access logs and traces.
#[derive(Debug)]
pub struct Notes(());

impl Notes {
    pub(crate) fn in_hand() -> Self {
        Notes(())
    }

    /// What this filter or one before it noted.
    pub fn get(&self, key: &str) -> Option<String> {
        host::notes::get(key)
    }

    /// Takes the place of an earlier value.
    pub fn set(&mut self, key: &str, value: &str) {
        host::notes::set(key, value);
    }
}
