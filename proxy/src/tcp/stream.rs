//! The way of one raw connection: the hooks, a cluster, an endpoint, then bytes in both directions until it ends.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::abort::Abort;
use super::copy::{Between, Moved, both_ways, broke};
use super::{filtered, route};
use crate::cluster;
use crate::cluster::hash;
use crate::config::ListenerProtocol;
use crate::drain::Signal;
use crate::exchange::{Connection, Exchange, Failure, Inflow, Kind, Origin, Record};
use crate::filter::Chain;
use crate::filter::chain::{Peer, Port, Step};
use crate::snapshot::{Listener, Live};

/// How long the end of a TLS connection that a filter closed may take: a client that reads has it at once.
const FAREWELL: Duration = Duration::from_secs(1);

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
        if failure.kind == Kind::ClientGone {
            chain.ended_by(Peer::Remote);
        }
        if chain.was_closed() {
            let _ = tokio::time::timeout(FAREWELL, io.shutdown()).await;
        } else {
            // What was cut off shall not look whole.
            io.abort();
        }
    }
    // The client's socket is closed before anybody reads of it in the log.
    drop(io);
    drop(record);
}

async fn pass_on<IO>(io: &mut IO, record: &mut Record, chain: &Chain, listener: &Listener, moved: &Moved) -> Result<(), Failure>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    record.exchange().connection.comes_from_elsewhere()?;
    match admitted(io, record, chain, listener, moved).await? {
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
    // What a filter has seen before there was a cluster.
    moving.received(moved.up.get());
    let between = Between {
        client: io,
        endpoint: &mut raw.stream,
        buffer_bytes: listener.config.limits.tcp_buffer_bytes,
        idle: listener.config.timeouts.tcp_idle,
        moving: &moving,
        moved,
    };
    let outcome = if chain.wants_bytes() {
        chain.opened();
        // Boxed: those that nobody looks at would have to have room for it.
        Box::pin(filtered::both_ways(between, chain, record.shared())).await
    } else {
        both_ways(between).await
    };
    if outcome.is_err() && !chain.was_closed() {
        raw.stream.get_ref().abort();
    }
    outcome
}

/// The connection hooks. While one of them waits, what the client says is for its filter to see.
async fn admitted<IO>(
    io: &mut IO,
    record: &Record,
    chain: &Chain,
    listener: &Listener,
    moved: &Moved,
) -> Result<Option<Step>, Failure>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let buffer_bytes = listener.config.limits.tcp_buffer_bytes;
    let port = Port { raw_only: listener.config.protocol == ListenerProtocol::Tcp, unfiltered: &listener.config.tcp.unfiltered };
    let mut hooks = pin!(chain.connection(record, port));
    std::future::poll_fn(|context| {
        loop {
            if let Poll::Ready(step) = hooks.as_mut().poll(context) {
                return Poll::Ready(Ok(step));
            }
            if !chain.holds_connection() {
                return Poll::Pending;
            }
            let piece = std::task::ready!(filtered::poll_piece(Pin::new(&mut *io), context, buffer_bytes));
            let piece = piece.map_err(|error| broke(Kind::ClientGone, error))?;
            moved.up.set(moved.up.get() + piece.len() as u64);
            chain.early(piece);
        }
    })
    .await
}
