//! Instances that keep state between the hooks of one exchange: each is there for one hook at a time, and goes back to its pool
//! when the exchange is over.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;

use super::super::Filter;
use super::super::pool::Lent;

/// Those of one exchange.
#[derive(Debug, Default)]
pub struct Instances(RefCell<Vec<Held>>);

#[derive(Debug)]
struct Held {
    filter: u64,
    /// None while a hook runs in it.
    instance: Option<Lent>,
    freed: Rc<Notify>,
}

impl Instances {
    /// The one of this filter, if there is one yet, once no other hook runs in it.
    pub async fn take(&self, filter: &Filter) -> (Place<'_>, Option<Lent>) {
        loop {
            let freed = {
                let mut all = self.0.borrow_mut();
                match all.iter_mut().find(|held| held.filter == filter.id) {
                    None => {
                        all.push(Held { filter: filter.id, instance: None, freed: Rc::default() });
                        return (Place { instances: self, filter: filter.id }, None);
                    }
                    Some(held) => match held.instance.take() {
                        Some(lent) => return (Place { instances: self, filter: filter.id }, Some(lent)),
                        None => Rc::clone(&held.freed),
                    },
                }
            };
            freed.notified().await;
        }
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        // Nearly always there is none.
        if !self.0.get_mut().is_empty() {
            self.0.take().into_iter().filter_map(|held| held.instance).for_each(Lent::give_back);
        }
    }
}

/// Where an instance goes after a hook. Dropped without one, the next hook gets a new one.
pub struct Place<'a> {
    instances: &'a Instances,
    filter: u64,
}

impl Place<'_> {
    pub fn put(&mut self, lent: Lent) {
        if let Some(held) = self.instances.0.borrow_mut().iter_mut().find(|held| held.filter == self.filter) {
            held.instance = Some(lent);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.instances.0.borrow_mut();
        if let Some(position) = all.iter().position(|held| held.filter == self.filter) {
            all[position].freed.notify_waiters();
            if all[position].instance.is_none() {
                all.swap_remove(position);
            }
        }
    }
}
