//! Who was seen and what they used, in a store: a number for each client, and one list of all names, which changes by
//! compare-and-set, because every worker of every proxy may want to at once.

use std::time::Duration;

use tamis_sdk::store::{Error, Store};

/// How often somebody else may be quicker; after that, the next exchange tries again.
const TRIES_MAX: usize = 8;

const NAMES: &str = "clients";

#[derive(Debug)]
pub struct Clients {
    store: Store,
    /// A client is forgotten so long after it was first seen.
    lifetime: Duration,
    most: usize,
}

/// What a client used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    pub requests: i64,
    pub bytes: i64,
}

impl Clients {
    pub fn new(store: Store, lifetime: Duration, most: usize) -> Self {
        Clients { store, lifetime, most }
    }

    /// One more request, and its bytes. Past the limit of clients, `other` stands for those that come after.
    pub fn count(&self, client: &str, bytes: u64) -> Result<(), Error> {
        let client = if self.is_known(client)? { client } else { "other" };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.store.increment(&requests_of(client), 1, Some(self.lifetime))?;
        self.store.increment(&bytes_of(client), bytes, Some(self.lifetime))?;
        Ok(())
    }

    /// Each known client; without a total if its time is over.
    pub fn totals(&self) -> Result<Vec<(String, Option<Total>)>, Error> {
        let number =
            |key: String| Ok::<_, Error>(self.store.get(&key)?.and_then(|digits| str::from_utf8(&digits).ok()?.parse().ok()));
        let (_, mut names) = self.names()?;
        names.push("other".to_owned());
        let mut totals = Vec::with_capacity(names.len());
        for name in names {
            let requests: Option<i64> = number(requests_of(&name))?;
            let bytes = number(bytes_of(&name))?.unwrap_or(0);
            let total = requests.map(|requests| Total { requests, bytes });
            if name != "other" || total.is_some() {
                totals.push((name, total));
            }
        }
        Ok(totals)
    }

    /// Takes names off the list.
    pub fn forget(&self, gone: &[&str]) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        self.change(|names| {
            names.retain(|name| !gone.contains(&name.as_str()));
            true
        })?;
        Ok(())
    }

    /// Whether the client is on the list, on which it is put if there is room.
    fn is_known(&self, client: &str) -> Result<bool, Error> {
        // It has been counted already: the list need not be read.
        if self.store.get(&requests_of(client))?.is_some() {
            return Ok(true);
        }
        self.change(|names| {
            let known = names.iter().any(|name| name == client);
            if !known && names.len() < self.most {
                names.push(client.to_owned());
            }
            known || names.last().is_some_and(|last| last == client)
        })
    }

    /// Changes the list, and begins again if somebody else has changed it meanwhile.
    fn change(&self, change: impl Fn(&mut Vec<String>) -> bool) -> Result<bool, Error> {
        for _ in 0..TRIES_MAX {
            let (present, mut names) = self.names()?;
            let before = names.len();
            let result = change(&mut names);
            if names.len() == before || self.store.compare_and_set(NAMES, present.as_deref(), names.join("\n"), None)? {
                return Ok(result);
            }
        }
        Ok(false)
    }

    /// The list as it is stored, and as names.
    fn names(&self) -> Result<(Option<Vec<u8>>, Vec<String>), Error> {
        let stored = self.store.get(NAMES)?;
        let text = stored.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let names = text.lines().map(str::to_owned).collect();
        Ok((stored, names))
    }
}

fn requests_of(client: &str) -> String {
    format!("requests:{client}")
}

fn bytes_of(client: &str) -> String {
    format!("bytes:{client}")
}
