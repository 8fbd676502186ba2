//! Asks Redis before a request goes on, by the functions that Higress has added to the ABI: its path is the command, a word in each segment.
//! `x-service` names another service, `/twice` sends two commands at once. What came of it is told the client.

use std::cell::RefCell;
use std::collections::HashMap;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_redis_init(
        service: *const u8,
        service_size: usize,
        user: *const u8,
        user_size: usize,
        password: *const u8,
        password_size: usize,
        timeout_ms: u32,
    ) -> u32;
    fn proxy_redis_call(service: *const u8, service_size: usize, query: *const u8, query_size: usize, token: *mut u32) -> u32;
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_100() {}

thread_local! {
    /// Which context waits for which command.
    static ASKED: RefCell<HashMap<u32, u32>> = RefCell::default();
    static TOLD: RefCell<HashMap<u32, Vec<String>>> = RefCell::default();
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_redis_call_response(_root: u32, token: u32, status: u32, size: usize) {
    let Some(context) = ASKED.with_borrow_mut(|asked| asked.remove(&token)) else { return };
    // The exchange may be over.
    if hostcalls::set_effective_context(context).is_err() {
        return;
    }
    let reply = hostcalls::get_buffer(BufferType::GrpcReceiveBuffer, 0, size);
    assert_eq!(reply.unwrap(), None, "it is another buffer");
    let reply = redis_reply(size);
    let said = format!("{} {}", status as i32, String::from_utf8_lossy(&reply).trim_end().replace("\r\n", "|"));
    let all = TOLD.with_borrow_mut(|told| {
        let all = told.entry(context).or_default();
        all.push(said);
        all.join(", ")
    });
    if !ASKED.with_borrow(|asked| asked.values().any(|other| *other == context)) {
        TOLD.with_borrow_mut(|told| told.remove(&context));
        hostcalls::send_http_response(200, vec![("x-redis", &all)], None).unwrap();
    }
}

/// The buffer that the SDK has no name for.
fn redis_reply(size: usize) -> Vec<u8> {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn proxy_get_buffer_bytes(buffer: u32, start: usize, most: usize, to: *mut *mut u8, size: *mut usize) -> u32;
    }
    let (mut at, mut length) = (std::ptr::null_mut(), 0);
    let status = unsafe { proxy_get_buffer_bytes(9, 0, size, &mut at, &mut length) };
    assert_eq!(status, 0);
    if at.is_null() { Vec::new() } else { unsafe { Vec::from_raw_parts(at, length, length) } }
}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    /// `service user password timeout`, with `-` for none.
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = String::from_utf8(self.get_plugin_configuration().unwrap_or_default()).unwrap();
        let words: Vec<_> = configuration.split(' ').map(|word| if word == "-" { "" } else { word }).collect();
        let [service, user, password, timeout] = words[..] else { return false };
        let status = unsafe {
            proxy_redis_init(
                service.as_ptr(),
                service.len(),
                user.as_ptr(),
                user.len(),
                password.as_ptr(),
                password.len(),
                timeout.parse().unwrap(),
            )
        };
        status == 0
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Asking { context }))
    }
}

struct Asking {
    context: u32,
}

impl Asking {
    fn ask(&self, service: &str, words: &[&str]) -> u32 {
        let mut query = format!("*{}\r\n", words.len());
        for word in words {
            query.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let mut token = 0;
        let status = unsafe { proxy_redis_call(service.as_ptr(), service.len(), query.as_ptr(), query.len(), &mut token) };
        if status == 0 {
            ASKED.with_borrow_mut(|asked| assert_eq!(asked.insert(token, self.context), None));
        }
        status
    }
}

impl Context for Asking {}

impl HttpContext for Asking {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let service = self.get_http_request_header("x-service").unwrap_or_else(|| "redis?db=2".to_owned());
        let words: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let status = match path.as_str() {
            "/twice" => self.ask(&service, &["INCR", "twice"]).max(self.ask(&service, &["INCR", "twice"])),
            _ => self.ask(&service, &words),
        };
        if status != 0 {
            self.send_http_response(200, vec![("x-redis", &format!("refused {status}"))], None);
        }
        Action::Pause
    }
}
