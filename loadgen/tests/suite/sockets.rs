//! The engine and its lean transport on real sockets, against servers that misbehave by script:
//! each misbehaviour ends in its own class, in time, with every request accounted for and none sent
//! twice.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loadgen::engine::{self, Driver, Lane, Phase, Used};
use loadgen::error::{Error, Interrupt};
use loadgen::journey::Script;
use loadgen::load::{Closed, Constant, LoadModel, UserChoice};
use loadgen::plan::{LoadPlan, Slicing};
use loadgen::record::LoadRecord;

/// Longer than anything here may take on a machine that is busy.
const LONG: Duration = Duration::from_secs(60);

/// What a scripted server sees of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let of_name = |field: &&str| field.to_lowercase().starts_with(&format!("{name}: "));
        let fields = self.headers.iter().map(String::as_str).filter(of_name);
        fields.map(|field| &field[name.len() + 2..]).collect()
    }
}

/// What it does then.
enum Reply {
    Bytes(Vec<u8>),
    BytesAndClose(Vec<u8>),
    Silence,
    Reset,
}

fn ok(body: &str) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Reply::Bytes((head + body).into_bytes())
}

/// Starts a server that answers every request as `reply` says; its address, and how many it got.
fn server(
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let (reply, counter) = (Arc::new(reply), Arc::clone(&count));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (reply, counter) = (Arc::clone(&reply), Arc::clone(&counter));
            thread::spawn(move || converse(stream, &*reply, &counter));
        }
    });
    (address, count)
}

fn converse(stream: TcpStream, reply: &dyn Fn(&Request) -> Reply, counter: &AtomicUsize) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader) {
        counter.fetch_add(1, Ordering::SeqCst);
        let (bytes, close) = match reply(&request) {
            Reply::Bytes(bytes) => (bytes, false),
            Reply::BytesAndClose(bytes) => (bytes, true),
            Reply::Silence => continue,
            Reply::Reset => {
                let at_once = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&writer, at_once).unwrap();
                return;
            }
        };
        if writer.write_all(&bytes).is_err() || close {
            return;
        }
    }
}

pub(crate) fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_string());
    }
    let mut request = Request { line: lines.remove(0), headers: lines, body: String::new() };
    let length = request.values("content-length").first().map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}

fn driver(address: SocketAddr, login: bool) -> Driver {
    let login_table = "[login]\npath = '/login'\nfields = { username = '{username}' }\n\
                       credential = 'header:X-Token'\nsend = 'header:X-Auth: {credential}'\n";
    let text = format!(
        "name = 't'\nbase_url = 'http://{address}'\n{}[journeys.browse]\nsteps = [{{ name = 'me', \
         path = '/me', check = {{ json = '/user_id', equals = '{{n}}' }} }}]\n",
        if login { login_table } else { "" }
    );
    driver_of(&text)
}

fn driver_of(descriptor: &str) -> Driver {
    let script = Script::new(&toml::from_str(descriptor).unwrap(), "browse").unwrap();
    Driver::new(script, vec![], 1, Interrupt::default()).unwrap()
}

fn plan(users: u32, measure_ms: u64) -> LoadPlan {
    LoadPlan {
        model: LoadModel::Closed(Closed::without_thinking()),
        journey: "browse".into(),
        users,
        choice: UserChoice::InTurn,
        connections: users,
        warmup_ns: 0,
        measure_ns: measure_ms * 1_000_000,
        drain_ns: LONG.as_nanos() as u64,
        timeout_ns: LONG.as_nanos() as u64,
        prepare: None,
        renewal: None,
    }
}

/// A closed load of one user, without login, on a server that answers so.
fn run(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> LoadRecord {
    run_plan(&plan(1, 300), reply)
}

fn run_plan(
    plan: &LoadPlan,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> LoadRecord {
    let (address, count) = server(reply);
    let began = Instant::now();
    let load = engine::load(&driver(address, false), plan, 1, |_| {}).unwrap();
    assert!(began.elapsed() < 2 * LONG, "it must end in time");
    assert!(load.counts.balanced());
    let (seen, sent) = (count.load(Ordering::SeqCst) as u64, load.counts.sent);
    assert!(seen <= sent, "{seen} requests arrived and {sent} were sent: one was sent twice");
    load
}

/// The only class of errors of a load in which nothing was right.
fn only_class(load: &LoadRecord) -> &str {
    assert_eq!(load.counts.ok, 0);
    let classes: Vec<_> = load.counts.errors.keys().collect();
    assert_eq!(classes.len(), 1, "{classes:?}");
    classes[0]
}

#[test]
fn right_answers_in_every_framing() {
    let framings: [fn() -> Reply; 5] = [
        || ok("{\"user_id\":0}"),
        || {
            let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                           5\r\n{\"use\r\n8\r\nr_id\":0}\r\n0\r\n\r\n";
            Reply::Bytes(chunked.into())
        },
        || {
            let interim = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\
                           Content-Length: 13\r\n\r\n{\"user_id\":0}";
            Reply::Bytes(interim.into())
        },
        || Reply::BytesAndClose("HTTP/1.1 200 OK\r\n\r\n{\"user_id\":0}".into()),
        || ok(&format!("{{\"user_id\":0{}}}", " ".repeat(300_000))),
    ];
    for framing in framings {
        let load = run(move |_| framing());
        assert!(load.counts.ok > 0 && load.counts.failed() == 0, "{:?}", load.counts);
    }
}

#[test]
fn a_connection_that_the_server_closes_is_opened_again_and_counted() {
    let load = run(|_| {
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n";
        Reply::BytesAndClose(format!("{head}{{\"user_id\":0}}").into_bytes())
    });
    assert!(load.counts.ok > 1 && load.counts.failed() == 0, "{:?}", load.counts);
    let closed = load.closed_by_server.unwrap();
    assert!(closed + 2 >= load.counts.ok && closed <= load.counts.ok + 2, "{closed}");
}

/// Fault 11: resets, ends and garbage have their classes.
#[test]
fn every_misbehaviour_has_its_class() {
    type Misbehave = fn() -> Reply;
    let cases: [(&str, Misbehave); 7] = [
        ("malformed", || Reply::Bytes("220 mail ready\r\n\r\n".into())),
        ("malformed", || {
            // More than was asked for: whatever it is, it answers no request of ours.
            Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK".into())
        }),
        ("closed", || Reply::BytesAndClose(vec![])),
        ("truncated", || {
            Reply::BytesAndClose("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".into())
        }),
        ("reset", || Reply::Reset),
        ("wrong_user", || ok("{\"user_id\":7}")),
        ("status_503", || Reply::Bytes("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".into())),
    ];
    for (class, reply) in cases {
        assert_eq!(only_class(&run(move |_| reply())), class);
    }
    let impatient = LoadPlan { timeout_ns: 200_000_000, ..plan(1, 300) };
    assert_eq!(only_class(&run_plan(&impatient, |_| Reply::Silence)), "timeout");
}

#[test]
fn nobody_at_the_address() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = engine::load(&driver(address, false), &plan(1, 200), 1, |_| {}).unwrap_err();
    assert!(matches!(&error, Error::Target(text) if text.contains("refused")), "{error}");
}

#[test]
fn users_log_in_once_and_carry_their_own_credential() {
    let (address, _) = server(|request| {
        if request.line.starts_with("POST /login") {
            let user = request.body.rsplit('-').next().unwrap().trim_end_matches("\"}");
            let text = format!("HTTP/1.1 200 OK\r\nX-Token: t{user}\r\nContent-Length: 0\r\n\r\n");
            return Reply::Bytes(text.into_bytes());
        }
        let user = request.headers.iter().find_map(|h| h.strip_prefix("X-Auth: t")).unwrap();
        ok(&format!("{{\"user_id\":{user}}}"))
    });
    let mut driver = driver(address, true);
    driver.workers = 3;
    let load = engine::load(&driver, &plan(10, 300), 1, |_| {}).unwrap();
    let login = load.login.unwrap();
    assert_eq!((login.users, login.credential_bytes), (10, 20));
    assert!(load.counts.ok > 0 && load.counts.failed() == 0, "{:?}", load.counts);
    assert_eq!((load.connections, load.generator.workers), (10, 3));
}

#[test]
fn a_refused_login_ends_the_load_for_all_workers_and_says_what_was_found() {
    let forbidden = "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
    let (address, _) = server(|_| Reply::Bytes(forbidden.into()));
    let mut driver = driver(address, true);
    driver.workers = 2;
    let began = Instant::now();
    let error = engine::load(&driver, &plan(4, 120_000), 1, |_| {}).unwrap_err();
    assert!(began.elapsed() < LONG, "the other worker's users are not waited for");
    assert!(matches!(&error, Error::Target(text) if text.contains("status 403")), "{error}");
}

#[test]
fn phases_come_in_order_and_warm_up_is_not_counted() {
    let (address, count) = server(|_| ok("{\"user_id\":0}"));
    let mut plan = plan(1, 200);
    plan.warmup_ns = 100_000_000;
    plan.model = LoadModel::Constant(Constant { rate_per_s: 100.0 });
    let mut phases = Vec::new();
    let watch = |phase| phases.push((phase, Instant::now()));
    let load = engine::load(&driver(address, false), &plan, 1, watch).unwrap();
    let names: Vec<_> = phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(names, [Phase::Setup, Phase::Warmup, Phase::Measure, Phase::Drain]);
    assert_eq!((load.counts.planned, count.load(Ordering::SeqCst)), (20, 30));
    let warm = phases[2].1 - phases[1].1;
    assert!(warm >= Duration::from_millis(95), "{warm:?}");
}

/// Answers a form, a login and a step as a server does that guards both against forged requests:
/// the token is a field of the form and bound to a cookie, and a login gives new ones of both.
fn guard(request: &Request) -> Reply {
    let header = |name| request.headers.iter().find_map(|line| line.strip_prefix(name));
    let answer = |status, cookie: String, body: String| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{cookie}Content-Length: {length}\r\n\r\n");
        Reply::Bytes((head + &body).into_bytes())
    };
    let forbidden = || answer("403 Forbidden", String::new(), String::new());
    let cookie = header("Cookie: sid=");
    match request.line.as_str() {
        line if line.starts_with("GET /form?u=") => {
            let user = line.trim_start_matches("GET /form?u=").split(' ').next().unwrap();
            let page = format!("<form><input type=hidden name=t value=\"form+{user}\"></form>");
            answer("200 OK", format!("Set-Cookie: sid=early-{user}; HttpOnly\r\n"), page)
        }
        "POST /login HTTP/1.1" => {
            let user = request.body.rsplit("user-").next().unwrap();
            let fits = cookie == Some(format!("early-{user}").as_str())
                && request.body == format!("t=form%2B{user}&u=user-{user}");
            let rotated = format!("Set-Cookie: sid=late-{user}\r\nX-Next: next-{user}\r\n");
            if fits { answer("302 Found", rotated, String::new()) } else { forbidden() }
        }
        "POST /cart HTTP/1.1" => match cookie.and_then(|cookie| cookie.strip_prefix("late-")) {
            Some(user) if header("X-CSRF: ") == Some(format!("next-{user}").as_str()) => {
                answer("200 OK", String::new(), format!("{{\"user_id\":{user}}}"))
            }
            _ => forbidden(),
        },
        other => panic!("nobody should ask for {other}"),
    }
}

fn guarded(address: SocketAddr, token: &str, field: &str) -> Driver {
    driver_of(&format!(
        "name = 't'\nbase_url = 'http://{address}'\n\
         [login]\npath = '/login'\nformat = 'form'\nexpect_status = 302\n\
         fields = {{ t = '{field}', u = '{{username}}' }}\n\
         credential = 'cookie:sid'\nsend = 'cookie:sid'\n\
         [login.csrf]\npath = '/form?u={{n}}'\ntoken = '{token}'\ncookies = ['sid']\n\
         after_login = 'header:X-Next'\n\
         [journeys.browse]\nsteps = [{{ name = 'add', method = 'POST', path = '/cart', \
         headers = {{ X-CSRF = '{{csrf}}' }}, \
         check = {{ json = '/user_id', equals = '{{n}}' }} }}]\n",
    ))
}

#[test]
fn a_token_is_fetched_before_a_login_and_the_next_one_is_used_after_it() {
    let (address, count) = server(guard);
    let mut driver = guarded(address, "html:t", "{csrf}");
    driver.workers = 2;
    let load = engine::load(&driver, &plan(10, 300), 1, |_| {}).unwrap();
    let login = load.login.unwrap();
    assert_eq!((login.users, login.service.count()), (10, 10), "a login counts once");
    let credentials: usize = (0..10).map(|user| format!("late-{user}").len()).sum();
    assert_eq!(login.credential_bytes, credentials as u64, "the token is no credential");
    assert!(load.counts.ok > 0 && load.counts.failed() == 0, "{:?}", load.counts);
    assert_eq!(count.load(Ordering::SeqCst) as u64, load.counts.sent + 20);
}

#[test]
fn a_login_with_a_wrong_token_or_none_fails_and_says_at_which_request() {
    let (address, _) = server(guard);
    for (token, field, parts) in [
        (
            "html:t",
            "forged",
            ["login itself", "POST http://", "status 302 and `cookie:sid`", "403"],
        ),
        ("html:x", "{csrf}", ["for a CSRF token", "GET http://", "`html:x`", "without `html:x`"]),
        ("json:/t", "{csrf}", ["for a CSRF token", "/form?u=0", "status 200", "without `json:/t`"]),
    ] {
        let driver = guarded(address, token, field);
        let error = engine::load(&driver, &plan(1, 5000), 1, |_| {}).unwrap_err();
        assert!(matches!(&error, Error::Target(_)), "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "expected {part} in: {error}");
        }
    }
}

#[test]
fn several_workers_of_a_slow_load_are_neither_silent_nor_short_of_connections() {
    let (address, _) = server(|_| ok("{\"user_id\":0}"));
    let text = format!(
        "name = 't'\nbase_url = 'http://{address}'\n[journeys.browse]\n\
         steps = [{{ name = 'me', path = '/me' }}]\n"
    );
    let script = Script::new(&toml::from_str(&text).unwrap(), "browse").unwrap();
    let mut driver = Driver::new(script, vec![], 4, Interrupt::default()).unwrap();
    driver.workers = 4;
    let mut plan = plan(40, 1000);
    // Zipf leaves some workers with next to nothing to do.
    plan.choice = UserChoice::Zipf(3.0);
    plan.model = LoadModel::Constant(Constant { rate_per_s: 200.0 });
    let load = engine::load(&driver, &plan, 1, |_| {}).unwrap();
    assert_eq!(load.counts.ok, 200);
    let codes: Vec<_> = load.doubts(true).into_iter().map(|doubt| doubt.code).collect();
    let unfit = |code: &&String| ["stall", "connections"].contains(&code.as_str());
    assert_eq!(codes.iter().find(unfit), None, "{codes:?}");
}

#[test]
fn a_server_that_closes_at_once_is_not_asked_again_and_again_in_setup() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let load = engine::load(&driver(address, false), &plan(20, 100), 1, |_| {}).unwrap();
    assert_eq!(load.counts.ok, 0);
    let (connects, sent) = (count.load(Ordering::SeqCst) as u64, load.counts.sent);
    assert!(connects <= sent + 20, "{connects} connects for {sent} requests");
}

/// A server on which users log in, but for those whose name holds this.
fn server_that_refuses(name: &'static str) -> SocketAddr {
    let answer = move |request: &Request| {
        if request.line.starts_with("POST") && request.body.contains(name) {
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
            return Reply::Bytes(head.into());
        }
        let head = "HTTP/1.1 200 OK\r\nX-Token: t\r\nContent-Length: 2\r\n\r\n{}";
        Reply::Bytes(head.into())
    };
    server(answer).0
}

#[test]
fn the_cause_of_a_load_between_servers_that_did_not_begin_is_told_by_the_worker_that_knows_it() {
    let meter = || Used::default();
    // Each of the two workers logs in half of the users, so only one of them meets the refusal.
    for refused in ["user-0", "user-1"] {
        let mut first = driver(server_that_refuses("nobody"), true);
        let mut second = driver(server_that_refuses(refused), true);
        (first.workers, second.workers) = (2, 2);
        let lanes = [&first, &second].map(|driver| Lane { driver, seed: 1, meter: &meter });
        let slicing = Slicing::new(10_000_000, 2_000_000, 0, 20_000_000);
        let ended = engine::interleave(&lanes, &plan(4, 20), slicing, || true);
        let Err(Error::Target(cause)) = ended else { panic!("{refused}: {ended:?}") };
        assert!(cause.contains("403"), "{refused}: {cause}");
    }
}

#[test]
fn a_load_between_servers_ends_for_all_workers_when_one_of_the_servers_does() {
    let meter = || Used::default();
    let address = server(|_| ok("{\"user_id\":0}")).0;
    let mut driver = driver(address, false);
    driver.workers = 2;
    let lanes = [Lane { driver: &driver, seed: 1, meter: &meter }];
    let slicing = Slicing::new(10_000_000, 2_000_000, 0, LONG.as_nanos() as u64);
    let ended = engine::interleave(&lanes, &plan(4, 20), slicing, || false);
    let Err(Error::Target(cause)) = ended else { panic!("{ended:?}") };
    assert!(cause.contains("a server ended"), "{cause}");
}
