//! A component that brings WASI along: what it is given, and that there is no more.

use tamis_tests::command::Running;
use tamis_tests::{chain, client, guest, origin, proxy, scenario};

scenario!(a_component_for_wasi_is_given_little);
async fn a_component_for_wasi_is_given_little() {
    let origin = origin().run();
    let proxy = proxy(chain(&origin, &[("wasi", "allow = { environment = { GRANTED = 'yes' } }")]));
    // Somebody listens where the guest tries to go.
    let seen = proxy.client().await.get("/").header("x-connect", &origin.to_string()).await.json();
    assert_eq!((&seen["granted"], &seen["not-granted"], &seen["all"]), (&"yes".into(), &().into(), &1.into()), "{seen}");
    assert_eq!(seen["arguments"], 0, "{seen}");
    assert!(seen["epoch-seconds"].as_u64().unwrap() > 1_700_000_000, "{seen}");
    assert_eq!(seen["goes-on"], true, "{seen}");
    for what in ["read", "write", "list", "connect", "listen", "datagram", "look-up"] {
        assert!(seen[what].is_string(), "{what} is refused: {seen}");
    }
    assert_eq!(origin.connections(), 0);
    // Seeds are drawn once an instance.
    let fresh = "isolation = 'fresh'\nallow = { environment = { GRANTED = 'yes' } }";
    let proxy = tamis_tests::proxy(chain(&origin, &[("wasi", fresh)]));
    let client = proxy.client().await;
    assert_ne!(client.get("/").await.json()["random"], client.get("/").await.json()["random"]);
}

scenario!(what_it_prints_stands_in_the_log);
async fn what_it_prints_stands_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tamis.toml");
    let toml = format!(
        "[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\nmodule = '{}'\ndeadline = '1s'\n",
        guest("wasi")
    );
    std::fs::write(&file, toml).unwrap();
    let mut running = Running::start(env!("CARGO_BIN_EXE_tamis-cli"), &["run", "-c", file.to_str().unwrap()]);
    let line = running.logs("listen").await;
    let address = line.split([' ', '=', '"']).find_map(|word| word.parse().ok());
    let address = address.unwrap_or_else(|| panic!("no address: {line}"));
    assert_eq!(client::connect(address).open().await.get("/here").await.status, 200);
    let line = running.logs("said on the standard output about /here").await;
    assert!(line.contains("INFO"), "{line}");
    let line = running.logs("said on the standard error about /here").await;
    assert!(line.contains("WARN"), "{line}");
}
