//! Odd bodies: chunks, lengths, codings, ends, and answers that have none.

use super::super::case::After::{Closed, Kept};
use super::super::case::{Case, STATUS, TRUNCATED};
use super::super::server::{RIGHT, Then, When};

/// The rows of this file.
pub(super) fn cases() -> Vec<Case> {
    [chunk_lines(), chunked_bodies(), lengths(), codings(), ends_of_bodies(), no_bodies()].concat()
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
