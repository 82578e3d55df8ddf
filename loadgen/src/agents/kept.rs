//! What has to survive of a run, in a stream of JetStream: the requests of its API that this takes.
//! The client's library has them behind a feature that turns on the clock of tokio that tests can
//! stop, for the whole program: every request of a server would pay.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The codes of errors that are answers: there is no such stream, and no message of this subject.
const NO_STREAM: u32 = 10_059;
const NO_MESSAGE: u32 = 10_037;
/// JetStream is off on this server, or for this account.
const UNAVAILABLE: u16 = 503;

/// A stream on a server's disk; what is not set here is the server's default. Requests and answers
/// are those of <https://docs.nats.io/reference/reference-protocols/nats_api_reference>.
#[derive(Debug, Serialize)]
pub(super) struct Stream<'a> {
    pub(super) name: &'a str,
    pub(super) subjects: [String; 1],
    pub(super) storage: &'static str,
    /// Nanoseconds after which a message goes.
    pub(super) max_age: u64,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such stream.
    NoStream,
    /// Nothing was kept of the subject.
    NoMessage,
    /// The engine keeps nothing, for anyone.
    NoJetStream,
    /// A clause that says why.
    Other(String),
}

/// The subjects that requests go to.
pub(super) fn to_look_up(stream: &str) -> String {
    format!("$JS.API.STREAM.INFO.{stream}")
}

pub(super) fn to_create(stream: &str) -> String {
    format!("$JS.API.STREAM.CREATE.{stream}")
}

pub(super) fn to_read(stream: &str) -> String {
    format!("$JS.API.STREAM.MSG.GET.{stream}")
}

/// Asks for the last message of a subject.
#[derive(Debug, Serialize)]
pub(super) struct LastOf<'a> {
    pub(super) last_by_subj: &'a str,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Failed {
    error: Option<Failure>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match (failure.err_code, failure.code) {
            (NO_STREAM, _) => Self::NoStream,
            (NO_MESSAGE, _) => Self::NoMessage,
            (_, UNAVAILABLE) => Self::NoJetStream,
            (_, code) => Self::Other(format!("error {code}: {}", failure.description)),
        }
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Refusal> {
    let unread = |e: serde_json::Error| Refusal::Other(format!("its answer cannot be read: {e}"));
    if let Failed { error: Some(failure) } = serde_json::from_slice(answer).map_err(unread)? {
        return Err(failure.into());
    }
    serde_json::from_slice(answer).map_err(unread)
}

/// Whether a stream was found or made.
///
/// # Errors
/// Why not.
pub(super) fn stream(answer: &[u8]) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "config")]
        _config: serde_json::Map<String, serde_json::Value>,
    }
    read::<Info>(answer).map(drop)
}

/// Whether a message is on the engine's disk.
///
/// # Errors
/// Why not.
pub(super) fn acknowledged(answer: &[u8]) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Acknowledgement {
        #[serde(rename = "seq")]
        _seq: u64,
    }
    read::<Acknowledgement>(answer).map(drop)
}

/// The bytes of a message that was asked for.
///
/// # Errors
/// `NoMessage` where nothing was kept of its subject.
pub(super) fn message(answer: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Deserialize)]
    struct Found {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        data: String,
    }
    let data = read::<Found>(answer)?.message.data;
    STANDARD
        .decode(data)
        .map_err(|e| Refusal::Other(format!("a message that it kept cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_was_asked_for_or_says_why_not() {
        // Answers of nats-server 2.12, without the fields that nobody reads.
        let found = br#"{"type":"io.nats.jetstream.api.v1.stream_info_response","config":{}}"#;
        assert_eq!(stream(found), Ok(()));
        let none = br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert_eq!(stream(none), Err(Refusal::NoStream));
        let nothing = br#"{"error":{"code":404,"err_code":10037,"description":"no message"}}"#;
        assert_eq!(message(nothing), Err(Refusal::NoMessage));
        let off = br#"{"error":{"code":503,"err_code":10076,
            "description":"JetStream not enabled"}}"#;
        assert_eq!(stream(off), Err(Refusal::NoJetStream));
        let full = br#"{"error":{"code":500,"err_code":10047,"description":"no space"}}"#;
        assert_eq!(acknowledged(full), Err(Refusal::Other("error 500: no space".into())));
        assert_eq!(acknowledged(br#"{"stream":"AB_r","seq":3}"#), Ok(()));
        assert_eq!(message(br#"{"message":{"data":"aGk=","seq":3}}"#), Ok(b"hi".to_vec()));
        assert_eq!(message(br#"{"message":{"seq":3}}"#), Ok(Vec::new()));
    }

    #[test]
    fn an_answer_that_is_none_is_refused() {
        for answer in
            [&b""[..], b"{}", b"[]", b"{\"seq\":\"3\"}", b"{\"message\":{\"data\":\"%\"}}"]
        {
            let refused = |refusal| matches!(refusal, Err(Refusal::Other(_)));
            assert!(refused(stream(answer)), "{answer:?}");
            assert!(refused(acknowledged(answer)), "{answer:?}");
            assert!(refused(message(answer).map(drop)), "{answer:?}");
        }
    }
}
