//! The scripts that Redis runs: each is one decision, and nothing comes between.
//!
//! They are called by their digest. A Redis that does not know one, because it was started again, is sent the text, and knows
//! it from then on.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::{Cmd, ToRedisArgs};

/// A script and what Redis calls it.
pub struct Script {
    text: &'static str,
    sha1: LazyLock<String>,
}

/// One call, written in the way that needs no text.
pub struct Call {
    /// How many keys, the keys and the arguments.
    arguments: Vec<Vec<u8>>,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub static $name: Script = Script { text: include_str!($file), sha1: LazyLock::new(|| sha1(include_str!($file))) };
    };
}

script!(TAKE, "take.lua");
script!(HOLD, "hold.lua");
script!(HEARTBEAT, "heartbeat.lua");
script!(COMPARE_AND_SET, "compare_and_set.lua");
script!(INCREMENT, "increment.lua");

/// Collects what follows the keys.
pub struct Arguments<'a>(&'a mut Vec<Vec<u8>>);

impl Arguments<'_> {
    pub fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        argument.write_redis_args(self.0);
        self
    }
}

impl Script {
    #[allow(clippy::unused_self, reason = "a call reads as one of this script")]
    pub fn call(&self, keys: &[impl AsRef<str>], arguments: impl FnOnce(&mut Arguments<'_>)) -> Call {
        let mut all = vec![keys.len().to_string().into_bytes()];
        all.extend(keys.iter().map(|key| key.as_ref().as_bytes().to_vec()));
        arguments(&mut Arguments(&mut all));
        Call { arguments: all }
    }

    /// For a Redis that knows it.
    pub fn by_digest(&self, call: &Call) -> Cmd {
        command("EVALSHA", &self.sha1, call)
    }

    /// For one that does not.
    pub fn by_text(&self, call: &Call) -> Cmd {
        command("EVAL", self.text, call)
    }
}

fn command(name: &str, script: &str, call: &Call) -> Cmd {
    let mut command = Cmd::new();
    command.arg(name).arg(script);
    for argument in &call.arguments {
        command.arg(argument);
    }
    command
}

fn sha1(text: &str) -> String {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
