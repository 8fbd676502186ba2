//! What the instances of a filter share, on all workers: data by key, and queues. Filters with the same `vm-id` share them too.
//!
//! It belongs to the process and goes with the last filter that uses it. A lock is held for a moment.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::memory::{self, Call};
use super::state::ROOT;
use super::status::Status;
use super::vm::Vm;
use crate::config::Mode;
use crate::filter::{Identity, Role};
use crate::worker;

/// What a key or an item costs besides its bytes.
const ENTRY_BYTES: usize = 64;
/// Queues of one scope.
const QUEUES_MAX: usize = 1000;

/// Who has it, by name.
static SCOPES: Mutex<BTreeMap<String, Weak<Scope>>> = Mutex::new(BTreeMap::new());
/// Every queue by its number, and the last number that was given.
static QUEUES: Mutex<(u32, BTreeMap<u32, Weak<Queue>>)> = Mutex::new((0, BTreeMap::new()));

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What filters of one name share.
#[derive(Debug)]
pub struct Scope {
    /// Bytes of all of it, and how many there may be.
    bytes: AtomicUsize,
    bytes_max: usize,
    data: Mutex<Data>,
    queues: Mutex<HashMap<String, Arc<Queue>>>,
}

#[derive(Debug, Default)]
struct Data {
    values: HashMap<Vec<u8>, (Bytes, u32)>,
    /// The last version that a value was given. Never zero.
    version: u32,
}

/// One queue, and who is told when something is in it.
#[derive(Debug)]
pub struct Queue {
    id: u32,
    scope: Weak<Scope>,
    items: Mutex<VecDeque<Bytes>>,
    /// The last one that registered it: a permit an item.
    consumer: Mutex<Option<Arc<Semaphore>>>,
}

impl Scope {
    /// That of a filter. What is only watched has its own.
    pub fn of(identity: &Identity) -> Arc<Self> {
        Self::named(&name(identity, &identity.config.proxy_wasm.vm_id), identity.config.proxy_wasm.shared_bytes)
    }

    fn named(name: &str, bytes_max: usize) -> Arc<Self> {
        let mut scopes = locked(&SCOPES);
        if let Some(known) = scopes.get(name).and_then(Weak::upgrade) {
            return known;
        }
        scopes.retain(|_, scope| scope.strong_count() > 0);
        let scope = Arc::new(Self { bytes: AtomicUsize::new(0), bytes_max, data: Mutex::default(), queues: Mutex::default() });
        scopes.insert(name.to_owned(), Arc::downgrade(&scope));
        scope
    }

    fn known(name: &str) -> Option<Arc<Self>> {
        locked(&SCOPES).get(name).and_then(Weak::upgrade)
    }

    /// Whether there is room for so many bytes in the place of others; they are counted then.
    fn claim(&self, bytes: usize, instead_of: usize) -> bool {
        let claimed = self.bytes.try_update(Ordering::Relaxed, Ordering::Relaxed, |all| {
            let all = (all - instead_of.min(all)).checked_add(bytes)?;
            (all <= self.bytes_max).then_some(all)
        });
        claimed.is_ok()
    }

    fn get(&self, key: &[u8]) -> Option<(Bytes, u32)> {
        locked(&self.data).values.get(key).cloned()
    }

    /// `version` zero: whatever is there.
    fn set(&self, key: Vec<u8>, value: Bytes, version: u32) -> Status {
        let mut data = locked(&self.data);
        let known = data.values.get(&key);
        if version != 0 && known.is_some_and(|(_, known)| *known != version) {
            return Status::CasMismatch;
        }
        let before = known.map_or(0, |(value, _)| key.len() + value.len() + ENTRY_BYTES);
        if !self.claim(key.len() + value.len() + ENTRY_BYTES, before) {
            return Status::InternalFailure;
        }
        data.version = data.version.wrapping_add(1).max(1);
        let version = data.version;
        data.values.insert(key, (value, version));
        Status::Ok
    }

    fn queue(self: &Arc<Self>, name: &str) -> Option<Arc<Queue>> {
        let mut queues = locked(&self.queues);
        if let Some(known) = queues.get(name) {
            return Some(Arc::clone(known));
        }
        if queues.len() >= QUEUES_MAX || !self.claim(name.len() + ENTRY_BYTES, 0) {
            return None;
        }
        let mut all = locked(&QUEUES);
        all.1.retain(|_, queue| queue.strong_count() > 0);
        all.0 = all.0.wrapping_add(1).max(1);
        let queue =
            Arc::new(Queue { id: all.0, scope: Arc::downgrade(self), items: Mutex::default(), consumer: Mutex::default() });
        all.1.insert(queue.id, Arc::downgrade(&queue));
        queues.insert(name.to_owned(), Arc::clone(&queue));
        Some(queue)
    }
}

fn name(identity: &Identity, vm_id: &str) -> String {
    let second = identity.name.split_once('@').map(|(_, role)| role);
    let watched = identity.config.mode == Mode::Observe || second == Some(Role::Observed.word());
    let namespace = if watched { "observed " } else { "" };
    if vm_id.is_empty() {
        // A canary shares what the version beside it has.
        let name = identity.name.split('@').next().unwrap_or_default();
        return format!("{namespace}filter {name}");
    }
    format!("{namespace}vm {vm_id}")
}

impl Queue {
    fn numbered(id: u32) -> Option<Arc<Self>> {
        locked(&QUEUES).1.get(&id).and_then(Weak::upgrade)
    }

    fn put(&self, item: Bytes) -> bool {
        let room = self.scope.upgrade().is_some_and(|scope| scope.claim(item.len() + ENTRY_BYTES, 0));
        if room {
            locked(&self.items).push_back(item);
            if let Some(consumer) = &*locked(&self.consumer) {
                consumer.add_permits(1);
            }
        }
        room
    }

    fn take(&self) -> Option<Bytes> {
        let item = locked(&self.items).pop_front()?;
        if let Some(scope) = self.scope.upgrade() {
            scope.claim(0, item.len() + ENTRY_BYTES);
        }
        Some(item)
    }
}

/// This instance hears of the queue from now on, and no other; of what is in it already as well.
pub fn follow(vm: &Rc<Vm>, id: u32) {
    let Some(queue) = Queue::numbered(id) else { return };
    // Whoever puts something in meanwhile finds this one: the place is held while it is counted what there is.
    let mut consumer = locked(&queue.consumer);
    let permits = Arc::new(Semaphore::new(locked(&queue.items).len()));
    let before = consumer.replace(Arc::clone(&permits));
    drop(consumer);
    if let Some(before) = before {
        before.close();
    }
    let vm = Rc::downgrade(vm);
    worker::spawn(async move {
        while let Ok(permit) = permits.acquire().await {
            permit.forget();
            let Some(vm) = vm.upgrade().filter(|vm| !vm.is_lost()) else { return };
            vm.deliver("proxy_on_queue_ready", |machine| machine.store_call(|callbacks| &callbacks.queue_ready, (ROOT, id), ()));
            drop(vm);
            tokio::task::yield_now().await;
        }
    });
}

/// `proxy_get_shared_data`
pub fn get(call: &mut Call<'_>, key: (u32, u32), to: u32, length_to: u32, version_to: u32) -> wasmtime::Result<Status> {
    let scope = Arc::clone(&call.data().shared);
    let Some((value, version)) = scope.get(memory::look(call, key.0, key.1)?) else { return Ok(Status::NotFound) };
    memory::give(call, &value, to, length_to)?;
    memory::put_u32(call, version_to, version)?;
    Ok(Status::Ok)
}

/// `proxy_set_shared_data`
pub fn set(call: &mut Call<'_>, key: (u32, u32), value: (u32, u32), version: u32) -> wasmtime::Result<Status> {
    let key = memory::copy(call, key.0, key.1)?;
    let value = Bytes::from(memory::copy(call, value.0, value.1)?);
    Ok(call.data().shared.set(key, value, version))
}

/// `proxy_register_shared_queue`
pub fn register(call: &mut Call<'_>, name: (u32, u32), to: u32) -> wasmtime::Result<Status> {
    let name = memory::text(call, name.0, name.1)?;
    let scope = Arc::clone(&call.data().shared);
    let Some(queue) = scope.queue(&name) else { return Ok(Status::InternalFailure) };
    let state = call.data_mut();
    state.queues.insert(queue.id);
    state.registered.push(queue.id);
    memory::put_u32(call, to, queue.id)?;
    Ok(Status::Ok)
}

/// `proxy_resolve_shared_queue`
pub fn resolve(call: &mut Call<'_>, vm_id: (u32, u32), queue: (u32, u32), to: u32) -> wasmtime::Result<Status> {
    let vm_id = memory::text(call, vm_id.0, vm_id.1)?;
    let queue = memory::text(call, queue.0, queue.1)?;
    let scope = match vm_id.is_empty() {
        true => Some(Arc::clone(&call.data().shared)),
        false => Scope::known(&name(&call.data().identity, &vm_id)),
    };
    let found = scope.and_then(|scope| locked(&scope.queues).get(&queue).map(|queue| queue.id));
    let Some(id) = found else { return Ok(Status::NotFound) };
    call.data_mut().queues.insert(id);
    memory::put_u32(call, to, id)?;
    Ok(Status::Ok)
}

/// One whose number the guest was told, not one that it made up.
fn numbered(call: &Call<'_>, id: u32) -> Option<Arc<Queue>> {
    call.data().queues.contains(&id).then(|| Queue::numbered(id)).flatten()
}

/// `proxy_enqueue_shared_queue`
pub fn put(call: &mut Call<'_>, id: u32, value: (u32, u32)) -> wasmtime::Result<Status> {
    let value = Bytes::from(memory::copy(call, value.0, value.1)?);
    let Some(queue) = numbered(call, id) else { return Ok(Status::NotFound) };
    Ok(if queue.put(value) { Status::Ok } else { Status::InternalFailure })
}

/// `proxy_dequeue_shared_queue`
pub fn take(call: &mut Call<'_>, id: u32, to: u32, length_to: u32) -> wasmtime::Result<Status> {
    let Some(queue) = numbered(call, id) else { return Ok(Status::NotFound) };
    let Some(item) = queue.take() else { return Ok(Status::Empty) };
    memory::give(call, &item, to, length_to)?;
    Ok(Status::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_changes_only_if_it_is_the_one_that_was_seen() {
        let scope = Scope::named("test versions", 1000);
        assert_eq!(scope.set(b"k".to_vec(), Bytes::from_static(b"1"), 7), Status::Ok, "there is none");
        let (_, first) = scope.get(b"k").expect("it is there");
        assert_ne!(first, 0);
        assert_eq!(scope.set(b"k".to_vec(), Bytes::from_static(b"2"), first), Status::Ok);
        assert_eq!(scope.set(b"k".to_vec(), Bytes::from_static(b"3"), first), Status::CasMismatch);
        assert_eq!(scope.set(b"k".to_vec(), Bytes::from_static(b"4"), 0), Status::Ok);
        assert_eq!(scope.get(b"k").expect("it is there").0, "4");
        assert!(Arc::ptr_eq(&scope, &Scope::named("test versions", 5)));
    }

    #[test]
    fn what_is_shared_is_bounded_and_what_is_taken_gives_room() {
        let scope = Scope::named("test bounds", 3 * ENTRY_BYTES);
        let queue = scope.queue("q").expect("there is room");
        assert_eq!(scope.queue("q").map(|queue| queue.id), Some(queue.id));
        assert!(queue.put(Bytes::from_static(b"item")));
        assert!(!queue.put(Bytes::from(vec![0; ENTRY_BYTES])));
        assert_eq!(scope.set(vec![0; ENTRY_BYTES], Bytes::new(), 0), Status::InternalFailure);
        assert_eq!(queue.take().as_deref(), Some(&b"item"[..]));
        assert_eq!(queue.take(), None);
        assert_eq!(scope.set(b"k".to_vec(), Bytes::new(), 0), Status::Ok);
    }
}
