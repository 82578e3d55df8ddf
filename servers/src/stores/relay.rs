//! A relay between a server and its store, which puts the store farther away.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Boxed, StoreError, postgres, redis};
use crate::contract::{STORE_URL_VARIABLE, StoreProcess};
use crate::error::ServeError;

/// The longest round trip that a relay adds: 1 s.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);
/// Bytes that are read at a time.
const PARCEL_BYTES: usize = 16 << 10;
/// Parcels on their way in one direction; further ones wait in the sender's socket.
const PARCELS_MAX: usize = 1024;
/// Pause after a connection could not be accepted, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(10);

/// How far away a store is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distance {
    /// What a round trip takes longer at least, at most [`ROUND_TRIP_MAX`].
    pub round_trip: Duration,
    /// The program that relays when it is told `relay --to ADDR --delay SPAN`, and says the address
    /// that it listens on.
    pub program: PathBuf,
}

/// Relays every connection of this listener to `to`, for ever; each direction takes `one_way`
/// longer.
///
/// What it reads on one side it writes on the other half a round trip later, in order and whatever
/// else is on its way: requests that were sent together arrive together, and no answer arrives
/// before the time is up. It is a process of its own ([`Relay`]), so that its CPU time is on no
/// bill but its own, and it runs on the server's cores, as the store does.
///
/// Time is kept by a timer of the kernel (`timerfd`): the runtime's own counts in milliseconds, and
/// a store in the same data centre is a fifth of one away. A timer fires late and never early.
/// Nothing is understood of what passes through.
pub fn relay(listener: TcpListener, to: &str, one_way: Duration) -> Boxed<'_, ()> {
    Box::pin(async move {
        loop {
            match listener.accept().await {
                Ok((near, _)) => {
                    let to = to.to_owned();
                    // An end that fails ends the other one, and both see it.
                    tokio::spawn(async move { drop(connect_through(near, &to, one_way).await) });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    })
}

async fn connect_through(near: TcpStream, to: &str, one_way: Duration) -> io::Result<()> {
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::try_join!(carry(near_in, far_out, one_way), carry(far_in, near_out, one_way))?;
    Ok(())
}

/// Bytes and when they are due; none of them: the end.
struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
}

async fn carry(from: OwnedReadHalf, to: OwnedWriteHalf, one_way: Duration) -> io::Result<()> {
    let (sending, sent) = mpsc::channel(PARCELS_MAX);
    tokio::try_join!(take(from, sending, one_way), deliver(sent, to))?;
    Ok(())
}

async fn take(
    mut from: OwnedReadHalf,
    sending: mpsc::Sender<Parcel>,
    one_way: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; PARCEL_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        let parcel = Parcel { due: Instant::now() + one_way, bytes: buffer[..read].to_vec() };
        if sending.send(parcel).await.is_err() || read == 0 {
            return Ok(());
        }
    }
}

async fn deliver(mut sent: mpsc::Receiver<Parcel>, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut timer = Timer::new()?;
    while let Some(Parcel { due, bytes }) = sent.recv().await {
        timer.wait_until(due).await?;
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&bytes).await?;
    }
    Ok(())
}

/// A timer of the kernel, exact to what it takes to wake up.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(deprecated, reason = "its successor is unsafe; the timer owns its descriptor")]
        AsyncFd::new(timer).map(Self)
    }

    async fn wait_until(&mut self, due: Instant) -> io::Result<()> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let it_value = Timespec::try_from(left).map_err(io::Error::other)?;
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let once = Itimerspec { it_interval, it_value };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            // It is set anew before it is looked at again, so nothing has to be read from it.
            self.0.readable().await?.clear_ready();
        }
    }
}

/// The server of a store that was started to be relayed to.
#[derive(Debug)]
enum Started {
    Redis(redis::OwnRedis),
    Postgres(postgres::own::Instance),
}

impl Started {
    fn url(&self) -> &str {
        match self {
            Self::Redis(own) => own.url(),
            Self::Postgres(own) => own.url(),
        }
    }

    fn process(&self) -> StoreProcess {
        match self {
            Self::Redis(own) => own.process(),
            Self::Postgres(own) => own.process(),
        }
    }
}

/// A store behind a relay, both until this is dropped.
#[derive(Debug)]
pub struct Relay {
    url: String,
    child: Child,
    /// Ends after the relay.
    own: Option<Started>,
}

/// Whether a relay can be put between a server and the store of this name: it is behind a socket.
#[must_use]
pub fn can_reach(store: &str) -> bool {
    [redis::PLACE.store, postgres::STORE].contains(&store)
}

impl Relay {
    /// Puts the store of this name so far away: the one at this URL, or one that is started for it.
    ///
    /// # Errors
    /// [`ServeError::Option`] where the store is not behind a socket or the URL is not one of a
    /// single TCP address, and what starting the store or the relay said.
    pub async fn start(
        arm: &str,
        store: Option<&'static str>,
        url: Option<&str>,
        distance: &Distance,
    ) -> Result<Self, ServeError> {
        let refuse = |expected, found: String| {
            Err(ServeError::Option { option: "store_delay", expected, found })
        };
        let store = store.filter(|store| can_reach(store));
        let Some(store) = store else {
            let expected = "left out for an arm without a store behind a socket";
            return refuse(expected, format!("`{arm}`"));
        };
        if distance.round_trip > ROUND_TRIP_MAX {
            return refuse("at most 1 s", format!("{:?}", distance.round_trip));
        }
        let own = match url {
            Some(_) => None,
            None if store == postgres::STORE => {
                Some(Started::Postgres(postgres::own::Instance::start(&[]).await?))
            }
            None => Some(Started::Redis(redis::OwnRedis::start(1).await?)),
        };
        let url = url.or(own.as_ref().map(Started::url)).unwrap_or_default();
        let Some(place) = Place::in_url(url) else {
            // Without what was found: it may hold a password.
            return refuse("used with a URL of one host and port", "another one".into());
        };
        let (child, address) = spawn(store, &place.address, distance)?;
        Ok(Self { url: place.through(address), child, own })
    }

    /// A URL that leads through the relay to the store.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The store's server, where it was started with the relay.
    #[must_use]
    pub fn store(&self) -> Option<StoreProcess> {
        self.own.as_ref().map(Started::process)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It holds nothing that would have to be put in order.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the program that relays; its process, and where it listens.
fn spawn(
    store: &'static str,
    to: &str,
    distance: &Distance,
) -> Result<(Child, SocketAddr), StoreError> {
    let refused = |found: String| StoreError { store, operation: "be relayed to", found };
    let delay = format!("{}ns", distance.round_trip.as_nanos());
    let mut command = command(&distance.program);
    command.args(["relay", "--to", to, "--delay", &delay]);
    let mut child = command.spawn().map_err(|error| refused(error.to_string()))?;
    let mut line = String::new();
    let said = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    match (said, line.trim().parse()) {
        (Some(Ok(_)), Ok(address)) => Ok((child, address)),
        _ => {
            drop(child.kill());
            drop(child.wait());
            Err(refused("the relay did not say where it listens".into()))
        }
    }
}

/// It ends with its standard input, and so with us; Ctrl-C on a terminal is for us alone.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove(STORE_URL_VARIABLE).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The place in a URL that names one, and what stands around it.
struct Place<'a> {
    before: &'a str,
    address: String,
    after: &'a str,
}

impl<'a> Place<'a> {
    /// `None` where the URL names no host, several, or one elsewhere than in its usual place.
    fn in_url(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let port = if scheme.starts_with("redis") { 6379 } else { 5432 };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // PostgreSQL takes a host as a parameter too.
        if query.split('&').any(|parameter| parameter.starts_with("host")) {
            return None;
        }
        let from = path.rfind('@').map_or(0, |at| at + 1);
        let host = &path[from..];
        let host = &host[..host.find('/').unwrap_or(host.len())];
        if host.is_empty() || host.contains([',', '%']) {
            return None;
        }
        let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
            !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':')
        });
        let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let begins = scheme.len() + "://".len() + from;
        Some(Self { before: &url[..begins], address, after: &url[begins + host.len()..] })
    }

    /// The URL that leads to this address instead.
    fn through(&self, address: SocketAddr) -> String {
        format!("{}{address}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_everything_but_its_place() {
        let to: SocketAddr = "127.0.0.1:9".parse().unwrap();
        for (url, address, through) in [
            ("redis://:p@127.0.0.1:6379/1", "127.0.0.1:6379", "redis://:p@127.0.0.1:9/1"),
            ("redis://localhost", "localhost:6379", "redis://127.0.0.1:9"),
            ("redis://[::1]:7/2", "[::1]:7", "redis://127.0.0.1:9/2"),
            ("redis://[::1]", "[::1]:6379", "redis://127.0.0.1:9"),
            ("postgres://me:p@h:1@db/x?a=b", "db:5432", "postgres://me:p@h:1@127.0.0.1:9/x?a=b"),
            ("postgres://me@db:5433", "db:5433", "postgres://me@127.0.0.1:9"),
        ] {
            let place = Place::in_url(url).unwrap();
            assert_eq!((place.address.as_str(), place.through(to).as_str()), (address, through));
        }
        for url in [
            "sqlite:/x",
            "postgres:///db?host=/run",
            "postgres://a,b/db",
            "postgres://%2Frun/db",
            "postgres://me@db/x?user=a&hostaddr=1",
            "",
        ] {
            assert!(Place::in_url(url).is_none(), "{url}");
        }
    }

    /// An echo behind a relay, and how it is reached.
    async fn echo(one_way: Duration) -> SocketAddr {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = far.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut end, _)) = far.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = end.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = near.local_addr().unwrap();
        tokio::spawn(async move { relay(near, &to, one_way).await });
        address
    }

    /// How long each of so many round trips takes, one at a time.
    async fn round_trips(address: SocketAddr, times: usize) -> Vec<Duration> {
        let mut end = TcpStream::connect(address).await.unwrap();
        end.set_nodelay(true).unwrap();
        let mut took = Vec::new();
        for n in 0..times {
            let begun = Instant::now();
            end.write_all(&[n as u8]).await.unwrap();
            assert_eq!(end.read_u8().await.unwrap(), n as u8);
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        took
    }

    /// No answer before its time; and of many at least some as soon as can be, which a timer of
    /// whole milliseconds does not give even once.
    #[tokio::test]
    async fn a_fifth_of_a_millisecond_is_one() {
        let round_trip = Duration::from_micros(200);
        let there = echo(round_trip / 2).await;
        let mut fastest = Duration::MAX;
        for _ in 0..100 {
            let took = round_trips(there, 50).await;
            assert!(took[0] >= round_trip, "{:?}", took[0]);
            fastest = fastest.min(took[0]);
            if fastest < 4 * round_trip {
                return;
            }
        }
        panic!("{fastest:?} at best, with {round_trip:?} of delay");
    }

    /// Ten thousand bytes, one at a time, arrive in order and not one round trip after the other.
    /// Fault 17: the relay delays and reorders nothing.
    #[tokio::test]
    async fn what_is_sent_together_arrives_together_and_in_order() {
        let round_trip = Duration::from_millis(20);
        let mut end = TcpStream::connect(echo(round_trip / 2).await).await.unwrap();
        end.set_nodelay(true).unwrap();
        let sent: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        let begun = Instant::now();
        let (mut from, mut to) = end.split();
        let write = async {
            for byte in &sent {
                to.write_all(&[*byte]).await.unwrap();
            }
            to.shutdown().await.unwrap();
        };
        let mut back = Vec::new();
        let read = async { from.read_to_end(&mut back).await.unwrap() };
        tokio::join!(write, read);
        assert_eq!(back, sent);
        // 200 s if each byte waited for the one before it.
        assert!(begun.elapsed() >= round_trip && begun.elapsed() < Duration::from_secs(100));
    }

    #[tokio::test]
    async fn an_end_is_an_end_on_the_other_side() {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = far.local_addr().unwrap().to_string();
        let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = near.local_addr().unwrap();
        tokio::spawn(async move { relay(near, &to, Duration::from_millis(1)).await });
        let mut client = TcpStream::connect(address).await.unwrap();
        let (server, _) = far.accept().await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        drop(far);
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert!(matches!(refused.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    }
}
