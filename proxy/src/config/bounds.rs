//! How far configuration may move what defaults.rs sets, each bound a named constant with its reason.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;

/// Worker threads: more than any machine that this runs on has cores.
pub const WORKERS_MAX: usize = 1024;
/// Connections of a process or a listener: what the kernel can number of file descriptors on common set-ups.
pub const CONNECTIONS_MAX: usize = 10_000_000;
/// Exchanges under way: ten streams on each of as many connections.
pub const EXCHANGES_MAX: usize = 100_000_000;
/// The kernel's own ceiling of the queue of a listening socket is rarely above this.
pub const BACKLOG_MAX: u32 = 65_535;

/// Less would refuse ordinary requests of browsers.
pub const HEADER_BYTES_MIN: usize = KIB;
/// HTTP/2 peers are told this number, and one head of this size is held whole.
pub const HEADER_BYTES_MAX: usize = 8 * MIB;
/// The map of fields cannot hold more than 24,576; this leaves room for what filters add.
pub const HEADER_COUNT_MAX: usize = 10_000;
/// What the URI type can hold.
pub const URI_BYTES_MAX: usize = 65_534;
/// A counter of 64 bits that TOML can say.
pub const REQUESTS_PER_CONNECTION_MAX: u64 = i64::MAX as u64;
/// hyper refuses a smaller buffer.
pub const BUFFER_BYTES_MIN: usize = 8 * KIB;
/// A buffer of every connection, not of the process.
pub const BUFFER_BYTES_MAX: usize = 64 * MIB;

/// Streams on one HTTP/2 connection: each costs memory before it says anything.
pub const STREAMS_MAX: u32 = 1_000_000;
/// Less would make a WINDOW_UPDATE of nearly every frame.
pub const STREAM_WINDOW_BYTES_MIN: u32 = KIB as u32;
/// HTTP/2 starts a connection's window here, and nothing but data can lower it (RFC 9113, 6.9.2).
pub const CONNECTION_WINDOW_BYTES_MIN: u32 = 65_535;
/// The largest window of HTTP/2 (RFC 9113, 6.9.1).
pub const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;
/// The least that HTTP/2 lets a peer assume (RFC 9113, 6.5.2).
pub const FRAME_BYTES_MIN: u32 = 16 * KIB as u32;
/// The most that the length of a frame can say (RFC 9113, 4.2).
pub const FRAME_BYTES_MAX: u32 = (1 << 24) - 1;
/// Less than a frame would stall every stream.
pub const SEND_BUFFER_BYTES_MIN: usize = 16 * KIB;
/// A buffer of every stream, not of the process.
pub const SEND_BUFFER_BYTES_MAX: usize = GIB;
/// Less would be a call of the system for hardly any bytes.
pub const TCP_BUFFER_BYTES_MIN: usize = 4 * KIB;
/// A buffer of every raw connection that waits to be written, not of the process.
pub const TCP_BUFFER_BYTES_MAX: usize = 4 * MIB;
/// Two addresses of the longest kind, and nothing else.
pub const PROXY_HEADER_BYTES_MIN: usize = 232;
/// What its field of the length can say, and the head.
pub const PROXY_HEADER_BYTES_MAX: usize = 16 + 65_535;
/// Less would refuse ordinary clients.
pub const CLIENT_HELLO_BYTES_MIN: usize = KIB;
/// What rustls takes at most.
pub const CLIENT_HELLO_BYTES_MAX: usize = 64 * KIB;
/// Resets counted on one connection: past this a count protects from nothing.
pub const RESETS_MAX: usize = 1_000_000;

/// Idle connections to one endpoint: more than there are ports to open them from.
pub const IDLE_CONNECTIONS_MAX: usize = 65_536;
/// Each is some hundred bytes, and what it keeps open.
pub const DESTINATIONS_MAX: usize = 65_536;

/// Of an endpoint, so that sums of a whole cluster fit; finer shares than this nobody measures.
pub const WEIGHT_MAX: u32 = 10_000;
/// Each is another tier of standbys.
pub const PRIORITY_MAX: u32 = 15;
/// Ten times the usual load: who can bear that needs no standby.
pub const OVERPROVISIONING_PERCENT_MAX: u32 = 1000;
/// More endpoints than one cluster has.
pub const ENDPOINTS_MIN_MAX: usize = 1_000_000;
/// A hundred times as aggressive is no slow start.
pub const SLOW_START_AGGRESSION_PERCENT_MAX: u32 = 10_000;
/// Latencies that anybody waits for.
pub const EWMA_TIME_MAX: Duration = Duration::from_secs(3600);
/// 768 MiB.
pub const RING_ENTRIES_MAX_MAX: usize = 64 * MIB;
/// The largest table that is worth its building; the inventors go up to 655,373.
pub const MAGLEV_ENTRIES_MAX: usize = 5_000_011;
/// Each of them is as large as the endpoints in it.
pub const SUBSETS_MAX: usize = 100_000;

/// Bytes of a label's name, and of its value: a word, not a document.
pub const LABEL_BYTES_MAX: usize = 256;
/// A buffer of every exchange that may be retried, not of the process.
pub const REPLAY_BYTES_MAX: usize = 16 * MIB;

/// What one process can have under way: a larger limit is none.
pub const BREAKER_MAX: usize = 10_000_000;
/// Ten further attempts for each request: there are no more of one exchange.
pub const RETRY_BUDGET_PERCENT_MAX: u32 = 1000;
/// Past it, a floor a second protects from nothing.
pub const RETRY_BUDGET_MINIMUM_MAX: u32 = 1_000_000;
/// It is kept in fiftieths, and clocks say little about shorter ones.
pub const RETRY_BUDGET_WINDOW_MIN: Duration = Duration::from_secs(1);
/// What was saved longer ago says nothing about now.
pub const RETRY_BUDGET_WINDOW_MAX: Duration = Duration::from_secs(60);
/// Somebody is waiting.
pub const RETRY_BACKOFF_LIMIT: Duration = Duration::from_secs(60);
/// Names of fields that are looked up in each answer.
pub const RETRY_FIELDS_MAX: usize = 16;

/// Timers are not finer.
pub const DURATION_MIN: Duration = Duration::from_millis(1);
/// An orchestrator has killed the process long before.
pub const DRAIN_MAX: Duration = Duration::from_secs(24 * 3600);
/// Whoever asked for the upgrade waits for it.
pub const UPGRADE_DEADLINE_MAX: Duration = Duration::from_secs(300);
/// A query that nobody waits for any more.
pub const DNS_QUERY_MAX: Duration = Duration::from_secs(60);
/// A name that is looked up once a day might as well be an address.
pub const DNS_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// CPU time of one hook. A worker serves nobody else meanwhile.
pub const FILTER_DEADLINE_MAX: Duration = Duration::from_secs(60);
/// CPU time of `configure`, off the workers.
pub const FILTER_CONFIGURE_DEADLINE_MAX: Duration = Duration::from_secs(600);
/// Wall time of one hook: who waits longer is forgotten by every client.
pub const FILTER_HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Instances of one filter, or of the process: each reserves 4 GiB of address space, of which there are 128 TiB.
pub const INSTANCES_MAX: usize = 20_000;
/// Exchanges whose spans wait, each some KiB.
pub const TRACING_QUEUE_MAX: usize = 1_000_000;
/// Exchanges of one batch; collectors refuse requests of more than a few MiB.
pub const TRACING_BATCH_MAX: usize = 4096;
/// Nobody looks for a trace that comes later.
pub const TRACING_WAIT_MAX: Duration = Duration::from_secs(60);
/// Attempts to send one batch, while all others wait.
pub const TRACING_ATTEMPTS_MAX: u32 = 20;
/// The name of a service.
pub const TRACING_TEXT_MAX: usize = 256;
/// Steps of one trail: it is searched from its beginning for each piece of a body.
pub const TRAIL_STEPS_MAX: usize = 4096;
/// Lines a second: past this a limit protects from nothing.
pub const FILTER_LOG_LINES_MAX: u64 = 1_000_000;
/// Calls that must be seen before a filter is judged.
pub const TRIP_CALLS_MAX: u64 = 1_000_000;
/// Inputs of one filter.
pub const INPUTS_MAX: usize = 64;
/// What changes less often than once a day is a file.
pub const INPUT_EVERY_MAX: Duration = Duration::from_secs(24 * 3600);
/// A body that waits for a filter is in its memory as well.
pub const PROXY_WASM_BODY_MAX: usize = 256 * MIB;
/// Data that filters of one name share: a table, no data base.
pub const PROXY_WASM_SHARED_MAX: usize = 1024 * MIB;
/// Each has its own memory, and a place in the pool of instances.
pub const PROXY_WASM_OLD_INSTANCES_MAX: usize = 100;
/// One page of linear memory.
pub const FILTER_MEMORY_MIN: usize = 64 * KIB;
/// The live version and one to go back to.
pub const STATE_VERSIONS_MIN: usize = 2;
/// Modules of up to 64 MiB each, for each filter.
pub const STATE_VERSIONS_MAX: usize = 1000;
/// The statuses of HTTP.
pub const STATUS_MIN: u16 = 100;
pub const STATUS_MAX: u16 = 599;
/// Lines of the access log that wait: past this a slow disk eats the memory of the proxy.
pub const ACCESS_LOG_QUEUE_MAX: usize = 16 * 1024 * 1024;
/// Each costs a task and a socket of the process.
pub const ADMIN_CONNECTIONS_MAX: usize = 65_536;
/// Longer, and nobody waits for what a slow one holds.
pub const ADMIN_REQUEST_HEADERS_MAX: Duration = Duration::from_secs(600);
/// Every exchange is matched by each of them.
pub const TAP_WATCHERS_MAX: usize = 64;
/// Each may hold two bodies.
pub const TAP_QUEUE_MAX: usize = 65_536;
/// Less, and an exchange with large heads is never shown.
pub const TAP_QUEUE_BYTES_MIN: usize = 64 * KIB;
/// What a machine has, shared by some who watch.
pub const TAP_QUEUE_BYTES_MAX: usize = GIB;
/// It is held for every exchange under way, while somebody asks for it.
pub const TAP_BODY_BYTES_MAX: usize = MIB;

/// Fewer keys are not worth a table.
pub const STORE_ENTRIES_MIN: usize = 1024;
/// Past this the figure protects from nothing.
pub const STORE_ENTRIES_MAX: usize = 1_000_000_000;
/// What the fewest keys need.
pub const STORE_BYTES_MIN: usize = 1024 * KIB;
/// The memory of a large machine.
pub const STORE_BYTES_MAX: usize = 1024 * GIB;
pub const STORE_KEY_BYTES_MAX: usize = 64 * KIB;
/// A value is copied whenever it is read.
pub const STORE_VALUE_BYTES_MAX: usize = 16 * 1024 * KIB;
/// The largest entry must be a small part of the store, or one write pushes everything else out.
pub const STORE_LARGEST_ENTRIES_MIN: usize = 16;
/// Less than a round trip through a busy machine.
pub const STORE_TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// A filter that waits longer for a store had better be told that there is none.
pub const STORE_TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// Past it, limits of a second mean nothing.
pub const STORE_LEASE_TIME_MAX: Duration = Duration::from_secs(1);
/// Past it, one process can take what a fleet was to share.
pub const STORE_LEASE_TOKENS_MAX: u64 = 1_000_000;
/// It is renewed three times meanwhile.
pub const STORE_HOLD_TIME_MIN: Duration = Duration::from_secs(1);
/// What is held by nobody is lost for so long.
pub const STORE_HOLD_TIME_MAX: Duration = Duration::from_secs(3600);
/// Nodes that a cluster is first asked at; it tells the others.
pub const STORE_NODES_MAX: usize = 64;
/// Less would not hold the code of one ordinary module.
pub const MODULE_CACHE_BYTES_MIN: u64 = MIB as u64;
/// A disk, not a cache.
pub const MODULE_CACHE_BYTES_MAX: u64 = 1024 * GIB as u64;
/// Longer than any orchestrator waits for a start.
pub const SPIFFE_WAIT_MAX: Duration = Duration::from_secs(600);
/// Whoever waits longer for a start has stopped waiting.
pub const MODULE_FETCH_MAX: Duration = Duration::from_secs(3600);
/// Checks closer together are load, not checks.
pub const HEALTH_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Past it, nobody would say that an endpoint is looked after.
pub const HEALTH_INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Checks in a row: at the longest interval, days.
pub const HEALTH_THRESHOLD_MAX: u32 = 100;
/// A word on a page, not the page.
pub const HEALTH_CONTAINS_BYTES_MAX: usize = 1024;
/// A name of a service with its packages.
pub const GRPC_SERVICE_BYTES_MAX: usize = 1024;
/// RFC 1035, 2.3.4, and a port.
pub const HOST_BYTES_MAX: usize = 260;
/// A run of attempts: who waits for more has no use for the rule.
pub const OUTLIER_RUN_MAX: u32 = 10_000;
/// Attempts within an interval.
pub const OUTLIER_REQUESTS_MAX: u32 = 1_000_000;
/// More endpoints than a cluster has.
pub const OUTLIER_ENDPOINTS_MAX: usize = 65_536;
/// Ten standard deviations: nothing is that far off.
pub const OUTLIER_DEVIATION_PERCENT_MAX: u32 = 1000;
/// It is kept in tenths.
pub const OUTLIER_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// A day: an endpoint that is not wanted for longer is better taken from the list.
pub const OUTLIER_EJECTION_LONGEST: Duration = Duration::from_secs(24 * 3600);
