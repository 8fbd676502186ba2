//! How exact a rate is that a fleet shares: several stores of one process, each of which counts as a process of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tamis::store::{Access, Ask, Kind, Store};
use tamis_tests::{Redis, scenario};

scenario!(eight_processes_admit_what_one_may);
async fn eight_processes_admit_what_one_may() {
    const PROCESSES: u32 = 8;
    const SECONDS: u32 = 5;
    let redis = Redis::start().await;
    let text = format!(
        "[listeners.l]\nlisten = '127.0.0.1:0'\n[stores.kept]\nbackend = 'redis'\nurl = '{}'\ntimeout = '5s'\n",
        redis.url()
    );
    let config = tamis::config::parse(&text, std::path::Path::new("tamis.toml")).unwrap().config;
    let (name, config): (&Arc<str>, _) = config.stores.first_key_value().unwrap();
    let ask = Ask { key: "all".to_owned(), kind: Kind::Rate, limit: 1000, window_ms: 1000, burst: 1000, cost: 1 };
    let fleet: Vec<Store> = (0..PROCESSES).map(|_| Store::build(name, config, None)).collect();
    fleet.iter().for_each(|store| store.begin(Some(Duration::from_secs(10))));
    let end = Instant::now() + Duration::from_secs(SECONDS.into());
    let offering: Vec<_> = fleet
        .iter()
        .map(|store| {
            let (access, ask) = (Access::new(store.clone()), ask.clone());
            tokio::spawn(async move {
                let (mut allowed, mut offered) = (0, 0);
                // 625 a second; after a pause of the machine it catches up.
                let mut ticks = tokio::time::interval(Duration::from_micros(1600));
                while Instant::now() < end {
                    ticks.tick().await;
                    offered += 1;
                    let decisions = access.take(std::slice::from_ref(&ask), &mut Vec::new()).await.unwrap();
                    allowed += u32::from(decisions[0].allowed);
                }
                (allowed, offered)
            })
        })
        .collect();
    let (mut allowed, mut offered) = (0, 0);
    for one in offering {
        let (more, asked) = one.await.unwrap();
        (allowed, offered) = (allowed + more, offered + asked);
    }
    // The burst is there at the beginning, and is what a pause of the machine may save up again. How near a busy fleet comes to its limit
    // is measured elsewhere (scripts/must-show/quota.sh): a machine that pauses loses tokens here.
    let whole = SECONDS * 1000 + 1000;
    assert!(allowed <= whole + 50, "{allowed} of {offered} in {SECONDS} s");
    assert!(allowed >= (whole / 2).min(offered), "{allowed} of {offered} in {SECONDS} s");
}
