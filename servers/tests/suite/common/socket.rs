//! A server on real sockets, and requests as bytes. Every listener binds port 0 on the loopback; a
//! read ends with its connection, within a limit that no machine should need.

use std::net::SocketAddr;
use std::time::Duration;

use servers::contract::{AdminStats, ReadyLine};
use servers::{ServeError, ServeOptions, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Server {
    pub line: ReadyLine,
    pub stop: oneshot::Sender<()>,
    pub task: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub async fn start(options: ServeOptions) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (public, admin) = (bind(any).unwrap(), bind(any).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, line) = oneshot::channel();
        let task = tokio::spawn(async move {
            let ready = |line: &ReadyLine| ready.send(line.clone()).unwrap();
            serve(options, public, admin, ready, async { drop(stopped.await) }).await
        });
        Self { line: line.await.unwrap(), stop, task }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.line.address).await.unwrap()
    }

    /// Sends bytes on a connection of their own and reads to its end.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        exchange(self.line.address, bytes).await
    }

    pub async fn stats(&self) -> AdminStats {
        let answer = exchange(self.line.admin, get("/stats")).await;
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early may close while we still write: its answer is there anyway
    //.
    let (mut reading, mut writing) = stream.split();
    let mut text = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = reading.read(&mut piece).await {
            text.extend_from_slice(&piece[..n]);
        }
    };
    let both = async { tokio::join!(writing.write_all(bytes.as_ref()), read) };
    tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("an answer and its end")
        .0
        .ok();
    String::from_utf8(text).unwrap()
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

pub fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Connection: close\r\n{headers}\r\n{body}"
    )
}

pub fn login(n: u32) -> String {
    let body = format!(r#"{{"username":"user-{n}","password":"password-{n}"}}"#);
    post("/login", &format!("Content-Length: {}\r\n", body.len()), &body)
}

pub fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}
