//! By chance, in proportion to the weights: nothing to remember, and nothing that many proxies could do in step.

use super::{Members, Policy};

#[derive(Debug)]
pub struct Random;

impl Policy for Random {
    fn pick(&self, members: &Members) -> usize {
        members.weights.draw()
    }
}
