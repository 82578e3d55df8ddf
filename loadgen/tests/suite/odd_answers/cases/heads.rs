//! Odd heads: interim answers, status lines, statuses, fields and line ends.

use super::super::case::After::{Closed, Kept};
use super::super::case::{Case, STATUS, TRUNCATED};
use super::super::server::{RIGHT, Then};

/// The rows of this file.
pub(super) fn cases() -> Vec<Case> {
    [interim(), status_lines(), odd_statuses(), fields(), line_ends()].concat()
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
