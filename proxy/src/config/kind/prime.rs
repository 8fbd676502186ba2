//! Prime numbers.

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// A prime number up to a bound.
pub struct Prime {
    max: usize,
}

impl Prime {
    pub const fn up_to(max: usize) -> Self {
        Self { max }
    }
}

impl Kind for Prime {
    type Value = usize;

    fn expected(&self) -> String {
        format!("a prime number up to {}", self.max)
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<usize> {
        let Value::Integer(number) = node.value else { return reader.mismatch(&self.expected(), node) };
        match usize::try_from(number) {
            Ok(value) if value <= self.max && is_prime(value) => Some(value),
            Ok(value) if value < self.max => {
                let next = (value..=self.max).find(|number| is_prime(*number));
                match next {
                    Some(next) => reader.mismatch_with_help(&self.expected(), node, format!("the next one is {next}")),
                    None => reader.mismatch(&self.expected(), node),
                }
            }
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &usize) -> String {
        value.to_string()
    }
}

fn is_prime(number: usize) -> bool {
    number >= 2 && (2_usize..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_told() {
        let primes: Vec<_> = (0..30).filter(|number| is_prime(*number)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && !is_prime(65_536) && is_prime(5_000_011));
    }
}
