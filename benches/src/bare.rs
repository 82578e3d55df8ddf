//! The least that a generator and a server can be: a loop that sends one fixed request and reads
//! answers without looking at them, and one that answers everything with the same bytes.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType, sockopt};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Events taken with one wait.
const EVENTS: usize = 1024;
/// How often the loop looks at the clock at least.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// What the server says to everything.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\
                        date: Sat, 01 Jan 2000 00:00:00 GMT\r\n\r\n{\"user_id\":7}";
const BACKLOG: i32 = 4096;

/// What a loop did.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Answers that were read.
    pub answers: u64,
    /// CPU time of the process per answer, from the first request on, us.
    pub cpu_us_per_answer: f64,
}

/// Sends one fixed request on so many connections, each as soon as its last answer was read, for so
/// long. It parses nothing, records nothing and checks nothing: no generator does less.
///
/// # Errors
/// When a connection cannot be opened, or the kernel tells of no events.
pub fn drive(
    address: SocketAddr,
    path: &str,
    connections: usize,
    span: Duration,
) -> io::Result<Figures> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let (epoll, sockets) = (epoll::create(CreateFlags::CLOEXEC)?, 0..connections);
    let sockets: Vec<OwnedFd> = sockets
        .map(|token| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            // As the generator has it on loopback: a system's choice may cost more per segment.
            let _ = sockopt::set_tcp_congestion(&stream, "reno");
            stream.set_nonblocking(true)?;
            watch(&epoll, &stream, token)?;
            Ok(stream.into())
        })
        .collect::<io::Result<_>>()?;
    let (began, used) = (Instant::now(), process_cpu_ns());
    for socket in &sockets {
        net::send(socket, request.as_bytes(), SendFlags::NOSIGNAL)?;
    }
    let mut events = Vec::with_capacity(EVENTS);
    let (mut buffer, mut answers) = (vec![0; 4096], 0);
    while began.elapsed() < span {
        wait(&epoll, &mut events)?;
        for event in &events {
            let socket = &sockets[event.data.u64() as usize];
            match net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Ok(_) => {
                    answers += 1;
                    net::send(socket, request.as_bytes(), SendFlags::NOSIGNAL)?;
                }
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let cpu_ns = process_cpu_ns() - used;
    Ok(Figures { answers, cpu_us_per_answer: cpu_ns as f64 / 1e3 / answers as f64 })
}

/// Answers requests at a port of its own, printed as a line, with a thread on each of these cores,
/// until standard input ends. It takes whatever arrives at once for one request. A connection is
/// served on the core that it was opened from, so nothing has to pass from one core to another.
///
/// # Errors
/// When there is no port.
#[allow(clippy::print_stdout, reason = "the port goes to the parent")]
pub fn answer(cores: &[usize]) -> io::Result<()> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    for core in cores.iter().copied() {
        let listener = listen(address, core)?;
        address = listener.local_addr()?;
        thread::spawn(move || {
            let mut set = rustix::thread::CpuSet::new();
            set.set(core);
            let _ = rustix::thread::sched_setaffinity(None, &set);
            serve(&listener).expect("the kernel tells of events");
        });
    }
    println!("{}", address.port());
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink()).map(|_| ())
}

/// One of several listeners at a port, for connections that come in on this core.
fn listen(address: SocketAddr, core: usize) -> io::Result<TcpListener> {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    sockopt::set_socket_incoming_cpu(&socket, core as u32)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut sockets: Vec<Option<OwnedFd>> = vec![None];
    watch(&epoll, listener, 0)?;
    let mut events = Vec::with_capacity(EVENTS);
    let mut buffer = vec![0; 4096];
    loop {
        wait(&epoll, &mut events)?;
        for event in &events {
            let token = event.data.u64() as usize;
            if token == 0 {
                while let Ok(socket) = net::accept(listener) {
                    fcntl_setfl(&socket, OFlags::NONBLOCK)?;
                    sockopt::set_tcp_nodelay(&socket, true)?;
                    watch(&epoll, &socket, sockets.len())?;
                    sockets.push(Some(socket));
                }
                continue;
            }
            let Some(socket) = &sockets[token] else { continue };
            match net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((read, _)) if read > 0 => {
                    let _ = net::send(socket, ANSWER, SendFlags::NOSIGNAL);
                }
                Err(Errno::AGAIN) => {}
                _ => sockets[token] = None,
            }
        }
    }
}

fn watch(epoll: &OwnedFd, socket: impl AsFd, token: usize) -> io::Result<()> {
    let flags = EventFlags::IN | EventFlags::ET;
    Ok(epoll::add(epoll, socket, EventData::new_u64(token as u64), flags)?)
}

fn wait(epoll: &OwnedFd, events: &mut Vec<Event>) -> io::Result<()> {
    events.clear();
    match epoll::wait(epoll, spare_capacity(events), Some(&LOOK)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn process_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
