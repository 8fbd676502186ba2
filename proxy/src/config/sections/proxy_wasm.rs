//! The keys of `[filters.NAME.proxy-wasm]`.

use std::collections::BTreeMap;

use crate::config::bounds::{PROXY_WASM_BODY_MAX, PROXY_WASM_OLD_INSTANCES_MAX, PROXY_WASM_SHARED_MAX};
use crate::config::kind::{Flag, Integer, Json, Size, Upstreams, Word};
use crate::config::table::Table;
use crate::config::types::ProxyWasm;

pub fn proxy_wasm(table: &mut Table<'_>) -> ProxyWasm {
    let default = ProxyWasm::default();
    ProxyWasm {
        root_id: table
            .optional("root-id", &Word, "Which of the plugins that one module may hold. Without it, the one without a name.")
            .unwrap_or(default.root_id),
        vm_id: table
            .optional(
                "vm-id",
                &Word,
                "Filters with the same one share data and queues. Without it, those of this filter are its own.",
            )
            .unwrap_or(default.vm_id),
        vm_config: table.optional("vm-config", &Json, "What `on_vm_start` is given: text as it is, a table as JSON."),
        upstreams: table.or(
            "upstreams",
            &Upstreams,
            BTreeMap::new(),
            "Names that the module calls upstreams by, each with the cluster that it means: `{ \"outbound|80||auth.dns\" = \"auth\" }`.",
        ),
        body_bytes: table.or(
            "body-bytes",
            &Size::within(1, PROXY_WASM_BODY_MAX),
            default.body_bytes,
            "Of one body, what waits for it while it pauses. Past it: 413 for a request, the end for an answer.",
        ),
        shared_bytes: table.or(
            "shared-bytes",
            &Size::within(1, PROXY_WASM_SHARED_MAX),
            default.shared_bytes,
            "Shared data and queues of one `vm-id`, names included.",
        ),
        old_instances: table.or(
            "old-instances",
            &Integer::within(0, PROXY_WASM_OLD_INSTANCES_MAX),
            default.old_instances,
            "Instances of one worker that only finish their exchanges, because another one was asked for (`wasm_need_rebuild`, \
             `retire-memory`). While there are so many, the newest goes on.",
        ),
        connections: table.or(
            "connections",
            &Flag,
            default.connections,
            "Whether raw connections of a listener with `protocol = \"auto\"` are for it as well, although it has callbacks of HTTP. \
             Those of one with `\"tcp\"` always are.",
        ),
    }
}
