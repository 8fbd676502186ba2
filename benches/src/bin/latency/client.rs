//! Requests at an even pace, over connections that are kept; who has waited long enough closes its connection.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::{DEADLINE, RATE};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: service\r\n\r\n";
const END: &[u8] = b"ok\n";

pub struct Request {
    /// After the first one.
    pub began: Duration,
    /// `None`: not in time, or with an error.
    pub took: Option<Duration>,
}

#[derive(Default)]
struct Shared {
    idle: Vec<TcpStream>,
    requests: Vec<Request>,
}

/// Calls `at` at the beginning of each second.
pub fn run(proxy: SocketAddr, length: Duration, mut at: impl FnMut(u64)) -> Vec<Request> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let shared = Rc::new(RefCell::new(Shared::default()));
    let running = async {
        let start = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_secs(1) / RATE as u32);
        for number in 0..RATE * length.as_secs() {
            pace.tick().await;
            if number % RATE == 0 {
                at(number / RATE);
            }
            tokio::task::spawn_local(request(proxy, start, Rc::clone(&shared)));
        }
        tokio::time::sleep(DEADLINE * 2).await;
    };
    LocalSet::new().block_on(&runtime, running);
    std::mem::take(&mut shared.borrow_mut().requests)
}

async fn request(proxy: SocketAddr, start: Instant, shared: Rc<RefCell<Shared>>) {
    let began = Instant::now();
    let idle = shared.borrow_mut().idle.pop();
    let answer = tokio::time::timeout(DEADLINE, exchange(proxy, idle)).await;
    let took = match answer {
        Ok(Ok(stream)) => {
            shared.borrow_mut().idle.push(stream);
            Some(began.elapsed())
        }
        _ => None,
    };
    shared.borrow_mut().requests.push(Request { began: began - start, took });
}

async fn exchange(proxy: SocketAddr, idle: Option<TcpStream>) -> std::io::Result<TcpStream> {
    let mut stream = match idle {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(proxy).await?;
            stream.set_nodelay(true)?;
            stream
        }
    };
    stream.write_all(REQUEST).await?;
    let mut buffer = [0; 1024];
    let mut read = 0;
    while !buffer[..read].ends_with(END) {
        match stream.read(&mut buffer[read..]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => read += count,
        }
    }
    match buffer.starts_with(b"HTTP/1.1 200") {
        true => Ok(stream),
        false => Err(std::io::ErrorKind::InvalidData.into()),
    }
}
