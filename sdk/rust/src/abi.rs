//! The generated bindings: the imports, and one world for each thing that a filter can export.

/// What a filter may import. What it does not call is not imported.
pub mod imports {
    wit_bindgen::generate!({ path: "../../wit", world: "tamis:filter/imports", pub_export_macro: true });
}

pub use imports::tamis::filter::types::{ChunkVerdict, Verdict};

/// `configure`, which every filter exports.
pub mod configure {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world configured { export tamis:filter/configure@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_configure",
        default_bindings_module: "tamis_sdk::abi::configure",
        generate_all,
    });
    pub use exports::tamis::filter::configure::{Guest, Input};
}

/// The request hook.
pub mod request {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world request { export tamis:filter/request-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_request",
        default_bindings_module: "tamis_sdk::abi::request",
        with: { "tamis:filter/types@0.1.0": crate::abi::imports::tamis::filter::types },
    });
    pub use exports::tamis::filter::request_hook::Guest;
}

/// The hook for each piece of the request's body.
pub mod request_chunk {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world request-chunk { export tamis:filter/request-chunk-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_request_chunk",
        default_bindings_module: "tamis_sdk::abi::request_chunk",
        with: { "tamis:filter/types@0.1.0": crate::abi::imports::tamis::filter::types },
    });
    pub use exports::tamis::filter::request_chunk_hook::Guest;
}

/// The response hook.
pub mod response {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world response { export tamis:filter/response-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_response",
        default_bindings_module: "tamis_sdk::abi::response",
        with: { "tamis:filter/types@0.1.0": crate::abi::imports::tamis::filter::types },
    });
    pub use exports::tamis::filter::response_hook::Guest;
}

/// The hook for each piece of the response's body.
pub mod response_chunk {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world response-chunk { export tamis:filter/response-chunk-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_response_chunk",
        default_bindings_module: "tamis_sdk::abi::response_chunk",
        with: { "tamis:filter/types@0.1.0": crate::abi::imports::tamis::filter::types },
    });
    pub use exports::tamis::filter::response_chunk_hook::Guest;
}

/// The hook for trailers, both ways.
pub mod trailers {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world trailers { export tamis:filter/trailers-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_trailers",
        default_bindings_module: "tamis_sdk::abi::trailers",
    });
    pub use exports::tamis::filter::trailers_hook::Guest;
}

/// The hook after the exchange.
pub mod complete {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world complete { export tamis:filter/complete-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_complete",
        default_bindings_module: "tamis_sdk::abi::complete",
    });
    pub use exports::tamis::filter::complete_hook::Guest;
}

/// The hook of the clock.
pub mod tick {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world tick { export tamis:filter/tick-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_tick",
        default_bindings_module: "tamis_sdk::abi::tick",
    });
    pub use exports::tamis::filter::tick_hook::Guest;
}

/// The hook for raw connections.
pub mod connection {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tamis:sdk; world connection { export tamis:filter/connection-hook@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_connection",
        default_bindings_module: "tamis_sdk::abi::connection",
        with: { "tamis:filter/types@0.1.0": crate::abi::imports::tamis::filter::types },
    });
    pub use exports::tamis::filter::connection_hook::Guest;
}
