//! The table of odd answers: what is sent, how it counts, and what other generators do with it, as
//! read in the files that are named. Each text is a cell of `docs/odd-answers.md`.

use super::server::{Odd, RIGHT, Then, When};

/// Whether the connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It carries the next request.
    Kept,
    /// The next request has another one.
    Closed,
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What is odd about the answer.
    pub(super) name: &'static str,
    pub(super) odd: Odd,
    /// Method and expected status of the request, and whether the body is checked.
    pub(super) asked: (&'static str, u16, bool),
    /// How it counts; two classes where it depends on what arrives together.
    pub(super) counted: &'static [&'static str],
    /// How it counts with `--transport reqwest`, if otherwise.
    pub(super) reqwest: Option<&'static str>,
    pub(super) after: After,
    pub(super) why: &'static str,
    pub(super) peers: &'static str,
}

use After::{Closed, Kept};

const OK: &[&str] = &["ok"];
const MALFORMED: &[&str] = &["malformed"];
const TRUNCATED: &[&str] = &["truncated"];

impl Case {
    /// This answer to a GET, whose body is checked.
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        let odd = Odd { bytes: bytes.into(), when: When::Asked, then: Then::Waits };
        let (why, peers) = ("", "");
        let (asked, counted) = (("GET", 200, true), OK);
        Self { name, odd, asked, counted, reqwest: None, after: Kept, why, peers }
    }

    /// An answer with this head, up to its last line end, and the right body.
    fn head(name: &'static str, head: &str) -> Self {
        Self::new(name, format!("{head}\r\n{RIGHT}"))
    }

    /// An answer of 200 with these fields and the right length and body.
    fn fields(name: &'static str, fields: &str) -> Self {
        Self::head(name, &format!("{STATUS}Content-Length: 13\r\n{fields}"))
    }

    /// An answer with this status line and the right length and body.
    fn status(name: &'static str, line: &str) -> Self {
        Self::head(name, &format!("{line}\r\nContent-Length: 13\r\n"))
    }

    /// An answer whose body is in these chunks.
    fn chunks(name: &'static str, chunks: &str) -> Self {
        Self::new(name, format!("{STATUS}Transfer-Encoding: chunked\r\n\r\n{chunks}"))
    }

    /// An answer of 200 with these fields and the right body.
    fn framed(name: &'static str, fields: &str) -> Self {
        Self::head(name, &format!("{STATUS}{fields}"))
    }

    const fn counted(mut self, counted: &'static [&'static str], after: After) -> Self {
        (self.counted, self.after) = (counted, after);
        self
    }

    const fn malformed(self) -> Self {
        self.counted(MALFORMED, Closed)
    }

    const fn closed(mut self) -> Self {
        self.after = Closed;
        self
    }

    const fn reqwest(mut self, counted: &'static str) -> Self {
        self.reqwest = Some(counted);
        self
    }

    /// The answer to a request of this method, without a check of the body.
    const fn to(mut self, method: &'static str, status: u16) -> Self {
        self.asked = (method, status, false);
        self
    }

    const fn then(mut self, then: Then) -> Self {
        self.odd.then = then;
        self
    }

    const fn when(mut self, when: When) -> Self {
        self.odd.when = when;
        self
    }

    const fn why(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    const fn peers(mut self, peers: &'static str) -> Self {
        self.peers = peers;
        self
    }
}

const STATUS: &str = "HTTP/1.1 200 OK\r\n";

pub(super) fn cases() -> Vec<Case> {
    [
        chunk_lines(),
        chunked_bodies(),
        lengths(),
        codings(),
        ends_of_bodies(),
        no_bodies(),
        interim(),
        status_lines(),
        odd_statuses(),
        fields(),
        line_ends(),
        persistence(),
        surplus(),
        no_answers(),
    ]
    .concat()
}

fn chunk_lines() -> Vec<Case> {
    vec![
        Case::chunks("chunk extensions", &format!("d;a=1;b\r\n{RIGHT}\r\n0;c\r\n\r\n"))
            .why("An extension that nobody knows is ignored (RFC 9112, 7.1.1)")
            .peers(
                "accepted: llhttp `test/response/transfer-encoding.md`, hyper \
                 `src/proto/h1/decode.rs`, Go `internal/chunked_test.go`",
            ),
        Case::chunks(
            "a chunk extension in quotes, with a semicolon",
            &format!("d;a=\"b; c\"\r\n{RIGHT}\r\n0\r\n\r\n"),
        )
        .why("The line ends where it ends, whatever is quoted in it")
        .peers("accepted: llhttp `test/response/transfer-encoding.md`"),
        Case::chunks(
            "a chunk extension whose quotes are left open",
            &format!("d;a=\"b\r\n{RIGHT}\r\n0\r\n\r\n"),
        )
        .why("The size is clear; extensions are not read")
        .peers("refused: llhttp `test/response/transfer-encoding.md`"),
        Case::chunks("text after a chunk size", &format!("d oops\r\n{RIGHT}\r\n0\r\n\r\n"))
            .malformed()
            .reqwest("truncated")
            .why("Without a semicolon it is no extension")
            .peers(
                "refused: llhttp `test/response/transfer-encoding.md`, hyper \
                 `src/proto/h1/decode.rs`; ignored: wrk2 `src/http_parser.c`",
            ),
        Case::chunks("spaces after a chunk size", &format!("d  \r\n{RIGHT}\r\n0\r\n\r\n"))
            .why("Older servers pad sizes; the size is clear")
            .peers(
                "accepted: hyper `src/proto/h1/decode.rs`; refused: llhttp \
                 `test/response/transfer-encoding.md`",
            ),
        Case::chunks("a chunk size in capitals", &format!("D\r\n{RIGHT}\r\n0\r\n\r\n"))
            .why("Hexadecimal digits have both cases (RFC 5234)")
            .peers("accepted: hyper `src/proto/h1/decode.rs`"),
        Case::chunks(
            "a chunk size with leading zeros",
            &format!("0000000d\r\n{RIGHT}\r\n000\r\n\r\n"),
        )
        .why("They are part of the number")
        .peers("accepted: Go `response_test.go`, hyper `src/proto/h1/decode.rs`"),
        Case::chunks(
            "a chunk size of 17 digits",
            &format!("0000000000000000d\r\n{RIGHT}\r\n0\r\n\r\n"),
        )
        .malformed()
        .reqwest("ok")
        .why("No integer has more than 16; no server sends them")
        .peers("refused: Go `internal/chunked_test.go` (\"could accept if we wanted\")"),
        Case::chunks("a chunk size `0xd`", &format!("0xd\r\n{RIGHT}\r\n0\r\n\r\n"))
            .malformed()
            .reqwest("truncated")
            .why("Digits only (RFC 9112, 7.1)")
            .peers("refused: hyper `src/proto/h1/decode.rs`, Go `internal/chunked_test.go`"),
        Case::chunks("a chunk size that ends with LF", &format!("d\n{RIGHT}\r\n0\r\n\r\n"))
            .malformed()
            .reqwest("truncated")
            .why("CRLF ends it (RFC 9112, 7.1)")
            .peers("refused: wrk2 `src/http_parser.c`"),
    ]
}

fn chunked_bodies() -> Vec<Case> {
    vec![
        Case::chunks("a chunk longer than its size", &format!("c\r\n{RIGHT}\r\n0\r\n\r\n"))
            .malformed()
            .reqwest("truncated")
            .why("The line end is not where the size says")
            .peers("refused: Go `internal/chunked_test.go`, wrk2 `src/http_parser.c`"),
        Case::chunks(
            "trailer fields",
            &format!("d\r\n{RIGHT}\r\n0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n"),
        )
        .why("They are read to the end and not used")
        .peers("accepted: hyper `tests/client.rs`"),
        Case::chunks(
            "trailer fields that speak of framing",
            &format!(
                "d\r\n{RIGHT}\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
        )
        .why("A trailer changes nothing of the framing (RFC 9110, 6.5.1)")
        .peers("accepted: hyper `tests/client.rs`"),
        Case::chunks("an end within a chunk", "d\r\n{\"us")
            .then(Then::Closes)
            .counted(TRUNCATED, Closed)
            .why("Part of a body is no body")
            .peers("an error: hyper `src/proto/h1/decode.rs`"),
        Case::chunks("an end before the last chunk", &format!("d\r\n{RIGHT}\r\n"))
            .then(Then::Closes)
            .counted(TRUNCATED, Closed)
            .why("More might have followed")
            .peers("an error: wrk2 `src/http_parser.c`"),
        Case::chunks("an end before the empty line", &format!("d\r\n{RIGHT}\r\n0\r\n"))
            .then(Then::Closes)
            .counted(TRUNCATED, Closed)
            .why("The body ends with its trailers (RFC 9112, 7.1)")
            .peers("an error: wrk2 `src/http_parser.c`"),
        Case::chunks("chunks a byte at a time", &format!("d\r\n{RIGHT}\r\n0\r\n\r\n"))
            .when(When::Dripping)
            .why("Where it is cut is the network's business")
            .peers("accepted: hyper `src/proto/h1/decode.rs`"),
    ]
}

fn lengths() -> Vec<Case> {
    let two = |first: &str, second: &str| {
        format!("Content-Length: {first}\r\nContent-Length: {second}\r\n")
    };
    vec![
        Case::framed("two equal lengths", &two("13", "13"))
            .why("They agree (RFC 9112, 6.3)")
            .peers("accepted: hyper `src/proto/h1/role.rs`"),
        Case::framed("two unequal lengths", &two("13", "14"))
            .malformed()
            .why("Which one holds is a guess (RFC 9112, 6.3)")
            .peers(
                "refused: hyper `src/proto/h1/role.rs`; the last one holds: wrk2 \
                 `src/http_parser.c`",
            ),
        Case::framed("`Content-Length: 13, 13`", "Content-Length: 13, 13\r\n")
            .why("A list of equal lengths is that length (RFC 9112, 6.3)")
            .peers("accepted: hyper `tests/client.rs`; refused: wrk2 `src/http_parser.c`"),
        Case::framed("`Content-Length: 13, 14`", "Content-Length: 13, 14\r\n")
            .malformed()
            .why("As two unequal lengths")
            .peers("refused: wrk2 `src/http_parser.c`"),
        Case::framed("`Content-Length: +13`", "Content-Length: +13\r\n")
            .malformed()
            .why("Digits only (RFC 9110, 8.6)")
            .peers(
                "refused: hyper `src/proto/h1/role.rs`, Go `transfer_test.go`, wrk2 \
                 `src/http_parser.c`",
            ),
        Case::framed("`Content-Length: -13`", "Content-Length: -13\r\n")
            .malformed()
            .why("As above")
            .peers("refused: Go `transfer_test.go`"),
        Case::framed("a `Content-Length` without a value", "Content-Length:\r\n")
            .malformed()
            .why("As above")
            .peers("refused: Go `transfer_test.go`"),
        Case::framed("tabs around a length", "Content-Length:\t13\t\r\n")
            .why("White space around a value is no part of it (RFC 9110, 5.5)")
            .peers("accepted: llhttp `test/response/content-length.md`"),
        Case::framed("a length that no integer holds", "Content-Length: 18446744073709551616\r\n")
            .counted(&["body_too_large"], Closed)
            .reqwest("malformed")
            .why("It is over any limit")
            .peers("refused: Go `transfer_test.go`"),
        Case::chunks("`Content-Length-X: 0`, and chunks", "")
            .peers("accepted: llhttp `test/response/content-length.md`")
            .why("It is a field of another name")
            .with(&format!(
                "{STATUS}Content-Length-X: 0\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{RIGHT}\r\n\
                 0\r\n\r\n"
            )),
    ]
}

fn codings() -> Vec<Case> {
    let chunks = format!("\r\nd\r\n{RIGHT}\r\n0\r\n\r\n");
    let coded =
        |name, fields: &str, rest: &str| Case::new(name, format!("{STATUS}{fields}\r\n{rest}"));
    let gzip = "Content-Length: 14\r\nContent-Encoding: gzip\r\n";
    vec![
        coded(
            "`Transfer-Encoding: chunked` and a length",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            &chunks,
        )
        .closed()
        .why("Chunks hold, and the connection ends: others may read it differently (RFC 9112, 6.1)")
        .peers(
            "chunks hold: hyper `src/proto/h1/role.rs`, Go `response_test.go`, wrk2 \
             `src/http_parser.c`",
        ),
        coded("`Transfer-Encoding: CHUNKED`", "Transfer-Encoding: CHUNKED", &chunks)
            .why("Names of codings have no case (RFC 9112, 7)")
            .peers("accepted: wrk2 `src/http_parser.c`"),
        coded("`Transfer-Encoding: gzip, chunked`", "Transfer-Encoding: gzip, chunked", &chunks)
            .malformed()
            .reqwest("ok")
            .why("No request offers gzip as a transfer coding (`TE`), so none is decoded")
            .peers("refused: Go `transfer_test.go`"),
        coded(
            "`Transfer-Encoding: chunked` twice",
            "Transfer-Encoding: chunked\r\n\
               Transfer-Encoding: chunked",
            &chunks,
        )
        .malformed()
        .reqwest("ok")
        .why("A body must not be chunked twice (RFC 9112, 6.1)")
        .peers("accepted: Go `transfer_test.go`"),
        coded("`Transfer-Encoding: yolo`", "Transfer-Encoding: yolo\r\n", RIGHT)
            .then(Then::Closes)
            .malformed()
            .reqwest("ok")
            .why("The body is in a coding that nobody asked for and nobody here knows")
            .peers(
                "refused: Go `transfer_test.go`; read to the end of the connection: hyper \
                 `tests/client.rs`, llhttp `test/response/transfer-encoding.md`",
            ),
        Case::new(
            "HTTP/1.0 with chunks and keep-alive",
            format!(
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\
                 {chunks}"
            ),
        )
        .closed()
        .reqwest("malformed")
        .why("Chunks are read, and the connection ends: its framing is not sure (RFC 9112, 6.1)")
        .peers(
            "refused: hyper `src/proto/h1/role.rs`; chunks are ignored: Go `response_test.go`; \
             read: wrk2 `src/http_parser.c`",
        ),
        coded("`Content-Encoding: gzip`, with a check", gzip, "no-gzip-at-all")
            .counted(&["encoded"], Kept)
            .why("Decoding is not the generator's work; without a check it is `ok`")
            .peers(
                "decoded, and an error if that fails: k6 \
                 `js/modules/k6/http/request_test.go`",
            ),
        Case::new(
            "a 204 with `Content-Encoding: gzip`",
            "HTTP/1.1 204 No\r\n\
                   Content-Encoding: gzip\r\n\r\n",
        )
        .to("GET", 204)
        .why("There is no body to decode")
        .peers("accepted: k6 `js/modules/k6/http/request_test.go`"),
    ]
}

fn ends_of_bodies() -> Vec<Case> {
    vec![
        Case::framed("no length, and the end of the connection", "")
            .then(Then::Closes)
            .closed()
            .why("The body lasts until then (RFC 9112, 6.3)")
            .peers("accepted: Go `response_test.go`, wrk2 `src/http_parser.c`"),
        Case::framed("no length, and no end", "")
            .counted(&["timeout"], Closed)
            .why("Whether it is whole is not known")
            .peers("waits: llhttp `test/response/connection.md`"),
        Case::head(
            "HTTP/1.0 with keep-alive and no length",
            "HTTP/1.0 200 OK\r\n\
                    Connection: keep-alive\r\n",
        )
        .then(Then::Closes)
        .closed()
        .why("As in HTTP/1.1")
        .peers("reads on to the end: llhttp `test/response/connection.md`"),
        Case::framed("a body shorter than its length", "Content-Length: 99\r\n")
            .then(Then::Closes)
            .counted(TRUNCATED, Closed)
            .why("Part of a body is no body, or a broken server looks fast")
            .peers(
                "an error: Go `response_test.go`, hyper `src/proto/h1/decode.rs`; a read error, \
                 which is no request: wrk2 `src/wrk.c`",
            ),
        Case::framed("a reset within a body", "Content-Length: 99\r\n")
            .then(Then::Resets)
            .counted(&["reset"], Closed)
            .why("The server gave up"),
        Case::new("a body a byte at a time", format!("{STATUS}Content-Length: 13\r\n\r\n{RIGHT}"))
            .when(When::Dripping)
            .why("Where it is cut is the network's business")
            .peers("accepted: hyper `src/proto/h1/decode.rs`"),
    ]
}

fn no_bodies() -> Vec<Case> {
    let answer =
        |name, status: &str, rest: &str| Case::new(name, format!("HTTP/1.1 {status}\r\n{rest}"));
    vec![
        answer("a 204 with a length", "204 No Content", "Content-Length: 13\r\n\r\n")
            .to("GET", 204)
            .why("A 204 has no body (RFC 9112, 6.3)")
            .peers("waits for the body: wrk2 `src/http_parser.c`"),
        answer("a 304 with a length", "304 Not Modified", "Content-Length: 13\r\n\r\n")
            .to("GET", 304)
            .why("The length is that of what has not changed (RFC 9110, 8.6)")
            .peers(
                "no body: llhttp `test/response/connection.md`; waits for it: wrk2 \
                 `src/http_parser.c`",
            ),
        answer(
            "a 304 with chunks announced",
            "304 Not Modified",
            "Transfer-Encoding: chunked\r\n\
               \r\n",
        )
        .to("GET", 304)
        .why("As above")
        .peers("no body: llhttp `test/response/connection.md`"),
        answer("a 204 with a body", "204 No Content", &format!("\r\n{RIGHT}"))
            .to("GET", 204)
            .malformed()
            .reqwest("ok")
            .why("What follows is not part of it, so it is surplus (see below)")
            .peers("the body is not read: Go `response_test.go`"),
        answer("HEAD, answered with a length", "200 OK", "Content-Length: 13\r\n\r\n")
            .to("HEAD", 200)
            .why("The length is that of the answer to a GET (RFC 9110, 8.6)")
            .peers("no body: hyper `src/proto/h1/role.rs`, Go `response_test.go`"),
        answer(
            "HEAD, answered with chunks announced",
            "200 OK",
            "Transfer-Encoding: chunked\r\n\
               \r\n",
        )
        .to("HEAD", 200)
        .why("As above")
        .peers("no body: Go `response_test.go`"),
        answer("HEAD, answered without a length", "200 OK", "\r\n")
            .to("HEAD", 200)
            .why("There is no body to wait for")
            .peers("no body, but the connection ends: Go `response_test.go` (HTTP/1.0)"),
        answer(
            "HEAD, answered with a body",
            "200 OK",
            &format!("Content-Length: 13\r\n\r\n{RIGHT}"),
        )
        .to("HEAD", 200)
        .malformed()
        .reqwest("ok")
        .why("As a 204 with a body")
        .peers("the body is ignored: hyper `tests/client.rs`"),
    ]
}

fn interim() -> Vec<Case> {
    let right = format!("{STATUS}Content-Length: 13\r\n\r\n{RIGHT}");
    let first = |name, first: &str| Case::new(name, format!("{first}{right}"));
    vec![
        first("100 before the answer", "HTTP/1.1 100 Continue\r\n\r\n")
            .why("An interim answer does not count (RFC 9110, 15.2)")
            .peers(
                "skipped: hyper `tests/client.rs`, h2load `src/h2load_http1_session.cc`; counted \
                 as a request: wrk2 `src/http_parser.c`",
            ),
        first(
            "103 with fields, twice, before the answer",
            &"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n".repeat(2),
        )
        .why("An interim answer has no body, whatever it says")
        .peers("skipped: hyper `src/proto/h1/role.rs`, h2load `src/h2load_http1_session.cc`"),
        Case::new("100 and then the end", "HTTP/1.1 100 Continue\r\n\r\n")
            .then(Then::Closes)
            .counted(TRUNCATED, Closed)
            .reqwest("closed")
            .why("The answer has begun"),
        Case::new(
            "101",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                   Upgrade: h2c\r\n\r\n",
        )
        .malformed()
        .reqwest("status_101")
        .why("What follows is no HTTP/1.1, and no request asked for it")
        .peers(
            "an error: k6 `lib/netext/httpext/request_test.go`, h2load \
                 `src/h2load_http1_session.cc`",
        ),
        Case::fields("`Upgrade` in a 200", "Connection: upgrade\r\nUpgrade: h2c\r\n")
            .why("An offer that nobody takes up")
            .peers("accepted: llhttp `test/response/connection.md`"),
    ]
}

fn status_lines() -> Vec<Case> {
    vec![
        Case::status("no reason", "HTTP/1.1 200")
            .why("The reason is for people, and may be missing (RFC 9112, 4)")
            .peers("accepted: Go `response_test.go`, llhttp `test/response/sample.md`"),
        Case::status("a space and no reason", "HTTP/1.1 200 ")
            .why("As above")
            .peers("accepted: Go `response_test.go`, llhttp `test/response/sample.md`"),
        Case::status("a reason that is no ASCII", "HTTP/1.1 200 Oriënteren")
            .why("As above")
            .peers("accepted: llhttp `test/response/sample.md`"),
        Case::status("two spaces before the status", "HTTP/1.1  200 OK")
            .malformed()
            .why("One space (RFC 9112, 4)")
            .peers(
                "refused: llhttp `test/response/invalid.md`; accepted: wrk2 `src/http_parser.c`",
            ),
        Case::status("HTTP/1.2", "HTTP/1.2 200 OK")
            .malformed()
            .why("There is no such version")
            .peers("accepted: Go `response_test.go`"),
        Case::status("HTTP/2.0 as text", "HTTP/2.0 200 OK")
            .malformed()
            .why("HTTP/2 is no text")
            .peers("accepted: Go `response_test.go`"),
        Case::status("`http/1.1` in small letters", "http/1.1 200 OK")
            .malformed()
            .why("The name has a case (RFC 9112, 2.3)")
            .peers("refused: Go `response_test.go`"),
        Case::new("a body alone, as in HTTP/0.9", RIGHT)
            .then(Then::Closes)
            .malformed()
            .why("It may be anything")
            .peers("refused unless asked for: hyper `src/proto/h1/role.rs`"),
        Case::status("an empty line before the answer", "\r\nHTTP/1.1 200 OK")
            .malformed()
            .reqwest("ok")
            .why("It belongs to no answer, so the one before was longer than it said")
            .peers("accepted: llhttp `test/response/sample.md`, wrk2 `src/http_parser.c`"),
    ]
}

fn odd_statuses() -> Vec<Case> {
    vec![
        Case::status("status 999", "HTTP/1.1 999 Done")
            .counted(&["status_999"], Kept)
            .why("An error that is counted by its number")
            .peers("accepted: Go `response_test.go`, wrk2 `src/http_parser.c`"),
        Case::status("status 001", "HTTP/1.1 001 OK")
            .malformed()
            .why("Statuses begin at 100 (RFC 9110, 15)")
            .peers("refused: hyper `tests/client.rs`; accepted: Go `response_test.go`"),
        Case::status("status of two digits", "HTTP/1.1 20 OK")
            .malformed()
            .why("Three digits (RFC 9112, 4)")
            .peers("refused: Go `response_test.go`; accepted: wrk2 `src/http_parser.c`"),
        Case::status("status of four digits", "HTTP/1.1 2000 OK")
            .malformed()
            .why("As above")
            .peers("refused: Go `response_test.go`, wrk2 `src/http_parser.c`"),
        Case::status("status 400", "HTTP/1.1 400 Bad Request")
            .counted(&["status_400"], Kept)
            .why("An error, unless the step expects it")
            .peers(
                "an error: vegeta `lib/attack_test.go`; counted, and part of the throughput: wrk2 \
                 `src/wrk.c`",
            ),
        Case::head(
            "a redirect",
            "HTTP/1.1 302 Found\r\nLocation: /other\r\n\
                    Content-Length: 13\r\n",
        )
        .counted(&["status_302"], Kept)
        .why("A load measures what it asks for; only logins follow redirects")
        .peers(
            "followed, so many: vegeta `lib/attack_test.go`, oha `tests/tests.rs`, k6 \
                 `js/modules/k6/http/request_test.go`",
        ),
        Case::status("a redirect without a `Location`", "HTTP/1.1 302 Found")
            .counted(&["status_302"], Kept)
            .why("As above"),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        Case::fields("a folded field", "X-Fold: one\r\n two\r\n\t three\r\n")
            .why("Each fold is spaces (RFC 9112, 5.2)")
            .peers(
                "accepted: wrk2 `src/http_parser.c`; refused unless asked for: hyper \
                 `tests/client.rs`",
            ),
        Case::framed("a folded length", "Content-Length:\r\n 13\r\n")
            .why("As above")
            .peers("accepted: wrk2 `src/http_parser.c`"),
        Case::framed("a folded `Transfer-Encoding`", "Transfer-Encoding: chunked\r\n  abc\r\n")
            .malformed()
            .reqwest("timeout")
            .why("Unfolded, it is no coding that anyone knows")
            .peers(
                "no chunks, so to the end (lenient mode): llhttp \
             `test/response/transfer-encoding.md`",
            ),
        Case::status("a space before the first field", "HTTP/1.1 200 OK\r\n X-A: b")
            .malformed()
            .why("There is no field that it could continue (RFC 9112, 2.2)")
            .peers("refused: llhttp `test/response/invalid.md`"),
        Case::framed("a space before the colon", "Content-Length : 13\r\n")
            .malformed()
            .why("Another parser may not see the field (RFC 9112, 5.1)")
            .peers("refused: hyper `src/proto/h1/role.rs`, wrk2 `src/http_parser.c`"),
        Case::fields("a field without a name", ": nothing\r\n")
            .malformed()
            .why("A name has at least one character (RFC 9110, 5.1)")
            .peers("refused: wrk2 `src/http_parser.c`"),
        Case::fields("a line without a colon", "nothing\r\n")
            .malformed()
            .why("It is no field")
            .peers("refused: wrk2 `src/http_parser.c`"),
        Case::fields("a space in a name", "en-US Content-Type: text/xml\r\n")
            .malformed()
            .why("Names are tokens (RFC 9110, 5.1)")
            .peers("refused: llhttp `test/response/sample.md`"),
        Case::fields("a field without a value", "Pragma: \r\n")
            .why("Values may be empty")
            .peers("accepted: llhttp `test/response/sample.md`"),
        Case::fields("an underscore in a name", "DCLK_imp: v7;x\r\n")
            .why("It is a token's character")
            .peers("accepted: llhttp `test/response/sample.md`"),
        Case::fields("a value that is no ASCII", "X-Name: Zoë\r\n")
            .why("Old values are in any encoding (RFC 9110, 5.5)"),
        Case::fields("NUL in a value", "X-Nul: a\0b\r\n")
            .malformed()
            .why("Refused, as RFC 9110, 5.5 asks")
            .peers("accepted: wrk2 `src/http_parser.c`"),
    ]
}

fn line_ends() -> Vec<Case> {
    let fed = |head: &str| head.replace("\r\n", "\n");
    vec![
        Case::new(
            "lines that end with LF alone",
            format!("{}{RIGHT}", fed(&format!("{STATUS}Content-Length: 13\r\n\r\n"))),
        )
        .why("Accepted, as RFC 9112, 2.2 allows")
        .peers(
            "accepted: wrk2 `src/http_parser.c`, Go `response_test.go`; refused: llhttp \
             `test/response/invalid.md`",
        ),
        Case::fields("CR alone within a value", "X-A: 1\rX-B: 2\r\n")
            .malformed()
            .why("Another parser may take it for a line end (RFC 9112, 2.2)")
            .peers("refused: llhttp `test/response/invalid.md`, wrk2 `src/http_parser.c`"),
        Case::status("CR alone after the status line", "HTTP/1.1 200 OK\rX-A: 1")
            .malformed()
            .why("As above")
            .peers("refused: llhttp `test/response/invalid.md`, wrk2 `src/http_parser.c`"),
    ]
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

impl Case {
    /// The same row with these bytes.
    fn with(mut self, bytes: &str) -> Self {
        self.odd.bytes = bytes.into();
        self
    }
}
