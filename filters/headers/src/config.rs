//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use matching::change::Fields;
use tamis_sdk::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub request: Fields,
    #[serde(default)]
    pub response: Fields,
}
