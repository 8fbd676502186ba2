//! A JSON Schema of the configuration, carried by the module itself.

/// Puts a JSON Schema of the filter's configuration into its module: `tamis_sdk::config_schema!("schema.json");`, the path
/// relative to the crate's folder.
///
/// The proxy holds the filter's `config` against it, so that every mistake is told at once and not one after the other, and
/// `tamis filter inspect --schema` gives it to editors. It has to accept whatever
/// [`configure`](crate::Filter::configure) accepts, for what either of them refuses does not go live.
///
/// A file that is not there does not compile. Once a crate: a second schema would be put behind the first.
#[macro_export]
macro_rules! config_schema {
    ($path:literal) => {
        // A static of plain bytes in a section of that name becomes a custom section of the module. `used` holds it past the
        // linker, which sees nobody who reads it; `unsafe` is there because other sections could break a program, and a custom
        // one is never part of it.
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            #[used]
            #[unsafe(link_section = "tamis:config-schema")]
            static SCHEMA: [u8; include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)).len()] =
                *include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path));
        };
        #[cfg(not(target_family = "wasm"))]
        const _: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path));
    };
}
