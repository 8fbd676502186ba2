//! A worker's instances of each filter: taken for a hook, given back after it, thrown away when they fail or are worn.
//!
//! A filter's `instances-max` is shared out evenly among the workers, so that nothing here crosses a thread. Who finds
//! every instance busy waits for one in order, and no longer than `instances-wait`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::abi::Instance;
use super::{ConfigureError, Fault, Filter};
use crate::config::{self, Isolation};

/// Idle instances a worker keeps of one filter. Hooks that do not wait need one.
pub const IDLE_MAX: usize = 16;

/// How long an instance may be idle: what a burst has needed is there for the next filter's.
pub const IDLE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const TEND: Duration = Duration::from_secs(10);
/// Looks after which an idle instance goes.
const LOOKS_MAX: u64 = IDLE.as_secs() / TEND.as_secs();

thread_local! {
    /// How often it was looked at: as good as the time for saying how long something has been idle, and read for nothing.
    static LOOKS: Cell<u64> = const { Cell::new(0) };
    /// The filters that may be kept; `None` before the first sweep.
    static KEPT: RefCell<Option<Arc<BTreeSet<u64>>>> = const { RefCell::new(None) };
    static POOLS: RefCell<Numbered<u64, Rc<Pool>>> = RefCell::default();
}

/// A table by numbers that are counted up.
pub type Numbered<N, T> = HashMap<N, T, BuildHasherDefault<Number>>;

/// Each of them is as good a hash as any.
#[derive(Debug, Default)]
pub struct Number(u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        // The table looks at the top bits as well.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The instances of one filter on this worker.
#[derive(Debug)]
struct Pool {
    /// The one that was used last is taken first, so that those that nobody needs are at the front.
    idle: RefCell<VecDeque<(Box<Instance>, u64)>>,
    busy: Cell<usize>,
    waiting: Cell<usize>,
    freed: Notify,
    /// Its filter may keep instances.
    is_kept: Cell<bool>,
    /// What is asked of each instance that is given back, so that whoever has one need not hold the filter as well, whose count the
    /// workers share.
    config: Arc<config::Filter>,
}

/// An instance at work. Dropped without [`Lent::give_back`], it is thrown away.
#[derive(Debug)]
pub struct Lent {
    pool: Rc<Pool>,
    instance: Option<Box<Instance>>,
    /// How long it took to have it, where that took any time.
    pub waited: Duration,
}

/// How many instances a worker has of a filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub busy: usize,
    pub idle: usize,
    pub waiting: usize,
}

/// An idle instance, where nobody waits for one.
pub fn take_idle(filter: &Filter) -> Option<Lent> {
    let pool = of(filter);
    if pool.busy.get() >= filter.instances_a_worker || pool.waiting.get() > 0 {
        return None;
    }
    let (instance, _) = pool.idle.borrow_mut().pop_back()?;
    pool.busy.set(pool.busy.get() + 1);
    Some(Lent { pool, instance: Some(instance), waited: Duration::ZERO })
}

/// An idle instance, or a new one; waits where there are as many as there may be.
pub async fn take(filter: &Filter) -> Result<Lent, Fault> {
    let pool = of(filter);
    let share = filter.instances_a_worker;
    let mut waited = Duration::ZERO;
    if pool.busy.get() >= share || pool.waiting.get() > 0 {
        let began = Instant::now();
        pool.wait(filter, share).await?;
        waited = began.elapsed();
    }
    pool.busy.set(pool.busy.get() + 1);
    let mut lent = Lent { pool, instance: None, waited };
    lent.instance = lent.pool.idle.borrow_mut().pop_back().map(|(instance, _)| instance);
    if lent.instance.is_none() {
        lent.instance = Some(match filter.spare() {
            Some(instance) => Box::new(instance),
            // Boxed: making one is rare, and each exchange would have to have room for it.
            None => {
                let began = Instant::now();
                let made = Box::pin(new(filter)).await?;
                lent.waited += began.elapsed();
                Box::new(made)
            }
        });
    }
    Ok(lent)
}

/// Where all places of the process are taken, what lies idle on this worker makes way.
async fn new(filter: &Filter) -> Result<Instance, Fault> {
    let made = match filter.instance().await {
        Err(ConfigureError::Fault(Fault::Instance(_))) => {
            expire(0);
            filter.instance().await
        }
        made => made,
    };
    made.map_err(|error| match error {
        ConfigureError::Fault(fault) => fault,
        ConfigureError::Refused(message) => Fault::Configure(message),
    })
}

fn of(filter: &Filter) -> Rc<Pool> {
    POOLS.with_borrow_mut(|pools| Rc::clone(pools.entry(filter.id).or_insert_with(|| Rc::new(Pool::new(filter)))))
}

impl Pool {
    fn new(filter: &Filter) -> Self {
        Self {
            idle: RefCell::default(),
            busy: Cell::new(0),
            waiting: Cell::new(0),
            freed: Notify::new(),
            is_kept: Cell::new(KEPT.with_borrow(|kept| kept.as_ref().is_none_or(|kept| kept.contains(&filter.id)))),
            config: Arc::clone(&filter.config),
        }
    }

    /// Waits until there is room for one more.
    async fn wait(&self, filter: &Filter, share: usize) -> Result<(), Fault> {
        struct Waiting<'a>(&'a Cell<usize>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.waiting.set(self.waiting.get() + 1);
        let (waiting, _counted) = (Waiting(&self.waiting), filter.identity.usage.wait());
        let room = async {
            loop {
                self.freed.notified().await;
                if self.busy.get() < share {
                    return;
                }
            }
        };
        let limit = filter.config.instances_wait;
        let in_time = tokio::time::timeout(limit, room).await;
        drop(waiting);
        in_time.map_err(|_| Fault::NoRoom { max: filter.config.instances_max, waited: limit })
    }
}

impl Lent {
    pub fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("an instance is there until it is given back")
    }

    /// Keeps the instance for another exchange, unless it is worn or its filter has left the configuration.
    pub fn give_back(mut self) {
        let Some(mut instance) = self.instance.take() else { return };
        let config = &self.pool.config;
        let fresh = config.isolation == Isolation::Fresh;
        if fresh || !self.pool.is_kept.get() || instance.is_worn(config.retire_after, config.retire_memory) {
            return;
        }
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() < IDLE_MAX {
            idle.push_back((instance, LOOKS.get()));
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.busy.set(self.pool.busy.get() - 1);
        if self.pool.waiting.get() > 0 {
            self.pool.freed.notify_one();
        }
    }
}

/// Lets go of instances that have been idle for too long, for as long as the worker lives.
pub async fn tend() {
    let mut interval = tokio::time::interval(TEND);
    loop {
        interval.tick().await;
        LOOKS.set(LOOKS.get() + 1);
        expire(LOOKS_MAX);
    }
}

/// Of those that have been idle for so many looks.
fn expire(looks: u64) {
    let now = LOOKS.get();
    let pools: Vec<_> = POOLS.with_borrow(|pools| pools.values().map(Rc::clone).collect());
    for pool in pools {
        while pool.idle.borrow().front().is_some_and(|(_, since)| now - since >= looks) {
            drop(pool.idle.borrow_mut().pop_front());
        }
    }
}

/// From now on only instances of these filters are kept.
pub fn sweep(keep: &Arc<BTreeSet<u64>>) {
    KEPT.set(Some(Arc::clone(keep)));
    let gone: Vec<_> = POOLS.with_borrow_mut(|pools| {
        let gone = pools.extract_if(|id, _| !keep.contains(id)).collect();
        // An exchange may have come before the word that its filter is kept.
        pools.values().for_each(|pool| pool.is_kept.set(true));
        gone
    });
    // Those at work hold their pool; what is idle in it goes now.
    for (_, pool) in &gone {
        pool.is_kept.set(false);
        pool.idle.take();
    }
}

/// How many instances this worker has of a filter.
pub fn count(id: u64) -> Count {
    POOLS.with_borrow(|pools| {
        pools.get(&id).map_or_else(Count::default, |pool| Count {
            busy: pool.busy.get(),
            idle: pool.idle.borrow().len(),
            waiting: pool.waiting.get(),
        })
    })
}
