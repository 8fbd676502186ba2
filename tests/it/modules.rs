//! Which modules are taken, in which form, and what is said of those that are not.

use tamis_tests::{Edge, guest, matrix, origin, refused, scenario};

/// A file with these bytes, in a folder that goes with it.
fn file(bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("module.wasm");
    std::fs::write(&file, bytes).unwrap();
    let name = file.display().to_string();
    (folder, name)
}

fn refused_module(wat: &str) -> String {
    let (_folder, file) = file(&wat::parse_str(wat).unwrap());
    refused(format!("[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\nmodule = '{file}'\n"))
}

matrix!(a_component_is_taken_as_it_is);
async fn a_component_is_taken_as_it_is(edge: Edge) {
    let core = std::fs::read(guest("stamp-a")).unwrap();
    let encoder = wit_component::ComponentEncoder::default().module(&core).unwrap();
    let (_folder, file) = file(&encoder.validate(true).encode().unwrap());
    let origin = origin().route("/", "").run();
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'o'\nfilters = ['f']\n[filters.f]\nmodule = '{file}'\n[clusters.o]\nendpoints = ['{origin}']"
    ));
    assert_eq!(proxy.client().await.get("/").await.header("x-stamp"), Some("a"));
}

scenario!(an_import_that_is_not_there_is_named);
async fn an_import_that_is_not_there_is_named() {
    let said = refused_module(
        r#"(component
            (import "tamis:filter/clock@0.1.0" (instance (export "now-ns" (func (result u64)))))
            (import "tamis:filter/outcome@0.1.0" (instance (export "weather" (func (result u16)))))
        )"#,
    );
    assert!(said.contains("`tamis:filter/outcome@0.1.0#weather`"), "{said}");
    assert!(!said.contains("now-ns"), "what is there is not complained of: {said}");
}

scenario!(an_interface_of_another_version_is_named);
async fn an_interface_of_another_version_is_named() {
    let said = refused_module(
        r#"(component (import "tamis:filter/request@0.2.0" (instance (export "method" (func (result string))))))"#,
    );
    assert!(said.contains("`tamis:filter/request@0.2.0`"), "{said}");
}

scenario!(what_wasi_has_beyond_clocks_and_output_is_not_there);
async fn what_wasi_has_beyond_clocks_and_output_is_not_there() {
    for interface in ["wasi:sockets/tcp@0.3.0", "wasi:http/outgoing-handler@0.2.0", "wasi:cli/environment@0.3.0"] {
        let said = refused_module(&format!(r#"(component (import "{interface}" (instance)))"#));
        assert!(said.contains(&format!("`{interface}`")), "{said}");
    }
}

scenario!(a_hook_that_is_not_there_is_named);
async fn a_hook_that_is_not_there_is_named() {
    let said = refused_module(
        r#"(component
            (core module $m (func (export "tick")))
            (core instance $i (instantiate $m))
            (func $tick (canon lift (core func $i "tick")))
            (instance $hook (export "on-tick" (func $tick)))
            (export "tamis:filter/fortune-hook@0.1.0" (instance $hook))
        )"#,
    );
    assert!(said.contains("`tamis:filter/fortune-hook@0.1.0`"), "{said}");
}

scenario!(a_module_that_is_cut_off_is_refused);
async fn a_module_that_is_cut_off_is_refused() {
    let whole = guest("stamp-a").bytes();
    for bytes in [8, 9, 1000, whole.len() - 1] {
        let (_folder, file) = file(&whole[..bytes]);
        let said =
            refused(format!("[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\nmodule = '{file}'\n"));
        assert!(said.contains("does not compile") || said.contains("exports no hook"), "{bytes} bytes: {said}");
    }
}

scenario!(a_core_module_without_an_interface_is_no_filter);
async fn a_core_module_without_an_interface_is_no_filter() {
    let said = refused_module("(module (func (export \"on-request\")))");
    assert!(said.contains("module.wasm") || said.contains("filter"), "{said}");
    assert!(said.contains("core module is no filter") || said.contains("exports no hook"), "{said}");
}
