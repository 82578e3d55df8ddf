//! The same load through both transports, on servers that behave and misbehave by script.
//!
//! What a request ends as, and how many of them a server sees, must not depend on which client is
//! measured with: a comparison of the two would otherwise compare their accounts. Where reqwest
//! cannot tell two ends apart, the table says so.

#![allow(clippy::unwrap_used, reason = "a failure anywhere in a test is a failed test")]

#[path = "equivalence/servers.rs"]
mod servers;

use std::path::PathBuf;

use loadgen::engine::{self, Driver, Trust};
use loadgen::error::{Error, Interrupt, Result};
use loadgen::journey::Script;
use loadgen::load::{Constant, LoadModel, UserChoice};
use loadgen::plan::LoadPlan;
use loadgen::record::LoadRecord;

use servers::{Authority, Reply, Server, server};

fn driver(base_url: &str, method: &str, status: u16, check: bool) -> Driver {
    let check = if check { ", check = { json = '/user_id', equals = '{n}' }" } else { "" };
    let text = format!(
        "name = 't'\nbase_url = '{base_url}'\n[journeys.browse]\nsteps = [{{ name = 'me', path = \
         '/me', method = '{method}', expect_status = {status}{check} }}]\n"
    );
    let script = Script::new(&toml::from_str(&text).unwrap(), "browse").unwrap();
    Driver::new(script, vec![], 1, Interrupt::default()).unwrap()
}

/// Ten requests of one user within 200 ms, each on whichever of ten connections is free.
fn ten() -> LoadPlan {
    LoadPlan {
        model: LoadModel::Constant(Constant { rate_per_s: 50.0 }),
        journey: "browse".into(),
        users: 1,
        choice: UserChoice::InTurn,
        connections: 10,
        warmup_ns: 0,
        measure_ns: 200_000_000,
        drain_ns: 3_000_000_000,
        timeout_ns: 2_000_000_000,
    }
}

fn https(server: &Server, host: &str, trust: Trust) -> Driver {
    let mut driver = driver(&format!("https://{host}:{}", server.address.port()), "GET", 200, true);
    driver.trust = trust;
    driver
}

fn right(pad: usize) -> Vec<u8> {
    let body = format!("{{\"user_id\":0{}}}", " ".repeat(pad));
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn run(driver: &Driver) -> Result<LoadRecord> {
    run_plan(driver, &ten())
}

fn run_plan(driver: &Driver, plan: &LoadPlan) -> Result<LoadRecord> {
    let load = engine::load(driver, plan, 1, |_| {})?;
    assert!(load.counts.balanced());
    Ok(load)
}

fn authority(name: &str) -> (Authority, tempfile::TempDir, PathBuf) {
    let (authority, folder) = (Authority::new(name), tempfile::tempdir().unwrap());
    let path = folder.path().join("ca.pem");
    authority.write(&path);
    (authority, folder, path)
}

#[test]
fn tls_answers_are_whole_however_they_are_cut_into_records() {
    let (authority, _folder, ca) = authority("ours");
    let config = authority.server(&["localhost", "127.0.0.1"], 2200, &["http/1.1"]);
    for reply in [
        Reply::Bytes(right(0)),
        Reply::Drip(1, right(100)),
        Reply::Bytes(right(300_000)),
        Reply::Close([&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"{\"user_id\":0}"].concat()),
    ] {
        let server = server(reply, Some(config.clone()));
        for host in ["localhost", "127.0.0.1"] {
            for trust in [Trust::File(ca.clone()), Trust::Anything] {
                let load = run(&https(&server, host, trust)).unwrap();
                assert_eq!((load.counts.ok, load.counts.planned), (10, 10), "{:?}", load.counts);
            }
        }
        assert_eq!(server.seen(), 40);
    }
}

#[test]
fn an_end_that_tls_did_not_announce_is_no_end_of_a_body() {
    let (authority, _folder, ca) = authority("ours");
    let config = authority.server(&["127.0.0.1"], 2200, &[]);
    let until_close = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"{\"user_id\":0}"].concat();
    for (reply, class) in [
        (Reply::Cut(until_close), "truncated"),
        (Reply::Cut(right(100)[..60].to_vec()), "truncated"),
        (Reply::Cut(vec![]), "closed"),
        (Reply::Reset, "reset"),
    ] {
        let server = server(reply, Some(config.clone()));
        let load = run(&https(&server, "127.0.0.1", Trust::File(ca.clone()))).unwrap();
        assert_eq!(load.counts.errors.get(class), Some(&10), "{:?}", load.counts);
        assert_eq!(server.seen(), 10);
    }
}

#[test]
fn a_certificate_that_proves_nothing_ends_the_load_and_says_why() {
    let (authority, _folder, ca) = authority("ours");
    let (_, _other_folder, other_ca) = self::authority("other");
    let good = authority.server(&["127.0.0.1"], 2200, &[]);
    let expired = authority.server(&["127.0.0.1"], 2002, &[]);
    let elsewhere = authority.server(&["example.test"], 2200, &[]);
    for (config, trust, why) in [
        (&good, Trust::System, "issuer is unknown"),
        (&good, Trust::File(other_ca), "issuer is unknown"),
        (&expired, Trust::File(ca.clone()), "has expired"),
        (&elsewhere, Trust::File(ca.clone()), "for another name"),
    ] {
        let server = server(Reply::Bytes(right(0)), Some(config.clone()));
        let error = run(&https(&server, "127.0.0.1", trust)).unwrap_err();
        let Error::Target(text) = &error else { panic!("{error:?}") };
        for part in [why, "https://127.0.0.1", "--ca FILE", "--insecure"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!((error.exit_code(), server.seen()), (4, 0));
    }
}

#[test]
fn silence_is_no_answer_in_time() {
    let (authority, _folder, ca) = authority("ours");
    let config = authority.server(&["127.0.0.1"], 2200, &[]);
    let server = server(Reply::Silence, Some(config));
    let plan = LoadPlan { timeout_ns: 50_000_000, drain_ns: 100_000_000, ..ten() };
    let driver = https(&server, "127.0.0.1", Trust::File(ca));
    let counts = run_plan(&driver, &plan).unwrap().counts;
    // The last ones have no time to be late in.
    assert!(counts.errors["timeout"] > 0, "{counts:?}");
    assert_eq!((counts.failed() + counts.unfinished, server.seen()), (10, 10), "{counts:?}");
}

#[test]
fn a_plain_server_is_no_tls_server() {
    let server = server(Reply::Bytes(right(0)), None);
    let error = run(&https(&server, "127.0.0.1", Trust::Anything)).unwrap_err();
    assert!(matches!(&error, Error::Target(text) if text.contains("no TLS")), "{error}");
}
