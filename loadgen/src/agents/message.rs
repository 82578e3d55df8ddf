//! What agents and their coordinator say to each other. Every message is of a known type, and no
//! type names a command to run; what cannot be read is dropped.

use serde::{Deserialize, Serialize};
use servers::contract::Target;

use crate::engine::Pacing;
use crate::error::{Error, Result, Signal};
use crate::limits::Limits;
use crate::plan::{LoadPlan, sha256_hex};
use crate::record::LoginRecord;

/// The version of these messages and of shares.
pub(super) const SCHEMA: u32 = 1;

/// What an agent says, and which start of it says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Up {
    pub(super) incarnation: String,
    pub(super) said: FromAgent,
}

/// What the coordinator says to one start of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Down {
    pub(super) incarnation: String,
    pub(super) said: FromCoordinator,
}

/// What an agent says of itself when it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// SHA-256 of its executable.
    pub(super) binary: String,
    pub(super) schema: u32,
    pub(super) host: String,
    /// A digest of what tells its machine from others.
    pub(super) machine: String,
    pub(super) workers: u32,
    /// Hosts and ports that it may load.
    pub(super) allowed: Vec<String>,
}

/// How far an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Joined,
    Setup,
    Ready,
    Warmup,
    Measure,
    Drain,
    Over,
}

impl Stage {
    /// What messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Joined | Self::Setup => "setup",
            Self::Ready => "the start",
            Self::Warmup => "warm-up",
            Self::Measure => "measure",
            Self::Drain => "drain",
            Self::Over => "the way home",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromAgent {
    Hello(Hello),
    /// The answer to a probe that was sent at `sent_ns` of the coordinator's clock and heard at
    /// `heard_ns` of its own, where it was answered at `answered_ns`.
    Clock {
        n: u32,
        sent_ns: u64,
        heard_ns: u64,
        answered_ns: u64,
    },
    /// Its users are logged in and its connections are open.
    Ready {
        logins: Box<LoginRecord>,
    },
    /// It will begin, and has so long until then, ns.
    Armed {
        round: u32,
        slack_ns: i64,
    },
    /// Once per second.
    Beat {
        stage: Stage,
        planned: u64,
        ended: u64,
        ok: u64,
        now_ns: u64,
        /// The last pulse that it heard: when that was sent and heard.
        pulse: Option<(u64, u64)>,
    },
    /// Its share is kept by the engine.
    Shared,
    /// It cannot continue.
    Fault {
        exit: u8,
        text: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromCoordinator {
    /// It has these workers, and hears of the coordinator at least once within its lease.
    Welcome {
        base: u32,
        of: u32,
        lease_ns: u64,
    },
    Clock {
        n: u32,
        sent_ns: u64,
    },
    /// What to load; the hash is that of the text.
    Prepare {
        hash: String,
        orders: String,
    },
    /// Begin at this moment of the agent's clock.
    Arm {
        round: u32,
        start_ns: u64,
    },
    /// Do not begin.
    Cancel {
        round: u32,
    },
    /// Once per second.
    Pulse {
        sent_ns: u64,
    },
    /// End now, with this exit code and for this reason.
    Stop {
        exit: u8,
        text: String,
    },
    /// Everything is in the record.
    Settled,
}

/// What every agent of a run loads, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// The load of all agents together.
    pub plan: LoadPlan,
    /// The seed of every random choice.
    pub seed: u64,
    /// The server, as its target file and the flags describe it.
    pub target: Target,
    /// How workers wait.
    pub pacing: Pacing,
    /// How much of an answer is read.
    pub limits: Limits,
    /// How long everything before the load may take, ns.
    pub setup_ns: u64,
}

impl Orders {
    /// The text that is sent, and its hash.
    pub(super) fn sealed(&self) -> Result<(String, String)> {
        let text = serde_json::to_string(self)
            .map_err(|e| Error::Bug(format!("the orders of agents cannot be written: {e}")))?;
        let hash = sha256_hex(text.as_bytes());
        Ok((text, hash))
    }

    /// Reads them; the text has to have the hash.
    pub(super) fn open(text: &str, hash: &str) -> Result<Self> {
        if sha256_hex(text.as_bytes()) != hash {
            return Err(Error::Config("the orders that came are not those that were sent".into()));
        }
        serde_json::from_str(text)
            .map_err(|e| Error::Config(format!("the orders that came cannot be read: {e}")))
    }

    /// Refuses a target that needs files: an agent opens none that others name.
    ///
    /// # Errors
    /// `Config`, which says what it needs.
    pub fn check(&self) -> Result<()> {
        let target = &self.target;
        let found = match target {
            _ if target.unix_socket.is_some() => "a Unix socket",
            _ if target.client_cert.is_some() || target.client_key.is_some() => {
                "a client certificate"
            }
            _ if target.users.file.is_some() => "a file of users",
            _ => return Ok(()),
        };
        Err(Error::Config(format!(
            "expected a target that agents reach with nothing of their own, found one with \
             {found}; load it from one machine, without --agents"
        )))
    }
}

/// The error with this exit code.
pub(super) fn error_of(exit: u8, text: String) -> Error {
    match exit {
        2 => Error::Config(text),
        4 => Error::Target(text),
        130 => Error::Interrupted(text, Signal::Int),
        143 => Error::Interrupted(text, Signal::Term),
        1 => Error::Bug(text),
        _ => Error::Invalid(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Constant, LoadModel, UserChoice};

    fn orders(more: &str) -> Orders {
        let target = format!(
            "name = 't'\nbase_url = 'http://127.0.0.1:1'\n{more}\n[journeys.browse]\n\
             steps = [{{ name = 'me', path = '/me' }}]\n"
        );
        let plan = LoadPlan {
            model: LoadModel::Constant(Constant { rate_per_s: 100.0 }),
            journey: "browse".into(),
            users: 4,
            choice: UserChoice::Uniform,
            connections: 4,
            warmup_ns: 0,
            measure_ns: 1_000_000_000,
            drain_ns: 1_000_000_000,
            timeout_ns: 1_000_000_000,
            prepare: None,
            renewal: None,
        };
        Orders {
            plan,
            seed: 1,
            target: toml::from_str(&target).unwrap(),
            pacing: Pacing::Sleep,
            limits: Limits::DEFAULT,
            setup_ns: 1,
        }
    }

    #[test]
    fn orders_arrive_as_they_were_sent_or_not_at_all() {
        let sent = orders("");
        let (text, hash) = sent.sealed().unwrap();
        assert_eq!(Orders::open(&text, &hash).unwrap(), sent);
        let other = text.replace("127.0.0.1:1", "127.0.0.1:2");
        assert_eq!(Orders::open(&other, &hash).unwrap_err().exit_code(), 2);
        let no_orders = "{}";
        let error = Orders::open(no_orders, &sha256_hex(no_orders.as_bytes())).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }

    #[test]
    fn an_agent_opens_no_file_that_others_name() {
        assert!(orders("").check().is_ok());
        for (more, part) in [
            ("unix_socket = '/run/s'", "a Unix socket"),
            ("client_cert = '/a.pem'\nclient_key = '/b.pem'", "a client certificate"),
            ("users = { file = '/etc/passwd' }", "a file of users"),
        ] {
            let error = orders(more).check().unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
