//! Answers with what its inputs were when it was configured: for each its length and a hash. Refuses an input that begins with
//! `bad`.

use std::collections::BTreeMap;

use serde_json::json;
use tamis_sdk::prelude::*;

struct Inputs {
    json: String,
}

impl Filter for Inputs {
    type Config = NoConfig;

    fn configure(_: NoConfig, setup: &mut Setup) -> Result<Self, ConfigError> {
        let mut seen = BTreeMap::new();
        for (name, content) in setup.inputs() {
            if content.starts_with(b"bad") {
                return Err(ConfigError::new(format_args!("the input `{name}` is bad")));
            }
            seen.insert(name, json!({ "bytes": content.len(), "hash": format!("{:016x}", hash(content)) }));
        }
        Ok(Inputs { json: json!(seen).to_string() })
    }
}

impl RequestHook for Inputs {
    fn on_request(&self, _: &mut Request) -> Verdict {
        Reply::new(StatusCode::OK).json(self.json.as_str()).into()
    }
}

tamis_sdk::export!(Inputs: request);

/// FNV-1a, which a test can compute as well.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
