//! The way of one raw connection: the hooks, a cluster, an endpoint, then bytes in both directions until it ends.

use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::abort::Abort;
use super::copy::{Between, Moved, both_ways};
use super::route;
use crate::cluster;
use crate::cluster::hash;
use crate::drain::Signal;
use crate::exchange::{Connection, Exchange, Failure, Inflow, Kind, Origin, Record};
use crate::filter::Chain;
use crate::filter::chain::Step;
use crate::snapshot::{Listener, Live};

/// Serves a connection until it ends.
pub async fn serve<IO>(mut io: IO, connection: Connection, live: Arc<Live>, listener: Arc<Listener>, drain: Signal)
where
    IO: AsyncRead + AsyncWrite + Abort + Unpin,
{
    let (mut record, chain) = {
        let snapshot = live.load();
        let connection = Arc::new(connection);
        let mut exchange = Exchange::raw(Arc::clone(&connection), "tcp", Arc::clone(&snapshot.cluster_names));
        exchange.destination.cluster = route::cluster(&listener.config, &connection);
        exchange.offer(&snapshot.onlookers, "", snapshot.config.limits.trail_steps);
        let inflow = Rc::new(Inflow::new(false));
        let record = Record::new(exchange, inflow, Arc::clone(&listener.access_log), Arc::clone(&listener.traffic));
        (record, Rc::new(Chain::new(listener.filters.clone(), snapshot.reach.clone())))
    };
    drop(live);
    chain.at_end(&mut record, &drain);
    let moved = Moved::default();
    let outcome = {
        let mut cut = drain.clone();
        tokio::select! {
            biased;
            () = cut.cut() => Err(Failure::new(Kind::Cut, "the proxy was told to leave")),
            outcome = pass_on(&mut io, &mut record, &chain, &listener, &moved) => outcome,
        }
    };
    record.inflow.count(usize::try_from(moved.up.get()).unwrap_or(usize::MAX));
    record.response_bytes = moved.down.get();
    record.complete = true;
    if let Err(failure) = outcome {
        record.failed(&failure);
        record.exchange_mut().origin = Origin::Failure(failure.kind);
        // What was cut off shall not look whole.
        io.abort();
    }
    // The client's socket is closed before anybody reads of it in the log.
    drop(io);
    drop(record);
}

async fn pass_on<IO>(io: &mut IO, record: &mut Record, chain: &Chain, listener: &Listener, moved: &Moved) -> Result<(), Failure>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    match chain.connection(record, &listener.config.tcp.unfiltered).await {
        None => {}
        Some(Step::Failed(failure)) => return Err(failure),
        Some(Step::Reset | Step::Replied(_)) => return Err(Failure::new(Kind::FilterReset, "a filter refused the connection")),
    }
    let (cluster, mut wishes) = cluster::choose(&chain.reach().clusters, &mut record.exchange_mut().destination)?;
    // Where `balance` goes by a key and no filter has said one, a client stays where it was.
    let source = record.exchange().source;
    wishes.key.get_or_insert_with(|| hash::of_key(source.to_string().as_bytes()));
    wishes.introduce(cluster, &record.exchange().connection);
    // Boxed: it is gone when bytes move, and each connection would have to have room for it.
    let opened = Box::pin(cluster::raw::open(cluster, &wishes, &mut record.attempt)).await;
    let mut raw = opened?;
    record.exchange_mut().answered = true;
    let moving = listener.traffic.tcp.begin(&cluster.name);
    let outcome = both_ways(Between {
        client: io,
        endpoint: &mut raw.stream,
        buffer_bytes: listener.config.limits.tcp_buffer_bytes,
        idle: listener.config.timeouts.tcp_idle,
        moving: &moving,
        moved,
    })
    .await;
    if outcome.is_err() {
        raw.stream.get_ref().abort();
    }
    outcome
}
