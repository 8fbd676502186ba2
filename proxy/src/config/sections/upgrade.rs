//! The keys of `[upgrade]`.

use crate::config::bounds::*;
use crate::config::kind::Time;
use crate::config::table::Table;
use crate::config::types::Upgrade;

pub fn upgrade(table: &mut Table<'_>) -> Upgrade {
    Upgrade {
        deadline: table.or(
            "deadline",
            &Time::within(DURATION_MIN, UPGRADE_DEADLINE_MAX),
            Upgrade::default().deadline,
            "How long the process that takes over may need until it is ready; past it, it is ended and nothing changes.",
        ),
    }
}
