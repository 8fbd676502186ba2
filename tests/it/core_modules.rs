//! Core modules as compilers leave them, without metadata: the proxy makes components of them.

use tamis_tests::command::Running;
use tamis_tests::{client, scenario};

/// A filter of WASI 0.1 that answers with 200 and the number of the first check that failed. It prints, and ends on `/exit`.
const WASI: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environment (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "tamis:filter/request@0.1.0" "path" (func $path (param i32)))
    (import "tamis:filter/reply@0.1.0" "set" (func $reply (param i32 i32 i32 i32 i32 i32)))
    (import "tamis" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "tamis" "release" (func $release))
    (memory (export "memory") 2)
    ;; 0: results; 64: one vector, and what it points to; 256: a subscription of 30 ms of the monotonic clock; 512: random bytes.
    (data (i32.const 64) "\50\00\00\00\23\00\00\00")
    (data (i32.const 80) "W\c3\a4rme \ff is told\n\ed\a0\80\nwithout an end")
    (data (i32.const 256) "\07\00\00\00\00\00\00\00")
    (data (i32.const 272) "\01\00\00\00\00\00\00\00\80\c3\c9\01\00\00\00\00")
    (global $initialized (mut i32) (i32.const 0))
    (func (export "_initialize") (global.set $initialized (i32.const 1)))
    (func (export "tamis:filter/configure@0.1.0#configure") (param i32 i32 i32 i32) (result i32)
        (call $release)
        (i64.store (i32.const 0) (i64.const 0))
        i32.const 0)
    (func $check (result i32)
        (local $began i64)
        (if (i32.eqz (global.get $initialized)) (then (return (i32.const 201))))
        (if (call $args (i32.const 0) (i32.const 4)) (then (return (i32.const 202))))
        (if (i32.or (i32.load (i32.const 0)) (i32.load (i32.const 4))) (then (return (i32.const 203))))
        (if (call $environment (i32.const 0) (i32.const 4)) (then (return (i32.const 204))))
        (drop (call $time (i32.const 0) (i64.const 0) (i32.const 0)))
        (if (i64.lt_u (i64.load (i32.const 0)) (i64.const 1700000000000000000)) (then (return (i32.const 206))))
        (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0)))
        (local.set $began (i64.load (i32.const 0)))
        (if (call $poll (i32.const 256) (i32.const 0) (i32.const 1) (i32.const 48)) (then (return (i32.const 207))))
        (if (i64.ne (i64.load (i32.const 0)) (i64.const 7)) (then (return (i32.const 208))))
        (if (i32.ne (i32.load (i32.const 48)) (i32.const 1)) (then (return (i32.const 209))))
        (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0)))
        (if (i64.lt_u (i64.sub (i64.load (i32.const 0)) (local.get $began)) (i64.const 30000000)) (then (return (i32.const 210))))
        (drop (call $random (i32.const 512) (i32.const 11)))
        (if (i64.eqz (i64.load (i32.const 512))) (then (return (i32.const 211))))
        (if (i32.eqz (i32.load (i32.const 519))) (then (return (i32.const 212))))
        (if (i32.load8_u (i32.const 523)) (then (return (i32.const 213))))
        (if (call $read (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 0)) (then (return (i32.const 214))))
        (if (i32.load (i32.const 0)) (then (return (i32.const 215))))
        (if (i32.ne (call $prestat (i32.const 3) (i32.const 0)) (i32.const 8)) (then (return (i32.const 216))))
        (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 80) (i32.const 1) (i32.const 0) (i64.const 0)
            (i64.const 0) (i32.const 0) (i32.const 0))) (then (return (i32.const 217))))
        (if (call $write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 0)) (then (return (i32.const 218))))
        (if (i32.ne (i32.load (i32.const 0)) (i32.const 35)) (then (return (i32.const 219))))
        (if (i32.ne (call $write (i32.const 7) (i32.const 64) (i32.const 1) (i32.const 0)) (i32.const 8))
            (then (return (i32.const 220))))
        i32.const 200)
    (func (export "tamis:filter/request-hook@0.1.0#on-request") (result i32)
        (local $status i32)
        (call $path (i32.const 0))
        (local.set $status (i32.load (i32.const 4)))
        ;; Two pages of arguments: the room grows, and what was there stays.
        (drop (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 70000)))
        (if (i32.ne (i32.load8_u (i32.load (i32.const 0))) (i32.const 47)) (then unreachable))
        (call $release)
        (local.set $status (if (result i32) (i32.eq (local.get $status) (i32.const 5))
            (then
                (drop (call $write (i32.const 2) (i32.const 64) (i32.const 1) (i32.const 0)))
                (call $exit (i32.const 1))
                (i32.const 299))
            (else (call $check))))
        (call $reply (local.get $status) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (call $release)
        i32.const 1))"#;

/// A proxy of its own with the filter, whose log can be read; and its address.
async fn running(folder: &std::path::Path, module: &[u8]) -> (Running, std::net::SocketAddr) {
    std::fs::write(folder.join("f.wasm"), module).unwrap();
    let file = folder.join("tamis.toml");
    let toml = "[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\nmodule = 'f.wasm'\ndeadline = '1s'\n";
    std::fs::write(&file, toml).unwrap();
    let mut running = Running::start(env!("CARGO_BIN_EXE_tamis-cli"), &["run", "-c", file.to_str().unwrap()]);
    let line = running.logs("listen").await;
    let address = line.split([' ', '=', '"']).find_map(|word| word.parse().ok());
    (running, address.unwrap_or_else(|| panic!("no address: {line}")))
}

scenario!(a_core_module_of_wasi_finds_what_there_is);
async fn a_core_module_of_wasi_finds_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, address) = running(folder.path(), &wat::parse_str(WASI).unwrap()).await;
    let client = client::connect(address).open().await;
    assert_eq!(client.get("/works").await.status, 200, "the status is the number of the check that failed");
    let line = running.logs("rme ? is told").await;
    assert!(line.contains("Wärme ? is told") && line.contains("INFO"), "{line}");
    // Half of a surrogate pair is no character.
    running.logs("???").await;

    // The exit is a trap, and the last line is written before.
    assert_eq!(client.get("/exit").await.status, 500);
    let line = running.logs("without an end").await;
    assert!(line.contains("WARN"), "{line}");
    assert_eq!(client::connect(address).open().await.get("/again").await.status, 200, "it cost one exchange");
}
