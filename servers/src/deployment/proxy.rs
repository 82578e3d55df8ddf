//! The proxy of a deployment: its settings, its process, and how it keeps a user at one server.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::contract::{ProxyProcess, STORE_URL_VARIABLE};
use crate::error::{ServeError, StoreError};
use crate::serve::{bind, limits};
use crate::stores::own::{Home, OwnServer, Program, free_port};

/// The cookie by which a proxy knows the server of a user; nginx allows no hyphen in it.
pub const AFFINITY_COOKIE: &str = "authbench_server";

/// Ports that are tried: somebody else may take one before the proxy does.
const TRIES: u32 = 5;
/// Connections of clients, at most; a load has 16,000.
const CLIENTS_MAX: usize = 20_000;
/// Descriptors that a proxy needs besides its connections.
const OTHER_DESCRIPTORS: usize = 256;

/// Which proxy stands before the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Debian's `haproxy`.
    Haproxy,
    /// Debian's `nginx-light`.
    Nginx,
}

/// How a proxy chooses the server of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One server after the other, for all users alike.
    #[default]
    RoundRobin,
    /// The server that answered the user before, as a cookie of the proxy says; a user without the
    /// cookie, or with that of a server that is gone, gets the next one.
    Sticky,
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "haproxy" => Ok(Self::Haproxy),
            "nginx" => Ok(Self::Nginx),
            _ => Err(format!("expected haproxy or nginx, found `{text}`")),
        }
    }
}

impl FromStr for Balance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "round-robin" => Ok(Self::RoundRobin),
            "sticky" => Ok(Self::Sticky),
            _ => Err(format!("expected round-robin or sticky, found `{text}`")),
        }
    }
}

impl Proxy {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// The program that it is started from.
    #[must_use]
    pub const fn program(self) -> Program {
        let package = match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx-light",
        };
        Program { name: self.name(), package, versions: None }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy.cfg",
            Self::Nginx => "nginx.conf",
        }
    }

    const fn arguments(self) -> &'static [&'static str] {
        match self {
            // In the foreground, one process.
            Self::Haproxy => &["-db", "-f", "haproxy.cfg"],
            Self::Nginx => &["-p", ".", "-e", "stderr", "-c", "nginx.conf"],
        }
    }

    /// Its version, as it says it itself.
    fn version(self, program: &Path) -> String {
        let mut command = Command::new(program);
        let said = command.arg("-v").env_remove(STORE_URL_VARIABLE).output();
        let said = said.map(|said| [said.stdout, said.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&said);
        let found = match self {
            // HAProxy version 2.6.12-1+deb12u2 2025/04/16 - https://haproxy.org/
            Self::Haproxy => text.split_whitespace().nth(2),
            // nginx version: nginx/1.22.1
            Self::Nginx => {
                text.split_once('/').and_then(|(_, rest)| rest.split_whitespace().next())
            }
        };
        let version = found.unwrap_or("of an unknown version");
        format!("{} {version}", self.name())
    }

    fn settings(self, plan: &Plan<'_>) -> String {
        match self {
            Self::Haproxy => haproxy(plan),
            Self::Nginx => nginx(plan),
        }
    }
}

/// What the settings of a proxy follow from.
struct Plan<'a> {
    listen: SocketAddr,
    servers: &'a [SocketAddr],
    balance: Balance,
    threads: usize,
    clients: usize,
}

/// Settings of HAProxy 2.2 and later.
///
/// A server that refuses a connection is taken out at once and asked every second whether it is
/// back; what was sent on a connection is sent to no other server, so a request is never carried
/// out twice. Each request may take another connection to a server, as is the default.
fn haproxy(plan: &Plan<'_>) -> String {
    let Plan { listen, servers, balance, threads, clients } = plan;
    let mut text = format!(
        "global\n  maxconn {clients}\n  nbthread {threads}\n\
         defaults\n  mode http\n  timeout connect 2s\n  timeout client 10m\n  timeout server 1m\n  \
         retries 3\n  option redispatch 1\n\
         frontend public\n  bind {listen} backlog 4096\n  default_backend servers\n\
         backend servers\n  balance roundrobin\n"
    );
    // Writing to a string cannot fail.
    if *balance == Balance::Sticky {
        let _ = writeln!(text, "  cookie {AFFINITY_COOKIE} insert indirect nocache httponly");
    }
    text += "  default-server check inter 1s fall 1 rise 1 observe layer4 error-limit 1 \
             on-error mark-down\n";
    for (n, server) in servers.iter().enumerate() {
        let cookie = match balance {
            Balance::Sticky => format!(" cookie s{n}"),
            Balance::RoundRobin => String::new(),
        };
        let _ = writeln!(text, "  server s{n} {server}{cookie}");
    }
    text
}

/// Settings of nginx 1.18 and later.
///
/// Its own way of keeping users at a server by a cookie is not in the free version, so maps do it:
/// the cookie chooses a group with that server and the others in reserve, and the answer sets the
/// cookie where another server gave it.
fn nginx(plan: &Plan<'_>) -> String {
    let Plan { listen, servers, balance, threads, clients } = plan;
    // Each client has a connection of its own and at most one to a server.
    let connections = (clients * 2 + OTHER_DESCRIPTORS).div_ceil(*threads);
    let descriptors = connections + OTHER_DESCRIPTORS;
    let mut text = format!(
        "daemon off;\nworker_processes {threads};\npid nginx.pid;\nerror_log stderr error;\n\
         worker_rlimit_nofile {descriptors};\nevents {{ worker_connections {connections}; }}\n\
         http {{\naccess_log off;\nserver_tokens off;\ntcp_nodelay on;\nkeepalive_timeout 10m;\n\
         keepalive_requests 1000000000;\nclient_max_body_size 1m;\nproxy_connect_timeout 2s;\n\
         client_header_timeout 10m;\nproxy_read_timeout 1m;\nclient_body_temp_path body;\n\
         proxy_temp_path proxied;\nfastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\n\
         scgi_temp_path scgi;\nproxy_headers_hash_max_size 1024;\n"
    );
    let mut group = |name: &str, first: usize, others: &str| {
        let _ = writeln!(text, "upstream {name} {{");
        for place in 0..servers.len() {
            let n = (first + place) % servers.len();
            let role = if place == 0 { "" } else { others };
            let _ = writeln!(text, "server {} max_fails=1 fail_timeout=1s{role};", servers[n]);
        }
        text += "keepalive 512;\nkeepalive_requests 1000000000;\nkeepalive_timeout 10m;\n}\n";
    };
    group("everybody", 0, "");
    let sticky = *balance == Balance::Sticky;
    if sticky {
        (0..servers.len()).for_each(|n| group(&format!("s{n}"), n, " backup"));
        text += &affinity(servers);
    }
    let (to, cookie) = match balance {
        Balance::Sticky => ("$group", "add_header Set-Cookie $new_cookie always;\n"),
        Balance::RoundRobin => ("everybody", ""),
    };
    let _ = write!(
        text,
        "server {{\nlisten {listen} backlog=4096;\nlocation / {{\nproxy_pass http://{to};\n\
         proxy_http_version 1.1;\nproxy_set_header Host $http_host;\n\
         proxy_set_header Connection \"\";\n{cookie}}}\n}}\n}}\n"
    );
    text
}

/// The maps of nginx: from the cookie to a group, from the address of the server that answered to
/// its name, and from the two to the cookie that the answer sets.
fn affinity(servers: &[SocketAddr]) -> String {
    let mut text = format!("map $cookie_{AFFINITY_COOKIE} $group {{\ndefault everybody;\n");
    let names = || (0..servers.len()).map(|n| format!("s{n}"));
    for name in names() {
        let _ = writeln!(text, "{name} {name};");
    }
    text += "}\nmap $upstream_addr $answered {\ndefault \"\";\n";
    for (name, server) in names().zip(servers) {
        // Of several that were asked the last one answered.
        let address = server.to_string().replace('.', "\\.");
        let _ = writeln!(text, "\"~(^|[ ,]){address}$\" {name};");
    }
    let _ = write!(
        text,
        "}}\nmap \"$cookie_{AFFINITY_COOKIE}/$answered\" $new_cookie {{\n\
         default \"{AFFINITY_COOKIE}=$answered; path=/; HttpOnly\";\n\"~/$\" \"\";\n"
    );
    for name in names() {
        let _ = writeln!(text, "\"{name}/{name}\" \"\";");
    }
    text + "}\n"
}

/// A proxy that runs, and ends when this is dropped.
#[derive(Debug)]
pub(super) struct RunningProxy {
    server: OwnServer,
    name: String,
    pub(super) address: SocketAddr,
}

impl RunningProxy {
    /// Starts one before these servers; port 0 takes a free one.
    pub(super) async fn start(
        proxy: Proxy,
        listen: SocketAddr,
        servers: &[SocketAddr],
        balance: Balance,
        threads: usize,
    ) -> Result<Self, ServeError> {
        let program = proxy.program().require()?;
        let mut tries = 1;
        loop {
            let refused = |found: String| StoreError {
                store: proxy.name(),
                operation: "be given a port",
                found,
            };
            let port = match listen.port() {
                0 => free_port().map_err(|error| refused(error.to_string()))?,
                port => port,
            };
            let address = SocketAddr::new(listen.ip(), port);
            // A listener of somebody else's would be taken for the proxy's.
            drop(bind(address)?);
            let clients = (limits::connections_default() / 2).saturating_sub(OTHER_DESCRIPTORS);
            let clients = clients.clamp(16, CLIENTS_MAX);
            let plan = Plan { listen: address, servers, balance, threads, clients };
            match Self::start_at(proxy, &program, &plan).await {
                Err(_) if listen.port() == 0 && tries < TRIES => tries += 1,
                done => return done.map_err(ServeError::Proxy),
            }
        }
    }

    async fn start_at(proxy: Proxy, program: &Path, plan: &Plan<'_>) -> Result<Self, StoreError> {
        let settings = proxy.settings(plan);
        let users = [proxy.name(), "www-data", "nobody"];
        let home = Home::make(proxy.name(), &users, &[(proxy.file(), &settings)])?;
        let server = OwnServer::start(home, program, proxy.arguments(), "TERM")?;
        server.ready(|| answers(plan.listen)).await?;
        Ok(Self { server, name: proxy.version(program), address: plan.listen })
    }

    /// What a ready line says of it.
    pub(super) fn process(&self) -> ProxyProcess {
        ProxyProcess { name: self.name.clone(), pid: self.server.pid() }
    }
}

/// Whether a request passes: any answer of a server will do, and none that the proxy gives because
/// it finds no server.
async fn answers(address: SocketAddr) -> Result<(), String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /me HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(16 << 10).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(2), ask).await;
    let answer = answer.map_err(|_| "no answer".to_string())?.map_err(|e| e.to_string())?;
    let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
    match status.as_bytes() {
        [b'2' | b'4', ..] => Ok(()),
        [] => Err("it closed the connection".into()),
        _ => Err(format!("it answers with status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(servers: &[SocketAddr], balance: Balance) -> Plan<'_> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8000));
        Plan { listen, servers, balance, threads: 1, clients: 100 }
    }

    #[test]
    fn settings_name_every_server_and_no_cookie_where_none_is_needed() {
        let servers = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        for proxy in [Proxy::Haproxy, Proxy::Nginx] {
            let plain = proxy.settings(&plan(&servers, Balance::RoundRobin));
            let sticky = proxy.settings(&plan(&servers, Balance::Sticky));
            assert!(!plain.contains(AFFINITY_COOKIE) && sticky.contains(AFFINITY_COOKIE));
            for server in servers {
                assert_eq!(plain.matches(&server.to_string()).count(), 1, "{plain}");
            }
        }
    }

    #[test]
    fn other_words_are_refused_with_what_was_found() {
        assert!("traefik".parse::<Proxy>().unwrap_err().contains("found `traefik`"));
        assert!("random".parse::<Balance>().unwrap_err().contains("found `random`"));
    }
}
