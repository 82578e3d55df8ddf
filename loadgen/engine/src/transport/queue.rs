//! The kernel's event queue (epoll), with waits as fine as its timers.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;

/// Events taken with one wait.
const EVENTS: usize = 1024;

/// What has happened to a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    /// The number it was added with.
    pub(super) token: usize,
    /// Whether it may take bytes again.
    pub(super) writable: bool,
    /// Whether the other side sends nothing more.
    pub(super) read_closed: bool,
}

/// An event queue.
///
/// Events are edge-triggered: the owner of a socket is told once and must read or write until the
/// kernel has no more. A wait is given in nanoseconds (`epoll_pwait2`, Linux 5.11): in whole
/// milliseconds nothing can be paced.
pub(super) struct Queue {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS) })
    }

    /// Tells of everything that happens to `socket` from now on; closing the socket ends it.
    pub(super) fn add(&self, socket: impl AsFd, token: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), flags)?)
    }

    /// Waits for events for so long at most; how many there are.
    pub(super) fn wait(&mut self, timeout_ns: u64) -> io::Result<usize> {
        let timeout = Timespec {
            tv_sec: (timeout_ns / 1_000_000_000) as i64,
            tv_nsec: (timeout_ns % 1_000_000_000) as i64,
        };
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(count) => Ok(count),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Event `index` of the last wait.
    pub(super) fn ready(&self, index: usize) -> Ready {
        let event = self.events[index];
        let (flags, data) = (event.flags, event.data);
        let ended = EventFlags::HUP | EventFlags::RDHUP;
        Ready {
            token: data.u64() as usize,
            writable: flags.contains(EventFlags::OUT),
            read_closed: flags.intersects(ended),
        }
    }
}
