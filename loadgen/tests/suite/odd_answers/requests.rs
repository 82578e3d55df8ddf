//! Requests as the tests of other generators expect theirs, by the flags of `authbench run`.

use std::fmt::Write as _;
use std::net::TcpListener;

use super::super::field::{answer, authbench, figures, server, server_on, stderr};
use super::super::sockets::Request;

/// One row: what is asked for, and what the server sees.
struct Row {
    name: &'static str,
    flags: &'static [&'static str],
    path: &'static str,
    line: &'static str,
    /// A header and all of its values.
    field: (&'static str, &'static [&'static str]),
    /// The values with `--transport reqwest`, if they are others.
    reqwest: Option<&'static [&'static str]>,
    body: &'static str,
    peers: &'static str,
}

const PLAIN: Row = Row {
    name: "",
    flags: &[],
    path: "/",
    line: "GET / HTTP/1.1",
    field: ("content-length", &[]),
    reqwest: None,
    body: "",
    peers: "",
};

fn rows() -> Vec<Row> {
    let mut rows = heads();
    rows.extend(methods());
    rows
}

fn heads() -> Vec<Row> {
    vec![
        Row {
            name: "a path with a query goes out as it stands",
            path: "/index?a=b&c=d%20e",
            line: "GET /index?a=b&c=d%20e HTTP/1.1",
            peers: "oha `tests/tests.rs` (test_query)",
            ..PLAIN
        },
        Row {
            name: "a header",
            flags: &["--header", "X-Some: value"],
            field: ("x-some", &["value"]),
            peers: "oha `tests/tests.rs` (test_setting_custom_header), hey \
                    `requester/requester_test.go` (TestRequest)",
            ..PLAIN
        },
        Row {
            name: "a header without a space after the colon",
            flags: &["--header", "accept:text/html"],
            field: ("accept", &["text/html"]),
            peers: "oha `tests/tests.rs` (test_setting_accept_header)",
            ..PLAIN
        },
        Row {
            name: "no `Accept-Encoding` unless it is asked for: others offer gzip and decode it",
            field: ("accept-encoding", &[]),
            peers: "oha `tests/tests.rs` (test_enable_compression_default)",
            ..PLAIN
        },
        Row {
            name: "another `Host`",
            flags: &["--header", "host:hatoo.io"],
            field: ("host", &["hatoo.io"]),
            peers: "oha `tests/tests.rs` (test_setting_host)",
            ..PLAIN
        },
        Row {
            name: "`Authorization: Basic`, as a header",
            flags: &["--header", "Authorization: Basic dXNlcm5hbWU6cGFzc3dvcmQ="],
            field: ("authorization", &["Basic dXNlcm5hbWU6cGFzc3dvcmQ="]),
            peers: "hey `requester/requester_test.go` (TestRequest)",
            ..PLAIN
        },
        Row {
            name: "no mark of the generator: others add their name or a number",
            field: ("user-agent", &[]),
            peers: "vegeta `lib/attack_test.go` (TestVegetaHeaders)",
            ..PLAIN
        },
    ]
}

fn methods() -> Vec<Row> {
    vec![
        Row {
            name: "a body makes a POST with its length",
            flags: &["--body", "Body", "--header", "Content-Type: text/html"],
            line: "POST / HTTP/1.1",
            field: ("content-length", &["4"]),
            body: "Body",
            peers: "hey `requester/requester_test.go` (TestBody), oha `tests/tests.rs` \
                    (test_setting_body)",
            ..PLAIN
        },
        Row {
            name: "the type of a body",
            flags: &["--body", "<p>", "--header", "content-type:text/html"],
            line: "POST / HTTP/1.1",
            field: ("content-type", &["text/html"]),
            body: "<p>",
            peers: "oha `tests/tests.rs` (test_setting_content_type_header)",
            ..PLAIN
        },
        Row {
            name: "a method",
            flags: &["--method", "DELETE"],
            line: "DELETE / HTTP/1.1",
            peers: "oha `tests/tests.rs` (test_setting_method)",
            ..PLAIN
        },
        Row {
            name: "a PUT without a body says so (RFC 9110, 8.6); reqwest does not",
            flags: &["--method", "PUT"],
            line: "PUT / HTTP/1.1",
            field: ("content-length", &["0"]),
            reqwest: Some(&[]),
            peers: "oha `tests/tests.rs` (test_setting_method)",
            ..PLAIN
        },
        Row {
            name: "HEAD",
            flags: &["--method", "HEAD"],
            line: "HEAD / HTTP/1.1",
            peers: "oha `tests/tests.rs` (test_setting_method)",
            ..PLAIN
        },
    ]
}

/// What a server answers to a request of any method.
fn reply(asked: &Request) -> Vec<u8> {
    let body: &[u8] = if asked.line.starts_with("HEAD ") { b"" } else { b"hi" };
    answer(200, "", body)
}

#[test]
fn requests_go_out_as_the_page_says() {
    for row in rows() {
        let (address, seen) = server(reply);
        let url = format!("http://{address}{}", row.path);
        for transport in ["lean", "reqwest"] {
            // As hey's TestN: so many requests, and not one more.
            let how = ["-n", "20", "-c", "2", "--transport", transport, "--format=json"];
            let flags = [&["run", "--allow-debug", &url], &how[..], row.flags].concat();
            let output = authbench(&flags);
            assert_eq!(figures(&output)["counts"]["ok"], 20, "{}: {}", row.name, stderr(&output));
            let asked = std::mem::take(&mut *seen.lock().unwrap());
            assert_eq!(asked.len(), 20, "{}", row.name);
            for asked in asked {
                let (name, values) = row.field;
                assert_eq!((asked.line.as_str(), asked.body.as_str()), (row.line, row.body));
                let values = row.reqwest.filter(|_| transport == "reqwest").unwrap_or(values);
                assert_eq!(asked.values(name), values, "{}, {transport}", row.name);
            }
        }
    }
}

#[test]
fn a_server_at_an_address_of_ipv6_is_reached() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let address = listener.local_addr().unwrap();
    let seen = server_on(listener, reply);
    let url = format!("http://{address}/");
    let output = authbench(&["run", "--allow-debug", &url, "-n", "5", "-c", "1", "--format=json"]);
    assert_eq!(figures(&output)["counts"]["ok"], 5, "{}", stderr(&output));
    let asked = seen.lock().unwrap();
    assert_eq!(asked[0].values("host"), [address.to_string()]);
}

/// The rows of the page.
pub(super) fn table() -> String {
    let mut table = String::from("| request | flags | others |\n| --- | --- | --- |\n");
    for Row { name, flags, peers, .. } in rows() {
        let flags: Vec<_> = flags.iter().map(|flag| quoted(flag)).collect();
        let flags = if flags.is_empty() { String::new() } else { format!("`{}`", flags.join(" ")) };
        writeln!(table, "| {name} | {flags} | {peers} |").unwrap();
    }
    table
}

fn quoted(flag: &str) -> String {
    let is_plain = flag.chars().all(|c| c.is_alphanumeric() || "-:/".contains(c));
    if is_plain { flag.into() } else { format!("'{flag}'") }
}
