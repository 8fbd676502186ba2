//! How many downstream connections there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts connections against the limits of the listener and of the process.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    process: Arc<AtomicUsize>,
    listener: Arc<AtomicUsize>,
}

/// One connection's place under the limits.
#[derive(Debug)]
pub struct Permit(Gate);

impl Gate {
    /// A gate for another listener of the same process.
    pub fn sibling(&self) -> Self {
        Self { process: Arc::clone(&self.process), listener: Arc::default() }
    }

    /// `None`: one of the limits is reached.
    pub fn enter(&self, process_max: usize, listener_max: usize) -> Option<Permit> {
        let process = self.process.fetch_add(1, Ordering::Relaxed);
        let listener = self.listener.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self.clone());
        (process < process_max && listener < listener_max).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.process.fetch_sub(1, Ordering::Relaxed);
        self.0.listener.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_count_and_a_leaving_connection_makes_room() {
        let gate = Gate::default();
        let first = gate.enter(2, 1).expect("room");
        assert!(gate.enter(2, 1).is_none());
        let other = gate.sibling();
        let second = other.enter(2, 1).expect("room at another listener");
        assert!(other.enter(2, 9).is_none());
        drop((first, second));
        assert!(gate.enter(1, 1).is_some());
    }
}
