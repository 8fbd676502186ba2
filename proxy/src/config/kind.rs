//! The kinds of values that keys take: one type a kind, each with its words for a mistake. They know no key.

mod address;
mod choice;
mod duration;
mod integer;
mod json;
mod list;
mod module;
mod path;
mod reference;
mod size;

pub use address::{EndpointKind, Listen, NameServer, Network};
pub use choice::{Choice, Flag};
pub use duration::Time;
pub use integer::Integer;
pub use json::Json;
pub use list::List;
pub use module::Module;
pub use path::{AccessLogTarget, File, Folder};
pub use reference::Reference;
pub use size::Size;
