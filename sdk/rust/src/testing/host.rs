//! The host's functions, faked: the same names and shapes as those that a filter imports.

/// One field of a reply.
pub struct Field {
    pub name: String,
    pub value: Vec<u8>,
}

pub mod setup {
    use crate::testing::hand::{Phase, with};

    pub fn want(hook: &str) -> Result<(), String> {
        with(|hand| {
            assert!(hand.phase == Phase::Configure, "trap: `want` belongs into `configure`");
            hand.wanted.push(hook.to_owned());
        });
        Ok(())
    }

    pub fn keep_state() {
        with(|hand| {
            assert!(hand.phase == Phase::Configure, "trap: `keep-state` belongs into `configure`");
            hand.kept = true;
        });
    }
}

pub mod request {
    use http::Method;

    use crate::testing::hand::with_exchange;
    use crate::testing::{rules, target};

    pub fn method() -> String {
        with_exchange(|hand| hand.request.method.clone())
    }

    pub fn scheme() -> String {
        with_exchange(|hand| hand.request.scheme.clone())
    }

    pub fn authority() -> String {
        with_exchange(|hand| hand.request.authority.clone())
    }

    pub fn path() -> String {
        with_exchange(|hand| target::split(&hand.request.target).0.to_owned())
    }

    pub fn query() -> Option<String> {
        with_exchange(|hand| target::split(&hand.request.target).1.map(str::to_owned))
    }

    pub fn id() -> String {
        with_exchange(|hand| hand.id.clone())
    }

    pub fn deadline_left_ms() -> Option<u64> {
        with_exchange(|hand| hand.deadline_left.map(|left| left.as_millis() as u64))
    }

    pub fn set_method(method: &str) -> Result<(), String> {
        match Method::from_bytes(method.as_bytes()) {
            Ok(Method::CONNECT) => Err("CONNECT cannot be set".to_owned()),
            Ok(_) => {
                with_exchange(|hand| hand.request.method = method.to_owned());
                Ok(())
            }
            Err(_) => Err(format!("`{method}` is not a valid method")),
        }
    }

    pub fn set_authority(authority: &str) -> Result<(), String> {
        target::check_authority(authority)?;
        with_exchange(|hand| hand.request.authority = authority.to_owned());
        Ok(())
    }

    pub fn set_target(path_and_query: &str) -> Result<(), String> {
        target::check(path_and_query)?;
        with_exchange(|hand| hand.request.target = path_and_query.to_owned());
        Ok(())
    }

    pub fn header(name: &str) -> Option<Vec<u8>> {
        with_exchange(|hand| rules::joined(&hand.request.headers, name))
    }

    pub fn headers(name: &str) -> Vec<Vec<u8>> {
        with_exchange(|hand| rules::each(&hand.request.headers, name))
    }

    pub fn all_headers() -> Vec<u8> {
        with_exchange(|hand| rules::packed(&hand.request.headers))
    }

    pub fn set_header(name: &str, value: &[u8]) -> Result<(), String> {
        let (name, value) = rules::field(name, value)?;
        with_exchange(|hand| hand.request.headers.insert(name, value));
        Ok(())
    }

    pub fn add_header(name: &str, value: &[u8]) -> Result<(), String> {
        let (name, value) = rules::field(name, value)?;
        with_exchange(|hand| hand.request.headers.append(name, value));
        Ok(())
    }

    pub fn remove_header(name: &str) {
        with_exchange(|hand| rules::remove(&mut hand.request.headers, name));
    }
}

pub mod response {
    use crate::testing::hand::{ResponseHead, with_exchange};
    use crate::testing::rules;

    fn with_response<T>(call: impl FnOnce(&mut ResponseHead) -> T) -> T {
        with_exchange(|hand| call(hand.response.as_mut().expect("trap: there is no response in the request phase")))
    }

    pub fn status() -> u16 {
        with_response(|response| response.status.as_u16())
    }

    pub fn set_status(status: u16) -> Result<(), String> {
        let status = rules::status(status)?;
        with_response(|response| response.status = status);
        Ok(())
    }

    pub fn origin() -> String {
        with_response(|response| response.origin.clone())
    }

    pub fn header(name: &str) -> Option<Vec<u8>> {
        with_response(|response| rules::joined(&response.headers, name))
    }

    pub fn headers(name: &str) -> Vec<Vec<u8>> {
        with_response(|response| rules::each(&response.headers, name))
    }

    pub fn all_headers() -> Vec<u8> {
        with_response(|response| rules::packed(&response.headers))
    }

    pub fn set_header(name: &str, value: &[u8]) -> Result<(), String> {
        let (name, value) = rules::field(name, value)?;
        with_response(|response| response.headers.insert(name, value));
        Ok(())
    }

    pub fn add_header(name: &str, value: &[u8]) -> Result<(), String> {
        let (name, value) = rules::field(name, value)?;
        with_response(|response| response.headers.append(name, value));
        Ok(())
    }

    pub fn remove_header(name: &str) {
        with_response(|response| rules::remove(&mut response.headers, name));
    }
}

pub mod reply {
    use http::{HeaderMap, HeaderValue, StatusCode, header};

    use super::Field;
    use crate::testing::hand::{ResponseHead, with_exchange};
    use crate::testing::rules;

    pub fn set(status: u16, fields: &[Field], body: &[u8]) -> Result<(), String> {
        let status = rules::status(status)?;
        let mut headers = HeaderMap::new();
        for field in fields {
            let (name, value) = rules::field(&field.name, &field.value)?;
            headers.append(name, value);
        }
        if body.len() > REPLY_BYTES_MAX {
            return Err(format!("the body has {} bytes, expected at most {REPLY_BYTES_MAX}", body.len()));
        }
        offer(ResponseHead { status, origin: "filter".to_owned(), headers, body: body.to_vec() });
        Ok(())
    }

    pub fn set_grpc(status: u32, message: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(status));
        if !message.is_empty()
            && let Ok(message) = HeaderValue::from_str(&rules::percent_encoded(message))
        {
            headers.insert("grpc-message", message);
        }
        offer(ResponseHead { status: StatusCode::OK, origin: "filter".to_owned(), headers, body: Vec::new() });
    }

    const REPLY_BYTES_MAX: usize = 1 << 20;

    fn offer(reply: ResponseHead) {
        with_exchange(|hand| hand.reply = Some(reply));
    }
}

pub mod connection {
    use crate::testing::hand::with_exchange;

    pub fn source_address() -> String {
        with_exchange(|hand| hand.wire.source.clone())
    }

    pub fn peer_address() -> String {
        with_exchange(|hand| hand.wire.peer.clone())
    }

    pub fn local_address() -> String {
        with_exchange(|hand| hand.wire.local.clone())
    }

    pub fn original_destination() -> Option<String> {
        with_exchange(|_| None)
    }

    pub fn trusted() -> bool {
        with_exchange(|hand| hand.wire.trusted)
    }

    pub fn listener() -> String {
        with_exchange(|hand| hand.wire.listener.clone())
    }

    pub fn protocol() -> String {
        with_exchange(|hand| hand.wire.protocol.clone())
    }

    pub fn tls_version() -> Option<String> {
        with_exchange(|hand| hand.wire.tls_version.clone())
    }

    pub fn server_name() -> Option<String> {
        with_exchange(|hand| hand.wire.server_name.clone())
    }

    pub fn client_identities() -> Vec<String> {
        with_exchange(|hand| hand.wire.client_identities.clone())
    }

    pub fn client_fingerprint() -> Option<String> {
        with_exchange(|_| None)
    }
}

pub mod destination {
    use std::time::Duration;

    use crate::testing::hand::with_exchange;

    pub fn cluster() -> Option<String> {
        with_exchange(|hand| hand.goal.cluster.clone())
    }

    pub fn set_cluster(name: &str) -> Result<(), String> {
        with_exchange(|hand| match hand.goal.clusters.get(name) {
            Some(known) => {
                hand.goal.cluster = Some(known.clone());
                Ok(())
            }
            None => Err(format!("no cluster named `{name}`")),
        })
    }

    pub fn route() -> Option<String> {
        with_exchange(|hand| hand.goal.route.clone())
    }

    pub fn set_route(name: &str) {
        with_exchange(|hand| hand.goal.route = Some(name.to_owned()));
    }

    pub fn set_timeout_ms(total: u32) {
        with_exchange(|hand| hand.goal.timeout = (total > 0).then(|| Duration::from_millis(u64::from(total))));
    }
}

pub mod notes {
    use crate::testing::hand::with_exchange;

    const NOTES_MAX: usize = 64;
    const NOTE_BYTES_MAX: usize = 4096;

    pub fn get(key: &str) -> Option<String> {
        with_exchange(|hand| hand.notes.get(key).cloned())
    }

    pub fn set(key: &str, value: &str) {
        let key = &key[..key.floor_char_boundary(NOTE_BYTES_MAX)];
        let value = &value[..value.floor_char_boundary(NOTE_BYTES_MAX)];
        with_exchange(|hand| {
            if hand.notes.contains_key(key) || hand.notes.len() < NOTES_MAX {
                hand.notes.insert(key.to_owned(), value.to_owned());
            }
        });
    }
}

pub mod log {
    use crate::log::Severity as Level;
    use crate::testing::hand::with;

    #[derive(Clone, Copy)]
    pub enum Severity {
        Trace,
        Debug,
        Info,
        Warn,
        Error,
    }

    impl From<Severity> for Level {
        fn from(severity: Severity) -> Self {
            match severity {
                Severity::Trace => Level::Trace,
                Severity::Debug => Level::Debug,
                Severity::Info => Level::Info,
                Severity::Warn => Level::Warn,
                Severity::Error => Level::Error,
            }
        }
    }

    pub fn enabled(severity: Severity) -> bool {
        with(|hand| Level::from(severity) >= hand.log_level)
    }

    pub fn write(severity: Severity, message: &str) {
        with(|hand| {
            if Level::from(severity) >= hand.log_level {
                hand.logs.push((severity.into(), message.to_owned()));
            }
        });
    }
}

pub mod clock {
    use std::sync::LazyLock;
    use std::time::{Instant, SystemTime};

    use crate::testing::hand::with;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    pub fn now_ns() -> u64 {
        let stopped = with(|hand| hand.now);
        let now = stopped.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
        now.as_nanos() as u64
    }

    pub fn monotonic_ns() -> u64 {
        with(|_| START.elapsed().as_nanos() as u64)
    }
}

pub mod entropy {
    use crate::testing::hand::with;

    const BYTES_MAX: u32 = 64 * 1024;

    /// SplitMix64: a test that draws gets the same draws each time it runs.
    pub fn next() -> u64 {
        with(|hand| {
            hand.entropy = hand.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = hand.entropy;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    }

    pub fn bytes(count: u32) -> Vec<u8> {
        assert!(count <= BYTES_MAX, "trap: at most {BYTES_MAX} random bytes at once");
        let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
        bytes.truncate(count as usize);
        bytes
    }
}
