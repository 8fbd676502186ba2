//! The kinds of values that keys take: one type a kind, each with its words for a mistake. They know no key.

mod address;
mod choice;
mod digest;
mod duration;
mod endpoint;
mod environment;
mod field;
mod input;
mod integer;
mod json;
mod list;
mod module;
mod occasion;
mod path;
mod probe;
mod redis;
mod reference;
mod size;

pub use address::{Listen, NameServer, Network, Service};
pub use choice::{Choice, Flag};
pub use digest::Digest;
pub use duration::Time;
pub use endpoint::EndpointKind;
pub use environment::Environment;
pub use field::FieldName;
pub use input::Inputs;
pub use integer::Integer;
pub use json::Json;
pub use list::List;
pub use module::{Module, Place};
pub use occasion::OccasionWord;
pub use path::{AccessLogTarget, CacheFolder, File, Folder};
pub use probe::{Statuses, Target, Text};
pub use redis::RedisNode;
pub use reference::Reference;
pub use size::Size;
