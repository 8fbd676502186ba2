//! The filters that one exchange goes through: those of its listener, then those of each chain that was appended. Nothing is ever
//! taken out or moved, so that a walk borrows what it goes through.

use std::cell::OnceCell;
use std::sync::Arc;

use super::super::Filter;

/// See the module.
#[derive(Debug)]
pub struct Filters {
    first: Arc<[Arc<Filter>]>,
    more: OnceCell<Box<Filters>>,
}

impl Filters {
    pub fn new(filters: Arc<[Arc<Filter>]>) -> Self {
        Self { first: dealt(filters), more: OnceCell::new() }
    }

    pub fn append(&self, more: Arc<[Arc<Filter>]>) {
        let mut last = self;
        while let Some(next) = last.more.get() {
            last = next;
        }
        last.more.get_or_init(|| Box::new(Self::new(more)));
    }

    pub fn get(&self, index: usize) -> Option<&Arc<Filter>> {
        match self.first.get(index) {
            Some(filter) => Some(filter),
            None => self.more.get()?.get(index - self.first.len()),
        }
    }

    pub fn len(&self) -> usize {
        self.first.len() + self.more.get().map_or(0, |more| more.len())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Filter>> {
        (0..).map_while(|index| self.get(index))
    }
}

/// In its share of the exchanges a canary takes the place of the filter it is of.
fn dealt(filters: Arc<[Arc<Filter>]>) -> Arc<[Arc<Filter>]> {
    if filters.iter().all(|filter| filter.canary().is_none()) {
        return filters;
    }
    let deal = |filter: &Arc<Filter>| match filter.canary() {
        Some((canary, percent)) if fastrand::u32(..100) < percent => Arc::clone(canary),
        _ => Arc::clone(filter),
    };
    filters.iter().map(deal).collect()
}

/// Whether one of them has a complete hook.
pub fn completes<'a>(filters: impl IntoIterator<Item = &'a Arc<Filter>>) -> bool {
    filters.into_iter().any(|filter| filter.wants(super::Hook::Complete))
}
