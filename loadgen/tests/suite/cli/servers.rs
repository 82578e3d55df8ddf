//! `serve`: a server in a process of its own, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::refused;

/// A server of ours in a process of its own.
pub(crate) struct Server {
    pub(super) child: Child,
    pub(crate) address: String,
    ready: Value,
}

impl Server {
    pub(crate) fn start(arm: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
            .args(["serve", arm, "--listen", "127.0.0.1:0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready["address"].as_str().unwrap().to_string();
        Self { child, address, ready }
    }

    fn ask(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_served_arm_logs_in_and_tells_who_is_there() {
    let server = Server::start("jwt-hs256");
    assert_eq!(server.ready["arm"], "jwt-hs256");
    assert_eq!(server.ready["pid"], server.child.id());
    let body = r#"{"username":"user-7","password":"password-7"}"#;
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Server::ask(&server.address, &login);
    let token = answer.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap();
    let me = format!(
        "GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert!(Server::ask(&server.address, &me).contains("\"user_id\":7"));
    let admin = server.ready["admin"].as_str().unwrap();
    let stats = "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(Server::ask(admin, stats).contains("\"allocated_bytes\":"));
    assert!(Server::ask(&server.address, stats).starts_with("HTTP/1.1 404"));
}

/// Fault 32: a server ends with its parent.
#[test]
fn a_server_stops_when_its_parent_is_gone() {
    let mut server = Server::start("none");
    drop(server.child.stdin.take());
    assert!(
        server.ended_within(Duration::from_secs(60)),
        "stdin is closed and the server serves on"
    );
}

/// Fault 31: a port in use is named.
#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refused(&["serve", "none", "--listen", &address], 2);
    assert!(text.contains(&address), "{text}");
}
