//! Every default of the configuration, each a named constant with its reason. docs/limits.md tells the same to users.

use std::time::Duration;

use super::types::{Alpn, TlsVersion};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Downstream connections of the process: what 24 GiB hold with the buffers below, with room to spare.
pub const CONNECTIONS: usize = 50_000;
/// Exchanges under way in the process. Past it, more work only makes every exchange late.
pub const EXCHANGES: usize = 100_000;
/// Downstream connections of one listener, so that one listener cannot starve the others.
pub const LISTENER_CONNECTIONS: usize = 10_000;
/// Connections the kernel queues for one worker: a burst of a stalled moment, not a backlog nobody will wait for.
pub const LISTENER_BACKLOG: u32 = 4096;

/// Between `/ready` turning 503 and listeners closing: load balancers need a probe or two to notice.
pub const DRAIN_PRE_STOP: Duration = Duration::from_secs(5);
/// Longest time that exchanges under way are given: orchestrators usually kill after 30 to 90 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Until a process that takes over is ready: modules are fetched and compiled in it, or it never will be.
pub const UPGRADE_DEADLINE: Duration = Duration::from_secs(60);

/// TLS handshake of a client: a slow mobile network, not a scanner that says nothing.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// TLS handshakes of a listener at once: two cores do about that many in a second, and whoever comes later waits in line rather
/// than making all of them late.
pub const HANDSHAKES: usize = 1000;
/// Whatever can do TLS 1.2 only is old, but there is a lot of it; nothing older is spoken at all.
pub const TLS_MIN_VERSION: TlsVersion = TlsVersion::Tls12;
/// How long a start waits for the SPIFFE Workload API: the agent of a node starts beside the proxy, and answers at once when it
/// is there.
pub const SPIFFE_WAIT: Duration = Duration::from_secs(10);
/// HTTP/2 rather than HTTP/1.1: one handshake instead of six for a page.
pub const ALPN: [Alpn; 2] = [Alpn::Http2, Alpn::Http1];
/// A browser that reuses a connection for another host of the same certificate must not carry one host's client
/// certificate to the other.
pub const STRICT_SNI: bool = true;
/// Whom a client is, is told to those who ask for it.
pub const FORWARD_CLIENT_CERT: bool = false;
/// Until the first bytes tell what a connection is. Where servers speak first, it is what each connection waits in vain.
pub const PROTOCOL_DETECT: Duration = Duration::from_secs(10);
/// A whole request head: the usual bound against clients that send a byte at a time.
pub const REQUEST_HEADERS: Duration = Duration::from_secs(30);
/// No progress of a body that is being read or of a response that is being written.
pub const PROGRESS: Duration = Duration::from_secs(60);
/// A client connection without an exchange: a little longer than what browsers keep.
pub const DOWNSTREAM_IDLE: Duration = Duration::from_secs(75);
/// A client connection without an exchange has no buffers after this: longer than the pauses of a client that is at work.
pub const DOWNSTREAM_REST: Duration = Duration::from_secs(3);
/// Age at which a client connection is drained, so that load moves to new instances.
pub const CONNECTION_AGE: Duration = Duration::from_secs(3600);
/// Neither direction of a running exchange moved: long polls live, forgotten streams do not.
pub const STREAM_IDLE: Duration = Duration::from_secs(300);
/// Neither direction of an upgraded connection moved. WebSocket clients ping more often than this.
pub const UPGRADE_IDLE: Duration = Duration::from_secs(300);

/// Neither direction of a raw connection moved: pools of database clients keep theirs for hours, and most ask now and then.
pub const TCP_IDLE: Duration = Duration::from_secs(3600);
/// No datagram of a session in either direction: answers come within seconds, and whoever goes on asking later gets a new one.
pub const UDP_IDLE: Duration = Duration::from_secs(60);
/// What a trusted hop says of its client by the PROXY protocol: it sends it with its first packet.
pub const PROXY_HEADER: Duration = Duration::from_secs(5);
/// The same in bytes: version 1 has 107 at most, version 2 some 30 to 60, and some hundred with what load balancers add.
pub const PROXY_HEADER_BYTES: usize = 4 * KIB;
/// What is read at once of a raw connection, and so the most that the proxy holds of it in each direction: few calls of the
/// system at full speed. A connection on which nothing waits holds nothing.
pub const TCP_BUFFER_BYTES: usize = 64 * KIB;
/// The first message of a TLS connection that passes through: with hybrid key shares and many extensions 2 KiB.
pub const CLIENT_HELLO_BYTES: usize = 16 * KIB;

/// Bytes of all request fields, names included; 431 past it. Cookies of real sites stay under it.
pub const HEADER_BYTES: usize = 32 * KIB;
/// Request fields; 431 past it.
pub const HEADER_COUNT: usize = 100;
/// One field value; 431 past it.
pub const HEADER_VALUE_BYTES: usize = 16 * KIB;
/// Request target; 414 past it.
pub const URI_BYTES: usize = 8 * KIB;
/// Requests on one HTTP/1 connection; then it is closed so that what leaks with it goes. HTTP/2 has none.
pub const REQUESTS_PER_CONNECTION: u64 = 1000;
/// Read and write buffer of one HTTP/1 connection; it must hold a whole request head.
pub const BUFFER_BYTES: usize = 64 * KIB;

/// Concurrent HTTP/2 streams a client may open on one connection.
pub const STREAMS: u32 = 100;
/// What one HTTP/2 stream may send before it is read: the memory one slow upstream can pin.
pub const STREAM_WINDOW_BYTES: u32 = 64 * KIB as u32;
/// The same for all streams of a connection.
pub const CONNECTION_WINDOW_BYTES: u32 = MIB as u32;
/// Largest HTTP/2 frame that is accepted: the least the protocol allows.
pub const FRAME_BYTES: u32 = 16 * KIB as u32;
/// What waits to be written on one HTTP/2 stream.
pub const SEND_BUFFER_BYTES: usize = 400 * KIB;
/// Streams reset before they were accepted (rapid reset, CVE-2023-44487); then the connection is ended.
pub const PENDING_RESETS: usize = 20;
/// Streams this side had to reset because of what the peer sent; then the connection is ended.
pub const LOCAL_RESETS: usize = 1024;

/// TCP connect to an endpoint.
pub const CONNECT: Duration = Duration::from_secs(5);
/// From the end of the request to the head of the response.
pub const REQUEST: Duration = Duration::from_secs(15);
/// An upstream connection without an exchange: shorter than what servers usually keep, so that they do not close first.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(60);
/// Idle HTTP/1 connections a worker keeps to one endpoint.
pub const UPSTREAM_IDLE_CONNECTIONS: usize = 128;
/// Places that clients were going to before they were redirected: a service talks to dozens, a scanner to all there are.
pub const DESTINATIONS: usize = 1024;
/// Exchanges on one upstream HTTP/2 connection.
pub const UPSTREAM_STREAMS: u32 = 100;
/// What an upstream may send on one HTTP/2 stream before the client reads it.
pub const UPSTREAM_STREAM_WINDOW_BYTES: u32 = 256 * KIB as u32;
/// The same for all streams of an upstream connection.
pub const UPSTREAM_CONNECTION_WINDOW_BYTES: u32 = 4 * MIB as u32;
/// Bytes of all response fields.
pub const UPSTREAM_HEADER_BYTES: usize = 60 * KIB;
/// Response fields.
pub const UPSTREAM_HEADER_COUNT: usize = 100;
/// Read and write buffer of one upstream HTTP/1 connection; it must hold a whole response head. An answer of 64 KiB, head included, is
/// read at once. It is as large only while answers are.
pub const UPSTREAM_BUFFER_BYTES: usize = 128 * KIB;

/// Open connections to a cluster: past it, a service has more to do with connections than with requests.
pub const CLUSTER_CONNECTIONS: usize = 1024;
/// Exchanges that wait for a connection: more would only wait in a longer line.
pub const CLUSTER_PENDING: usize = 1024;
/// Exchanges under way in a cluster: one that answers within 100 ms serves 10,000 a second with them, and one that answers
/// nothing any more holds no more than these.
pub const CLUSTER_REQUESTS: usize = 1024;
/// Of them, those in a further attempt. The budget is what bounds retries; this is for whoever wants fewer at once.
pub const CLUSTER_RETRIES: usize = 1024;

/// What is kept of a request's body in case that it has to be sent again: an API call, not an upload.
pub const REPLAY_BYTES: usize = 64 * KIB;
/// Attempts, the first one included: a second endpoint most often answers where one did not.
pub const RETRY_ATTEMPTS: u32 = 2;
/// Retries of a cluster in a hundred of its requests: enough to hide that one endpoint in five fails, and where all fail they
/// get a fifth more than without.
pub const RETRY_BUDGET_PERCENT: u32 = 20;
/// Retries a second besides, so that a cluster with few requests has some.
pub const RETRY_BUDGET_MINIMUM: u32 = 10;
/// How long requests and retries are remembered: a burst of failures can use what a quiet while has saved, no more.
pub const RETRY_BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Longest wait before the first further attempt; it doubles, and the real one is random below it, so that clients of a
/// service that fell over do not come back all at once.
pub const RETRY_BACKOFF: Duration = Duration::from_millis(25);
/// Longest wait before any further attempt: somebody is waiting.
pub const RETRY_BACKOFF_MAX: Duration = Duration::from_millis(250);

/// Of an endpoint that says nothing of it.
pub const WEIGHT: u32 = 1;
/// Endpoints of a priority that have to be in, in percent: where most seem to be ill, it is likelier that who looks is wrong.
pub const PANIC_PERCENT: u32 = 50;
/// What endpoints can bear, in percent of their usual load: nobody runs a service at its limit.
pub const OVERPROVISIONING_PERCENT: u32 = 140;
/// Endpoints of a priority below which zones make no difference: one that is out would move too much.
pub const ZONE_ENDPOINTS_MIN: usize = 6;
/// How long an endpoint that comes is spared. Off: most services are quick from the first request on.
pub const SLOW_START: Duration = Duration::ZERO;
/// What it gets of its share at first, in percent: enough to warm up by.
pub const SLOW_START_PERCENT_MIN: u32 = 10;
/// How its share grows: evenly.
pub const SLOW_START_AGGRESSION_PERCENT: u32 = 100;
/// How long a slow answer is held against an endpoint: a pause is forgotten within half a minute.
pub const EWMA_DECAY: Duration = Duration::from_secs(10);
/// What an endpoint is taken for before its first answer: slower than one near by, quicker than one in trouble.
pub const EWMA_SEED: Duration = Duration::from_millis(30);
/// What a failure is taken for: failing is quick, and would draw more requests otherwise.
pub const EWMA_PENALTY: Duration = Duration::from_secs(5);
/// The most that an endpoint can ask for with `retry-after`.
pub const EWMA_PENALTY_MAX: Duration = Duration::from_secs(300);
/// Points on a ring, so that ten endpoints have a hundred each, and none has a tenth more than it should.
pub const RING_ENTRIES_MIN: usize = 1024;
/// The most: 96 MiB.
pub const RING_ENTRIES_MAX: usize = 8 * MIB;
/// Places in a table of Maglev hashing: the small one of its inventors, good for some hundred endpoints.
pub const MAGLEV_ENTRIES: usize = 65_537;
/// Subsets that are kept ready: more than services have versions and zones.
pub const SUBSETS: usize = 1000;

/// Labels of one endpoint, and so the most that a filter can ask for: they are looked up one by one.
pub const LABELS_MAX: usize = 16;

/// One DNS query, retries of the resolver included.
pub const DNS_QUERY: Duration = Duration::from_secs(5);
/// Shortest time between two queries for one name, whatever its TTL.
pub const DNS_TTL_MIN: Duration = Duration::from_secs(1);
/// Wait after a failed query.
pub const DNS_RETRY: Duration = Duration::from_secs(5);

/// Dot segments are removed: an access rule and the upstream must see the same path.
pub const NORMALIZE_PATHS: bool = true;
/// `//` is merged, for the same reason.
pub const MERGE_SLASHES: bool = true;
/// `%2F` and `%5C` mean different things to different servers, so a proxy at the edge refuses them.
pub const REJECT_ESCAPED_SLASHES: bool = true;
/// `_` in a field name reads like `-` to many servers (CGI), so a client could forge a field the proxy sets.
pub const REJECT_UNDERSCORES: bool = true;

/// CPU time of one hook.
pub const FILTER_DEADLINE: Duration = Duration::from_millis(5);
/// CPU time of `configure`: parsing a large list takes a while, and it runs off the workers.
pub const FILTER_CONFIGURE_DEADLINE: Duration = Duration::from_secs(5);
/// Wall time of one hook, waiting included: no caller of a service waits longer either.
pub const FILTER_HOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// Instances of one filter that can be at work at once, shared out among the workers. Only a filter that waits needs many.
pub const FILTER_INSTANCES: usize = 1000;
/// How long an exchange waits for an instance when all are at work; then the filter counts as failed.
pub const FILTER_INSTANCES_WAIT: Duration = Duration::from_secs(1);
/// Instances of all filters: only address space is set aside for them.
pub const INSTANCES: usize = 2000;
/// Exchanges that are over and whose complete hooks are pending, shared out among the workers: at some 8 KiB each they stay
/// under 100 MiB where hooks wait for a slow service.
pub const COMPLETE_HOOKS: usize = 10_000;
/// Hooks and attempts that are kept of an exchange that somebody looks at: more than long chains with retries have, some 20 KiB.
pub const TRAIL_STEPS: usize = 128;
/// Of the exchanges with which a trace begins: enough for latencies and little to store.
pub const TRACING_SAMPLE: f64 = 0.01;
/// Sampled exchanges whose spans wait to be sent: at some 4 KiB each, 8 MiB while a collector is away.
pub const TRACING_QUEUE: usize = 2048;
/// Exchanges whose spans are sent at once: some hundred KiB, which every collector takes.
pub const TRACING_BATCH: usize = 128;
/// How long the first of a batch waits for others: who looks at a trace has just made it.
pub const TRACING_BATCH_WAIT: Duration = Duration::from_secs(1);
/// One attempt to send a batch: what the exporters of others wait.
pub const TRACING_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a batch is sent: a collector that restarts is back by then, and what comes meanwhile has room in the queue.
pub const TRACING_ATTEMPTS: u32 = 4;
/// Hooks after which an instance is replaced; 0: never. A leak has grown by then, and a new instance is cheap.
pub const FILTER_RETIRE_AFTER: u64 = 100_000;
/// Lines that a filter may write into the log in a second; further ones are counted and dropped.
pub const FILTER_LOG_LINES: u64 = 100;
/// Calls within 10 s before a filter is judged.
pub const TRIP_CALLS: u64 = 20;
/// Of them, how many in a hundred must have failed for the filter to be left alone.
pub const TRIP_PERCENT: u32 = 50;
/// How long it is left alone the first time; twice as long each further time.
pub const TRIP_BACKOFF: Duration = Duration::from_secs(1);
/// The longest time.
pub const TRIP_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How often a resource that a filter has as an input is fetched again.
pub const INPUT_EVERY: Duration = Duration::from_secs(300);
/// How long a new version is on probation: long enough to see some traffic, short enough to be still thought of.
pub const FILTER_PROBATION: Duration = Duration::from_secs(60);
/// Linear memory of one instance.
pub const FILTER_MEMORY: usize = 16 * MIB;
/// Largest `memory` a filter can be given: the size of a slot in the instance pool.
pub const FILTER_MEMORY_MAX: usize = 256 * MIB;
/// Of one body, what waits for a filter made for proxy-wasm while it pauses: what the proxies have that such filters were made for.
pub const PROXY_WASM_BODY: usize = MIB;
/// Shared data and queues of filters with one `vm-id`: tokens, counters and keys of a large service.
pub const PROXY_WASM_SHARED: usize = 16 * MIB;
/// Instances of one worker that only finish their exchanges: one that streams for hours, and one that was replaced a moment ago.
pub const PROXY_WASM_OLD_INSTANCES: usize = 2;
/// Versions of a filter that can be gone back to: a bad day's worth of attempts, each a module on disk.
pub const STATE_VERSIONS: usize = 10;
/// Connections of operators at once: scrapers, probes and a page or two need a few.
pub const ADMIN_CONNECTIONS: usize = 64;
/// Head of a request to the admin, and a connection without one: operators are near, and there are few places.
pub const ADMIN_REQUEST_HEADERS: Duration = Duration::from_secs(10);
/// Who watches exchanges at once: a person or two, and a script.
pub const TAP_WATCHERS: usize = 8;
/// Exchanges that wait for one who watches: a second of a busy proxy, for somebody who reads faster than that on average.
pub const TAP_QUEUE: usize = 1024;
/// What these take: a queue of heads, or some sixty exchanges with whole bodies, so that eight who stall cost no more than a module.
pub const TAP_QUEUE_BYTES: usize = 8 * MIB;
/// Of one body, as much as whoever watches may ask for: what a person reads, times eight watchers and what waits for them.
pub const TAP_BODY_BYTES: usize = 64 * KIB;
/// Fields whose values let somebody in: telemetry does not show them.
pub const REDACT_FIELDS: &[&str] =
    &["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-csrf-token"];
/// The same for parameters of a query: what OAuth, signed links and login forms send.
pub const REDACT_QUERY: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "client_secret",
    "code",
    "id_token",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-security-token",
    "x-amz-signature",
];
/// Access log lines that wait for a slow output.
pub const ACCESS_LOG_QUEUE: usize = 65_536;

/// Keys of one store: a quota for each of a million clients.
pub const STORE_ENTRIES: usize = 1_000_000;
/// Memory of one store: what that many quotas need, and no more than a proxy beside a service has to spare.
pub const STORE_BYTES: usize = 256 * MIB;
/// One key: a token or a long path fits, a body does not.
pub const STORE_KEY_BYTES: usize = KIB;
/// One value: a cached decision or a session, not a response.
pub const STORE_VALUE_BYTES: usize = 64 * KIB;
/// One operation of a remote store: a round trip in a data centre takes one, and a client does not notice twenty.
pub const STORE_TIMEOUT: Duration = Duration::from_millis(20);
/// How long a process serves a rate from tokens that it has taken in advance: the clocks of a fleet agree better than that, and
/// nobody sees a limit that is late by it.
pub const STORE_LEASE_TIME: Duration = Duration::from_millis(100);
/// Tokens of one batch: past it a round trip costs nothing beside what it serves.
pub const STORE_LEASE_TOKENS: u64 = 1000;
/// How long what a process holds at once is held without it: a process that was killed gives back after that.
pub const STORE_HOLD_TIME: Duration = Duration::from_secs(10);
/// Everything that is kept of modules on disk: a few hundred modules with their compiled code, a few images.
pub const MODULE_CACHE_BYTES: u64 = 1024 * MIB as u64;
/// Fetching all modules of one load: a large one over a slow line, and an orchestrator has not given up yet.
pub const MODULE_FETCH: Duration = Duration::from_secs(30);

/// From one check of an endpoint to its next: an endpoint that dies is noticed by traffic long before.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// One check: who answers it later than that is no help to anybody who waits.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Checks in a row that have to fail: one lost packet or one long pause is no outage.
pub const HEALTH_UNHEALTHY: u32 = 3;
/// Checks in a row that have to succeed: one may be luck.
pub const HEALTH_HEALTHY: u32 = 2;

/// Attempts in a row without a connection or an answer: they tell of the endpoint, whatever was asked.
pub const OUTLIER_LOCAL_FAILURES: u32 = 5;
/// Answers in a row with 502, 503 or 504: the service itself says that it cannot.
pub const OUTLIER_GATEWAY_ERRORS: u32 = 5;
/// Any status of 500 and above in a row: off, for one client with one bad request can bring it about.
pub const OUTLIER_SERVER_ERRORS: u32 = 0;
/// Failures in a hundred: off, for what is bearable depends on the service.
pub const OUTLIER_FAILURE_PERCENT: u32 = 0;
/// Attempts before a share says anything.
pub const OUTLIER_FAILURE_REQUESTS: u32 = 20;
/// Comparing endpoints: off, for among endpoints that hardly ever fail the least difference is far from the mean.
pub const OUTLIER_SUCCESS_RATE: bool = false;
/// Attempts that make a share precise to about a percent.
pub const OUTLIER_SUCCESS_RATE_REQUESTS: u32 = 100;
/// Endpoints that a mean and a deviation can be taken of.
pub const OUTLIER_SUCCESS_RATE_ENDPOINTS: usize = 5;
/// Standard deviations below the mean, in hundredths: three endpoints in a hundred are that far off by chance.
pub const OUTLIER_SUCCESS_RATE_DEVIATION_PERCENT: u32 = 190;
/// What is looked back on: long enough for many attempts, short enough to be about now.
pub const OUTLIER_INTERVAL: Duration = Duration::from_secs(10);
/// The first ejection: a restart is over by then.
pub const OUTLIER_EJECTION: Duration = Duration::from_secs(30);
/// The longest ejection: what was repaired is found within minutes.
pub const OUTLIER_EJECTION_MAX: Duration = Duration::from_secs(300);
/// What is added at random, so that those that went together, and other proxies, do not come back together.
pub const OUTLIER_EJECTION_JITTER: Duration = Duration::from_secs(3);
/// Of a hundred endpoints, how many are out at a time: the other half may still bear the load; fewer than that could not.
pub const OUTLIER_EJECTED_PERCENT: u32 = 50;

/// Where the calls of a service are redirected to, and those to it: what other meshes use, so that firewalls know them.
pub const SIDECAR_OUTBOUND_PORT: u16 = 15001;
pub const SIDECAR_INBOUND_PORT: u16 = 15006;
