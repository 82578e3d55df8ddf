//! Odd ends: connections that are kept or not, surplus bytes, and no answer at all.

use super::super::case::After::Closed;
use super::super::case::{Case, STATUS, TRUNCATED};
use super::super::server::{RIGHT, Then, When};

/// The rows of this file.
pub(super) fn cases() -> Vec<Case> {
    [persistence(), surplus(), no_answers()].concat()
}

fn persistence() -> Vec<Case> {
    let ten = |fields: &str| format!("HTTP/1.0 200 OK\r\nContent-Length: 13\r\n{fields}");
    vec![
        Case::fields("`Connection: close`", "Connection: close\r\n")
            .closed()
            .why("The server says so; it need not close first")
            .peers("closed: hyper `src/proto/h1/role.rs`, wrk2 `src/wrk.c`"),
        Case::fields("`Connection: keep-alive, close`", "Connection: keep-alive, close\r\n")
            .closed()
            .why("`close` wins")
            .peers("closed: Go `response_test.go`"),
        Case::fields(
            "`Connection: keep-alive` and `Connection: close`",
            "Connection: keep-alive\r\nConnection: close\r\n",
        )
        .closed()
        .why("As above")
        .peers("closed: Go `response_test.go`"),
        Case::fields("`Proxy-Connection: close`", "Proxy-Connection: close\r\n")
            .why("No such field is part of HTTP/1.1 (RFC 9112, C.2.2)")
            .peers("closed: h2load (llhttp `test/response/connection.md`)"),
        Case::head("HTTP/1.0", &ten(""))
            .closed()
            .why("It ends unless it says otherwise (RFC 9112, 9.3)")
            .peers("closed: hyper `src/proto/h1/role.rs`, Go `response_test.go`"),
        Case::head("HTTP/1.0 with keep-alive", &ten("Connection: foo, keep-alive, bar\r\n"))
            .why("It says otherwise")
            .peers("kept: hyper `src/proto/h1/role.rs`"),
        Case::fields("an end after the answer, unannounced", "")
            .then(Then::Closes)
            .closed()
            .why("The next request opens a connection; one that crosses the end is `closed`"),
        Case::fields("a reset after the answer", "")
            .then(Then::Resets)
            .closed()
            .why("The answer was whole"),
    ]
}

fn surplus() -> Vec<Case> {
    let right = format!("{STATUS}Content-Length: 13\r\n\r\n{RIGHT}");
    vec![
        Case::new("an empty line after the body", format!("{right}\r\n"))
            .malformed()
            .reqwest("ok")
            .why("The length is wrong, or the next answer has begun before it was asked for")
            .peers("accepted: llhttp `test/response/connection.md`, hyper `tests/client.rs`"),
        Case::new("a second answer in the same piece", right.repeat(2))
            .malformed()
            .reqwest("ok")
            .why("An answer to nothing would be taken for the next one")
            .peers("ignored: hyper `tests/client.rs`; counted as a request: wrk2 `src/wrk.c`"),
        Case::new("a second answer, later", right)
            .then(Then::Repeats)
            .counted(&["ok", "malformed"], Closed)
            .why("The connection ends before anyone can take it for the next answer"),
        Case::fields("`Connection: close` and more bytes", "Connection: close\r\n")
            .malformed()
            .reqwest("ok")
            .why("As in other answers")
            .peers("refused: llhttp `test/response/connection.md`")
            .with(&format!(
                "{STATUS}Content-Length: 13\r\nConnection: close\r\n\r\n{RIGHT}HTTP/1.1 200 OK"
            )),
        Case::new(
            "an answer before the first request",
            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )
        .when(When::Unasked)
        .counted(&["ok", "status_408"], Closed)
        .why("On an idle connection it ends that; if a request was on its way it answers that"),
    ]
}

fn no_answers() -> Vec<Case> {
    vec![
        Case::new("a reset for an answer", "")
            .then(Then::Resets)
            .counted(&["reset"], Closed)
            .why("One of the errors that `--max-transport-errors` allows")
            .peers("an error of its own: k6 `lib/netext/httpext/error_codes_test.go`"),
        Case::new("an end for an answer", "")
            .then(Then::Closes)
            .counted(&["closed"], Closed)
            .why("As above; the request is not sent again")
            .peers("no error, and no request: wrk2 `src/net.c`"),
        Case::new("half a head and the end", STATUS)
            .then(Then::Closes)
            .counted(TRUNCATED, Closed)
            .reqwest("closed")
            .why("The answer has begun")
            .peers("an error: hyper `tests/client.rs`"),
        Case::new("silence", "")
            .counted(&["timeout"], Closed)
            .why("Counted after `--timeout`; the connection is not used again")
            .peers(
                "an error with its latency: vegeta `lib/attack_test.go`; counted apart from \
                 requests: wrk2 `src/wrk.c`",
            ),
        Case::new("another protocol", "220 mail ready\r\n")
            .malformed()
            .why("It is no HTTP")
            .peers("refused: hyper `tests/client.rs`, llhttp `test/response/invalid.md`"),
    ]
}
