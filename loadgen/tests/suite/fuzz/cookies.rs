//! What a user of a load keeps of cookies: no answer writes into later requests anything but
//! cookies, and one that comes twice changes nothing the second time.

use httparse::{EMPTY_HEADER, Header};
use loadgen::journey::{Answer, Script, Who};
use loadgen::spec::parse_target;

use super::{corpus, fuzz, root};

const TARGET: &str = r#"
name = "fuzz"
base_url = "http://127.0.0.1:1"
[cookies]
keep = true
[login]
path = "/auth/login"
fields = { username = "{username}", password = "{password}" }
credential = "cookie:sid"
send = "cookie:sid"
[journeys.browse]
steps = [{ name = "me", path = "/me" }, { name = "renew", path = "/auth/renew" }]
[logout]
path = "/logout"
"#;
/// More header fields than a request of this target has.
const HEADERS_MAX: usize = 16;

/// A request of a user who holds this, and its cookies in order, as a server reads them.
fn cookies(script: &Script, request: usize, held: &[u8]) -> Vec<Vec<u8>> {
    let who = Who { n: 0, credential: held };
    let request = &script.requests[request];
    let line = format!("{} {} HTTP/1.1\r\n", request.method, request.path.text(who));
    let mut sent = line.into_bytes();
    let mut names = Vec::new();
    for (name, value) in &request.headers {
        let mut written = Vec::new();
        value.write(who, &mut written);
        if written.is_empty() && value.may_be_empty() {
            continue;
        }
        names.push(name.as_str());
        sent.extend_from_slice(&[name.as_bytes(), b": ", &written, b"\r\n"].concat());
    }
    sent.extend_from_slice(b"\r\n");
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let read = parsed.parse(&sent);
    let shown = sent.escape_ascii();
    assert!(read.is_ok_and(|read| read.is_complete()), "no request: {shown}");
    let found: Vec<_> = parsed.headers.iter().map(|header| header.name).collect();
    assert_eq!(found, names, "an answer wrote a header: {shown}");
    let fields = parsed.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("cookie"));
    let values: Vec<&[u8]> = fields.map(|field| field.value).collect();
    assert!(values.len() <= 1, "two fields of cookies: {shown}");
    let mut cookies = Vec::new();
    for value in values.into_iter().filter(|value| !value.is_empty()) {
        cookies.extend(value.split(|byte| *byte == b';').map(|pair| pair.trim_ascii().to_vec()));
    }
    cookies
}

#[test]
fn cookies_of_answers_stay_cookies() {
    let target = parse_target(&root().join("fuzz.toml"), TARGET, &root()).unwrap();
    let script = Script::new(&target, "browse").unwrap();
    let login = script.login.unwrap();
    // An answer is what stands between two empty lines; a line is a field.
    fuzz(&corpus("loadgen/tests/corpus/cookies", ""), |text| {
        let mut held = Vec::new();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        for answer in lines.split(|line| line.is_empty()) {
            let headers: Vec<_> =
                answer.iter().map(|value| Header { name: "Set-Cookie", value }).collect();
            let answer = Answer { status: 200, headers: &headers, body: b"" };
            let after =
                |held: &[u8]| script.capture(login, Who { n: 0, credential: held }, &answer);
            let Ok(now) = after(&held) else { continue };
            let again = after(&now).expect("it was read once");
            for request in script.steps.clone().chain(script.logout) {
                let mut once = cookies(&script, request, &now);
                let mut twice = cookies(&script, request, &again);
                once.sort();
                twice.sort();
                assert_eq!(once, twice, "the same answer changed something again");
            }
            held = now;
        }
    });
}

/// What the corpus is for: both requests of the journey get the cookies of their paths.
#[test]
fn the_target_of_this_test_keeps_cookies() {
    let target = parse_target(&root().join("fuzz.toml"), TARGET, &root()).unwrap();
    let script = Script::new(&target, "browse").unwrap();
    let fields: [&[u8]; 3] = [b"sid=1; Path=/", b"a=2; Path=/auth", b"b=3; Path=/"];
    let headers = fields.map(|value| Header { name: "Set-Cookie", value });
    let answer = Answer { status: 200, headers: &headers, body: b"" };
    let who = Who { n: 0, credential: b"" };
    let held = script.capture(script.login.unwrap(), who, &answer).unwrap();
    let [me, renew] = [0, 1].map(|step| cookies(&script, script.steps.start + step, &held));
    assert_eq!(me, [&b"sid=1"[..], b"b=3"]);
    assert_eq!(renew, [&b"sid=1"[..], b"a=2", b"b=3"]);
}
