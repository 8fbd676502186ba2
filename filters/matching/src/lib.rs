//! What filters ask of a request, in one language that all of them share: a user who can read one filter's `match` can read
//! every other's.
//!
//! - [`Match`]: hosts, paths, methods, fields, query, cookies, sources, identities, notes; [`Matcher`] is it made ready.
//! - [`Key`]: values of the exchange put together into one text, to count or to hash by.
//! - [`Share`]: a percentage of exchanges, drawn or stable by a key.
//! - [`Template`]: texts with values of the exchange in them; [`change`]: what is done to fields with them.

pub mod change;
mod condition;
pub mod field;
pub mod hash;
pub mod host;
pub mod identity;
mod key;
mod matcher;
pub mod name;
pub mod pattern;
pub mod regex;
pub mod share;
pub mod source;
mod template;
pub mod value;

pub use condition::Conditions;
pub use field::FieldMatch;
pub use key::Key;
pub use matcher::{Match, Matcher};
pub use pattern::Pattern;
pub use share::Share;
pub use template::{Template, Text};
