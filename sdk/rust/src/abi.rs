//! The generated bindings: the imports, and one world for each thing that a filter can export.

/// What a filter may import. What it does not call is not imported.
pub mod imports {
    wit_bindgen::generate!({ path: "../../wit", world: "tamis:filter/imports", pub_export_macro: true });
}

pub use imports::tamis::filter::types::Verdict;

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
