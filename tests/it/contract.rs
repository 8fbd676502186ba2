//! The published interface is covered: each function of it is used by a guest of these tests and offered by the host, each hook
//! is exported by a guest.

use std::collections::BTreeSet;

use tamis::filter::Engine;
use tamis::filter::abi::component;
use tamis_tests::command::repository;
use wasmparser::{ExternalKind, Parser, Payload};
use wit_component::WitPrinter as _;
