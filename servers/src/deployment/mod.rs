//! Several servers of one arm behind a proxy, which share a key and a store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::contract::{Cookies, ReadyLine, Secrets};
use crate::error::ServeError;
use crate::schemes::{ArmInfo, arms};
use crate::serve::limits::Limits;
use crate::serve::{
    ADMIN_CONNECTIONS_MAX, ServeOptions, Shared, accept, address, far_away, join, put_away,
    relay_process, share_given,
};
use crate::stores::relay::Relay;
use crate::stores::{self, Boxed};

mod inside;
mod member;
mod proxy;

use inside::Inside;
use member::Member;
use proxy::RunningProxy;
pub use proxy::{AFFINITY_COOKIE, Balance, Proxy};

/// Most servers of a deployment.
pub const SERVERS_MAX: u32 = 16;

/// How servers are deployed.
///
/// A service is more than one process behind something that spreads requests over them. Here it is
/// that on one machine: the servers are processes of this program, each started with the key and
/// the store of all, and a proxy from the machine's packages passes requests on to them over
/// connections that stay open. All of them run on the cores of the one that starts them, which
/// itself only answers on the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Servers.
    pub servers: u32,
    /// What stands before them.
    pub proxy: Proxy,
    /// How it chooses one of them.
    pub balance: Balance,
    /// Flags that each server is started with, besides those that say what is shared.
    pub arguments: Vec<String>,
}

impl Deployment {
    /// Refuses what would not be what it says.
    ///
    /// # Errors
    /// [`ServeError::Deployment`], with the reason.
    pub fn check(&self, options: &ServeOptions) -> Result<(), ServeError> {
        let refuse = |why: String| Err(ServeError::Deployment { why });
        if !(1..=SERVERS_MAX).contains(&self.servers) {
            return refuse(format!(
                "expected from 1 to {SERVERS_MAX} servers, found {}",
                self.servers
            ));
        }
        let info = arms().iter().find(|info| info.arm == options.arm);
        if let Some(info) = info.filter(|info| keeps_to_itself(info))
            && self.servers > 1
            && self.balance == Balance::RoundRobin
        {
            return refuse(format!(
                "`{}` keeps its state in the memory of one process, so of {} servers all but one \
                 would refuse a user; balance them sticky, or choose an arm with a store of its \
                 own such as `session@redis`",
                info.arm, self.servers
            ));
        }
        if options.speech.http2 || options.speech.tls {
            return refuse(
                "the proxy speaks plain HTTP/1.1 to both sides; leave out --tls and --http2".into(),
            );
        }
        if options.admin_fill && self.balance == Balance::Sticky {
            return refuse(
                "users who are logged in without a request have no cookie of the proxy, so it \
                 cannot know their server; balance round-robin, or log them in by requests"
                    .into(),
            );
        }
        if !options.previous_keys.is_empty() {
            return refuse("a previous key is not passed on to several servers".into());
        }
        Ok(())
    }
}

/// Whether what the arm knows of its users is in the memory of one process.
fn keeps_to_itself(info: &ArmInfo) -> bool {
    info.store.is_some_and(|store| stores::place(store).is_none())
}

/// Serves a deployment until `stop` completes, calling `ready` once requests pass the proxy.
///
/// # Errors
/// Where the deployment is refused, or a part of it does not start or dies.
pub async fn deploy(
    deployment: Deployment,
    options: ServeOptions,
    listen: SocketAddr,
    admin: TcpListener,
    ready: impl FnOnce(&ReadyLine),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let running = start(deployment, options, listen, admin).await?;
    ready(&running.line);
    stop.await;
    running.end().await
}

/// A deployment that answers. What is dropped first ends first.
struct Running {
    line: ReadyLine,
    stopping: watch::Sender<()>,
    admin: tokio::task::JoinHandle<()>,
    _proxy: RunningProxy,
    members: Vec<Member>,
    _relay: Option<Relay>,
    _shared: Option<Shared>,
}

impl Running {
    async fn end(mut self) -> Result<(), ServeError> {
        drop(self.stopping);
        self.members.iter_mut().for_each(Member::tell_to_stop);
        join("admin listener", self.admin).await
    }
}

fn start(
    deployment: Deployment,
    options: ServeOptions,
    listen: SocketAddr,
    admin: TcpListener,
) -> Boxed<'static, Result<Running, ServeError>> {
    Box::pin(async move {
        deployment.check(&options)?;
        // Before anything is started.
        drop(options.scheme()?);
        deployment.proxy.program().require()?;
        let program = options.program.clone().ok_or_else(|| ServeError::Member {
            found: "no program to start servers from".into(),
        })?;
        let given = Secrets { key: options.key.clone(), store_url: options.store_url.clone() };
        let info = arms().iter().find(|info| info.arm == options.arm);
        let shares_store = info.is_some_and(|info| info.store.is_some() && !keeps_to_itself(info));
        let shared = share_given(&options.arm, Some(program.clone()), given).await?;
        let mut secrets = shared.secrets.clone();
        let store = shared.store().cloned();
        let away = ServeOptions { store_url: secrets.store_url.clone(), ..options.clone() };
        let relay = put_away(&away).await?;
        if let Some(relay) = &relay {
            secrets.store_url = Some(relay.url().to_owned());
        }
        let (members, lines) = start_members(&program, &deployment, &options.arm, &secrets)?;
        let servers: Vec<SocketAddr> = lines.iter().map(|line| line.address).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let Deployment { proxy, balance, .. } = deployment;
        let proxy = RunningProxy::start(proxy, listen, &servers, balance, threads).await?;
        let mut line = ready_line(&lines, &proxy, balance, address(&admin)?)?;
        line.store = store;
        if let Some((relay, distance)) = relay.as_ref().zip(options.store_distance.as_ref()) {
            line.notes.push(far_away(relay, distance));
            line.relay = Some(relay_process(relay, distance));
        }
        let inside = Inside {
            started: Instant::now(),
            admins: lines.iter().map(|line| line.admin).collect(),
            shares_store,
            populates: options.admin_fill,
        };
        let limits = Limits {
            header_read_timeout: options.header_read_timeout,
            write_stall: options.write_stall,
            connections: ADMIN_CONNECTIONS_MAX,
            drain: options.drain,
        };
        let (stopping, stopped) = watch::channel(());
        let admin = tokio::spawn(accept::run(
            admin,
            inside::app(inside),
            limits,
            None,
            Arc::default(),
            stopped,
        ));
        let shared = Some(shared);
        Ok(Running {
            line,
            stopping,
            admin,
            _proxy: proxy,
            members,
            _relay: relay,
            _shared: shared,
        })
    })
}

/// Starts all servers at the same time, and waits for each.
fn start_members(
    program: &std::path::Path,
    deployment: &Deployment,
    arm: &str,
    secrets: &Secrets,
) -> Result<(Vec<Member>, Vec<ReadyLine>), ServeError> {
    let start = |_| Member::start(program, arm, &deployment.arguments, secrets);
    let mut members = (0..deployment.servers).map(start).collect::<Result<Vec<_>, _>>()?;
    let lines = members.iter_mut().map(Member::ready).collect::<Result<Vec<_>, _>>()?;
    Ok((members, lines))
}

/// What the first server says, with the addresses and processes of all.
fn ready_line(
    lines: &[ReadyLine],
    proxy: &RunningProxy,
    balance: Balance,
    admin: SocketAddr,
) -> Result<ReadyLine, ServeError> {
    let mut line = lines
        .first()
        .cloned()
        .ok_or_else(|| ServeError::Member { found: "no server at all".into() })?;
    let process = proxy.process();
    let how = match balance {
        Balance::RoundRobin => "one after the other",
        Balance::Sticky => "each user to the server that answered first, by a cookie of its own",
    };
    line.notes.push(format!(
        "{} stands before {} server{} on the same cores and passes requests on, {how}.",
        process.name,
        lines.len(),
        if lines.len() == 1 { "" } else { "s" },
    ));
    line.address = proxy.address;
    line.admin = admin;
    line.pid = std::process::id();
    // Threads of several servers on the same cores run on no more than these at a time.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    line.threads = lines.iter().map(|line| line.threads).sum::<usize>().min(cores);
    line.servers = lines.iter().map(|line| line.pid).collect();
    line.proxy = Some(process);
    line.target.base_url = format!("http://{}", proxy.address);
    if balance == Balance::Sticky {
        line.target.cookies = Some(Cookies::default());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Speech;

    fn refusal(arm: &str, servers: u32, balance: Balance, shape: fn(&mut ServeOptions)) -> String {
        let deployment =
            Deployment { servers, proxy: Proxy::Haproxy, balance, arguments: Vec::new() };
        let mut options = ServeOptions::new(arm);
        shape(&mut options);
        let checked = deployment.check(&options);
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn an_arm_whose_state_is_in_one_process_is_deployed_sticky_or_alone() {
        let plain = |_: &mut ServeOptions| {};
        for info in arms() {
            let refused = refusal(info.arm, 3, Balance::RoundRobin, plain);
            let in_memory = ["memory", "mutex", "tower", "filter"];
            let expected = info.store.is_some_and(|store| in_memory.contains(&store));
            assert_eq!(refused.contains("in the memory of one process"), expected, "{}", info.arm);
            assert_eq!(refusal(info.arm, 3, Balance::Sticky, plain), "");
            assert_eq!(refusal(info.arm, 1, Balance::RoundRobin, plain), "");
        }
    }

    #[test]
    fn what_a_proxy_cannot_carry_is_refused() {
        let tls = |options: &mut ServeOptions| {
            options.speech = Speech { tls: true, ..Speech::default() };
        };
        assert!(refusal("none", 2, Balance::RoundRobin, tls).contains("leave out --tls"));
        let fill = |options: &mut ServeOptions| options.admin_fill = true;
        assert!(refusal("none", 2, Balance::Sticky, fill).contains("no cookie of the proxy"));
        assert_eq!(refusal("none", 2, Balance::RoundRobin, fill), "");
        for servers in [0, SERVERS_MAX + 1] {
            assert!(refusal("none", servers, Balance::Sticky, |_| {}).contains("from 1 to 16"));
        }
    }
}
