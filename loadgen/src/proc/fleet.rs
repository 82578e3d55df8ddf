//! Several servers of one arm, and what they share: a key, and a store that outlives them.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use servers::contract::{CONTRACT_VERSION, Secrets, SharedLine};

use super::child::{Server, ServerOptions, on_cores};
use super::process::Process;
use super::usage::{family, family_cpu_ns};
use crate::error::Result;
use crate::plan::Variant;

/// A store's server may have to be made before it is started.
const SHARED_WITHIN: Duration = Duration::from_secs(30);

/// What a server is given of what the fleet shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The key; without it the server makes one.
    pub key: bool,
    /// The store; without it the server begins one of its own.
    pub store: bool,
}

impl Kept {
    /// All that is shared.
    pub const ALL: Self = Self { key: true, store: true };
}

/// Servers of one arm.
///
/// A fleet's store and key are kept by a child of their own (`authbench share ARM`), so that any
/// server can be stopped and replaced while they stay, as a deployment does it. What stays is asked
/// for server by server ([`Kept`]): one that is started without the key makes a new one, one
/// without the store begins an empty one. A store in a server's memory is in no fleet's keeping.
///
/// Key and store are told through pipes: a command line and an environment can be read by others.
pub struct Fleet {
    arm: String,
    cores: Vec<usize>,
    shared: SharedLine,
    _keeper: Process,
}

impl Fleet {
    /// Makes what the servers of this arm share, on these cores.
    ///
    /// # Errors
    /// `Config` where the machine lacks the store's program, `Target` where it does not start.
    pub fn open(arm: &str, cores: &[usize]) -> Result<Self> {
        let mut arguments = ["share", Variant::of(arm).arm].map(String::from).to_vec();
        arguments.extend(on_cores(cores));
        let read = |text: &str| {
            // Neither the line nor what is wrong with it: it holds the key.
            let shared: SharedLine =
                serde_json::from_str(text).map_err(|_| "its line is not what it has to be")?;
            if shared.authbench != CONTRACT_VERSION {
                return Err("it speaks another version of the contract".into());
            }
            Ok(shared)
        };
        let name = format!("what servers of `{arm}` share");
        let (keeper, shared) = Process::start(name, &arguments, None, SHARED_WITHIN, read)?;
        Ok(Self { arm: arm.into(), cores: cores.into(), shared, _keeper: keeper })
    }

    /// Starts a server with what it is to keep, and with these further arguments.
    ///
    /// # Errors
    /// See [`Server::start`].
    pub fn start(&self, kept: Kept, further: &[String]) -> Result<Server> {
        let Secrets { key, store_url } = &self.shared.secrets;
        let secrets = Secrets {
            key: key.clone().filter(|_| kept.key),
            store_url: store_url.clone().filter(|_| kept.store),
        };
        let (cores, arguments) = (self.cores.clone(), further.to_vec());
        Server::start(&self.arm, &ServerOptions { cores, arguments, secrets })
    }

    /// The key that its servers share, as a file for `--key-file` would have it; `None` where the
    /// arm has none.
    pub fn key(&self) -> Option<&[u8]> {
        self.shared.secrets.key.as_deref()
    }

    /// Whether its servers share a key.
    pub const fn has_key(&self) -> bool {
        self.shared.secrets.key.is_some()
    }

    /// Whether its servers share a store.
    pub const fn has_store(&self) -> bool {
        self.shared.secrets.store_url.is_some()
    }

    /// Name and version of the store's server, where there is one.
    pub fn store_name(&self) -> Option<&str> {
        self.shared.store.as_ref().map(|store| store.name.as_str())
    }

    /// Stops the store's server from answering until the returned value is dropped; `None` if the
    /// store has no server.
    pub fn hang_store(&self) -> Option<HungStore> {
        let processes = family(self.shared.store.as_ref()?.pid);
        let processes: Vec<_> =
            processes.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect();
        // A process that has ended meanwhile does not answer either.
        for pid in &processes {
            let _ = kill_process(*pid, Signal::STOP);
        }
        Some(HungStore(processes))
    }

    /// CPU time that the store's server has used, ns, where there is one.
    pub fn store_cpu_ns(&self) -> Option<u64> {
        self.shared.store.as_ref().map(|store| family_cpu_ns(store.pid))
    }
}

/// The stopped processes of a store's server, which go on when this is dropped.
pub struct HungStore(Vec<Pid>);

impl Drop for HungStore {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}
