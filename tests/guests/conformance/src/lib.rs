//! The SDK's conformance cases as a filter: a request names its case, the response tells how it went.

pub use tamis_sdk_conformance::Conformance;
