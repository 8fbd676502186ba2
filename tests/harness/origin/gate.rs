//! Where an origin waits until the scenario lets it go on, and the scenario until the origin has got there.

use std::sync::Arc;

use tokio::sync::Semaphore;

#[derive(Clone)]
pub struct Gate(Arc<Sides>);

struct Sides {
    arrived: Semaphore,
    opened: Semaphore,
}

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new(Sides { arrived: Semaphore::new(0), opened: Semaphore::new(0) }))
    }

    /// For the origin: says that it is here, and waits.
    pub async fn pass(&self) {
        self.0.arrived.add_permits(1);
        self.0.opened.acquire().await.expect("a gate is never closed").forget();
    }

    /// For the scenario: waits until one more has come to the gate.
    pub async fn arrived(&self) {
        self.0.arrived.acquire().await.expect("a gate is never closed").forget();
    }

    /// Lets one pass, now or later.
    pub fn open(&self) {
        self.0.opened.add_permits(1);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
