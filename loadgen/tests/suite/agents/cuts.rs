//! Contact with one agent that is cut in one direction or in both, by a relay before the engine.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A relay to an engine, which holds back what passes in a direction that is cut.
struct Relay {
    port: u16,
    up: Arc<AtomicBool>,
    down: Arc<AtomicBool>,
}

impl Relay {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (up, down): (Arc<AtomicBool>, Arc<AtomicBool>) = (Arc::default(), Arc::default());
        let cuts = (Arc::clone(&up), Arc::clone(&down));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
                pass(near, far, Arc::clone(&cuts.0));
                pass(back.0, back.1, Arc::clone(&cuts.1));
            }
        });
        Self { port, up, down }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_cut: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            while is_cut.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

/// Two agents, the first of them behind the relay.
fn agents(stage: &Stage, relay: &Relay) -> [Started; 2] {
    [relay.url(), stage.engine.url()].map(|url| {
        let mut command = Command::new(PROGRAM);
        command.args(["agent", "--allow-debug", "--role", "load", "--run", "r", "--engine", &url]);
        let index = if url == relay.url() { "0" } else { "1" };
        command.args(["--index", index, "--keep"]).arg(stage.folder.path());
        Started::new(command.args(["--allow-target", &stage.server.address.to_string()]))
    })
}

#[test]
fn a_cut_that_ends_within_the_lease_ends_no_load() {
    for (up, down) in [(true, false), (false, true), (true, true)] {
        let Some(stage) = Stage::new(Duration::ZERO) else { return };
        let relay = Relay::start(stage.engine.port);
        let agents = agents(&stage, &relay);
        let run = stage.coordinate(2, &["--rate", "200/s", "-d", "10s", "--lease", "60s"]);
        stage.wait_for("/u/", 200);
        relay.up.store(up, Ordering::Relaxed);
        relay.down.store(down, Ordering::Relaxed);
        thread::sleep(Duration::from_secs(5));
        relay.up.store(false, Ordering::Relaxed);
        relay.down.store(false, Ordering::Relaxed);
        let (code, out, err) = run.end();
        assert!(matches!(code, Some(0 | 3)), "{up} {down}: {err}");
        let summary = json(&out);
        assert_eq!(number(&summary["counts"]["planned"]), 2000, "{up} {down}");
        // Nothing is lost, so nothing is said of it.
        assert!(summary["counts"]["lost"].is_null(), "{up} {down}");
        for (index, agent) in agents.into_iter().enumerate() {
            assert_eq!(summary["agents"][index]["end"], "whole", "{up} {down}: {err}");
            assert_eq!(agent.end().0, Some(0));
        }
        assert!(!up || has_doubt(&summary, "contact_lost"), "{up} {down}: {summary}");
    }
}

#[test]
fn an_agent_that_hears_nothing_for_the_lease_stops() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let relay = Relay::start(stage.engine.port);
    let agents = agents(&stage, &relay);
    let run = stage.coordinate(2, &LOAD);
    stage.wait_for("/u/", 200);
    relay.down.store(true, Ordering::Relaxed);
    thread::sleep(Duration::from_secs(8));
    relay.down.store(false, Ordering::Relaxed);
    let (code, out, err) = run.end();
    assert_eq!(code, Some(3), "{err}");
    let summary = json(&out);
    let counts = &summary["counts"];
    let [planned, sent, dropped] = ["planned", "sent", "dropped"].map(|name| number(&counts[name]));
    assert_eq!(planned, sent + dropped + counts["lost"].as_u64().unwrap_or(0), "{counts}");
    assert!(sent <= stage.server.asked().len() as u64, "{counts}");
    assert!(planned < 12_000, "the load has ended before its time: {counts}");
    // Nobody told the agent, and it has stopped.
    let asked = stage.server.asked().len();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(stage.server.asked().len(), asked);
    drop(agents);
}
