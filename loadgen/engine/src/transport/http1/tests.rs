//! Answers that arrive whole, and the beginnings of answers.

use super::*;

#[derive(Debug, PartialEq)]
enum Got {
    Whole(u16, String, usize, bool),
    Part,
}

fn got(text: &str, to_head: bool, ended: bool) -> Result<Got, Failure> {
    let (mut room, limits) = (room(), Limits::default());
    read(text.as_bytes(), to_head, ended, &limits, &mut room).map(|read| match read {
        Read::Whole(w) => {
            let body = String::from_utf8(w.body.into_owned()).unwrap();
            Got::Whole(w.status, body, text.len() - w.behind, w.keep_alive)
        }
        Read::Part(_) => Got::Part,
    })
}

/// An answer, whether it was to HEAD, whether the server closed, and what it is.
pub(crate) const ANSWERS: &[(&str, bool, bool, &str, u16, bool)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, false, "hi", 200, true),
    ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, false, "", 200, true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, false, "", 200, true),
    ("HTTP/1.1 204 No Content\r\n\r\n", false, false, "", 204, true),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", false, false, "", 304, true),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        false,
        false,
        "x",
        200,
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        false,
        false,
        "x",
        200,
        false,
    ),
    ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, false, "x", 200, false),
    (
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
        false,
        false,
        "x",
        200,
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n3;e=1\r\nyou\r\n0\r\n\r\n",
        false,
        false,
        "hiyou",
        200,
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\n\r\n",
        false,
        false,
        "x",
        200,
        true,
    ),
    ("HTTP/1.1 200 OK\r\n\r\nuntil the end", false, true, "until the end", 200, false),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1, 1 ,1\r\n\r\nx", false, false, "x", 200, true),
    (
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\nx\r\n0\r\n\r\n",
        false,
        false,
        "x",
        200,
        false,
    ),
];

#[test]
fn whole_answers() {
    for (text, to_head, ended, body, status, keep_alive) in ANSWERS {
        let whole = Got::Whole(*status, (*body).into(), text.len(), *keep_alive);
        assert_eq!(got(text, *to_head, *ended), Ok(whole), "{text:?}");
    }
}

/// Fault 11: a truncated answer is not taken for a whole one.
#[test]
fn no_beginning_of_an_answer_is_taken_for_the_whole() {
    for (text, to_head, ended, ..) in ANSWERS.iter().filter(|answer| !answer.2) {
        for end in 0..text.len() {
            assert_eq!(got(&text[..end], *to_head, *ended), Ok(Got::Part), "{:?}", &text[..end]);
            let closed = got(&text[..end], *to_head, true);
            let expected = if end == 0 { Failure::Closed } else { Failure::Truncated };
            assert_eq!(closed, Err(expected), "{:?}", &text[..end]);
        }
    }
}

#[test]
fn bytes_behind_an_answer_do_not_belong_to_it() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1";
    assert_eq!(got(text, false, false), Ok(Got::Whole(200, "hi".into(), 40, true)));
}

#[test]
fn other_text_is_malformed() {
    for text in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 099 Early\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: ,\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;e\r\n\r\n",
    ] {
        assert_eq!(got(text, false, false), Err(Failure::Malformed), "{text:?}");
    }
}

#[test]
fn a_length_that_no_integer_holds_is_a_body_over_the_limit() {
    for length in ["18446744073709551615", "18446744073709551616", "99999999999999999999999999"] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(got(&text, false, false), Err(Failure::Over(Limit::Body)), "{length}");
    }
}
