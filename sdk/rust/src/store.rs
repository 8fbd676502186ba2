//! Small state that every instance of the filter shares, or a whole fleet where the store's backend is remote.
//!
//! ```no_run
//! # use std::time::Duration;
//! use tamis_sdk::store::Store;
//!
//! const SESSIONS: Store = Store::named("sessions");
//!
//! fn visits(user: &str) -> i64 {
//!     SESSIONS.increment(&format!("visits:{user}"), 1, Some(Duration::from_secs(86_400))).unwrap_or_default()
//! }
//! ```

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::{host, ms};

/// A store of the proxy's configuration, which the filter's `allow` table must grant. Calls wait where its backend is remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    name: Cow<'static, str>,
}

impl Store {
    /// The store of that name in the configuration. Whether there is one turns out when it is used.
    pub const fn named(name: &'static str) -> Self {
        Store { name: Cow::Borrowed(name) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value; `None` if there is no such key, or no longer.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(host::store::get(&self.name, key)?)
    }

    /// Without a time to live, the value stays until it is deleted or pushed out by newer ones.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<(), Error> {
        Ok(host::store::set(&self.name, key, value.as_ref(), ttl.map(ms::long))?)
    }

    /// Writes only if the present value is `expected` (`None`: if there is none); false if it is not.
    pub fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Result<bool, Error> {
        Ok(host::store::compare_and_set(&self.name, key, expected, value.as_ref(), ttl.map(ms::long))?)
    }

    /// No error if there is no such key.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(host::store::delete(&self.name, key)?)
    }

    /// Adds to a number that begins at zero, and returns the sum. The time to live is that of the first call.
    pub fn increment(&self, key: &str, by: i64, ttl: Option<Duration>) -> Result<i64, Error> {
        Ok(host::store::increment(&self.name, key, by, ttl.map(ms::long))?)
    }
}

impl From<String> for Store {
    /// A store whose name comes from the filter's configuration.
    fn from(name: String) -> Self {
        Store { name: Cow::Owned(name) }
    }
}

/// Why a store did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The filter's `allow` table does not grant the store, or there is none of that name.
    NotAllowed,
    /// The backend does not answer.
    Unavailable,
    /// Key or value is longer than the store allows.
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NotAllowed => "the store is not there, or `allow` does not grant it",
            Error::Unavailable => "the store does not answer",
            Error::TooLarge => "key or value is longer than the store allows",
        })
    }
}

impl std::error::Error for Error {}

impl From<host::store::Error> for Error {
    fn from(error: host::store::Error) -> Self {
        match error {
            host::store::Error::NotAllowed => Error::NotAllowed,
            host::store::Error::Unavailable => Error::Unavailable,
            host::store::Error::TooLarge => Error::TooLarge,
        }
    }
}
