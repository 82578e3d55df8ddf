//! A server that does nothing but answer: what the generator can offer at most is seen against it.
//! It reads requests without a body, understands nothing of them but their end, and answers all
//! with the same few bytes. It is no arm and never compared with one.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::error::{Error, Result};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const REQUEST_END: &[u8] = b"\r\n\r\n";

/// A null server on a thread of its own; it stops when it is dropped.
pub struct NullServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NullServer {
    /// Starts it on a free loopback port, on these cores (none: anywhere).
    ///
    /// # Errors
    /// `Config` when this machine gives no port, thread or event queue for it.
    pub fn start(cores: &[usize]) -> Result<Self> {
        let refused = |e: std::io::Error| Error::Config(format!("no null server: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::runtime("the null server"))?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (stop, stopped) = oneshot::channel();
        let cores = cores.to_vec();
        let serve = move || {
            if !cores.is_empty() {
                let mut set = rustix::thread::CpuSet::new();
                cores.iter().for_each(|core| set.set(*core));
                // A refusal leaves it where it is, which the figures will show.
                let _ = rustix::thread::sched_setaffinity(None, &set);
            }
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().spawn(serve).map_err(refused)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener) {
    loop {
        // A client that was not accepted notices by itself.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    }
}

async fn answer(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::with_capacity(4096);
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        let mut from = 0;
        let mut answers = 0;
        while let Some(at) = bytes[from..].windows(4).position(|window| window == REQUEST_END) {
            from += at + REQUEST_END.len();
            answers += 1;
        }
        bytes.drain(..from);
        if stream.write_all(&ANSWER.repeat(answers)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn every_request_is_answered_once_however_it_is_cut() {
        let server = NullServer::start(&[]).unwrap();
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        for part in ["GET / HTTP/1.1\r\nHost: x\r", "\n\r", "\nGET / HTTP/1.1\r\n\r\n"] {
            stream.write_all(part.as_bytes()).unwrap();
            thread::sleep(std::time::Duration::from_millis(5));
        }
        let mut answers = vec![0; ANSWER.len() * 2];
        stream.read_exact(&mut answers).unwrap();
        assert_eq!(answers, ANSWER.repeat(2));
        drop(server);
        assert_eq!(stream.read(&mut answers).unwrap_or(0), 0, "nothing follows");
    }
}
