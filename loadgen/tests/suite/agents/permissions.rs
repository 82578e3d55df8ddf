//! An engine that knows its agents: with the permissions of `docs/agents.md` a run is whole, over
//! TLS as well, and an agent can neither start others nor read what they are told.

use super::*;

/// An engine with a user for the coordinator and one for each of two agents.
struct Guarded {
    folder: TempDir,
    _child: Started,
    port: u16,
    scheme: &'static str,
}

impl Guarded {
    fn start(has_tls: bool) -> Option<Self> {
        let program = nats()?;
        let folder = TempDir::new().unwrap();
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
        fs::write(&certificate, own.cert.pem()).unwrap();
        fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        let tls = format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n",
            certificate.display(),
            key.display()
        );
        let tls = if has_tls { tls } else { String::new() };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let agent = |index: u32| {
            format!(
                "{{ user: \"agent{index}\", password: \"p{index}\", permissions: {{\n\
                 publish: [\"ab.r.up.{index}\", \"ab.r.kept.share.{index}.>\"]\n\
                 subscribe: [\"ab.r.down.{index}\", \"_INBOX.>\"] }} }}\n"
            )
        };
        let settings = format!(
            "{tls}host: \"127.0.0.1\"\nport: {port}\njetstream {{ store_dir: \"{}\" }}\n\
             authorization {{ users: [ {{ user: \"all\", password: \"p\" }}\n{}{} ] }}\n",
            folder.path().display(),
            agent(0),
            agent(1)
        );
        let path = folder.path().join("nats.conf");
        fs::write(&path, settings).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Started(Some(command.spawn().unwrap()));
        until("nats-server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { folder, _child: child, port, scheme: if has_tls { "tls" } else { "nats" } })
    }

    fn url(&self, user: &str) -> String {
        format!("{}://{user}@127.0.0.1:{}", self.scheme, self.port)
    }

    /// The program, which trusts the engine's certificate and no other.
    fn program(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("SSL_CERT_FILE", self.folder.path().join("cert.pem"));
        command
    }

    /// Has two agents carry a load, each as its own user.
    fn run(&self, server: &Logging) {
        let target = server.target(self.folder.path());
        let agents = [0, 1].map(|index: u32| {
            let mut command = self.program();
            command.args(["agent", "--allow-debug", "--role", "load", "--run", "r", "--engine"]);
            command.arg(self.url(&format!("agent{index}:p{index}")));
            command.args(["--index", &index.to_string(), "--keep"]).arg(self.folder.path());
            Started::new(command.args(["--allow-target", &server.address.to_string()]))
        });
        let mut command = self.program();
        command.args(["run", "--allow-debug", "--format", "json", "--run", "r", "--agents", "2"]);
        command.args(["--users", "24", "-c", "12", "--rate", "200/s", "-d", "2s"]);
        command.args(["--engine", &self.url("all:p"), "--target"]).arg(target);
        let (code, out, err) = Started::new(&mut command).end();
        assert!(matches!(code, Some(0 | 3)), "{err}");
        let summary = json(&out);
        assert_eq!(number(&summary["counts"]["planned"]), 400);
        for (index, agent) in agents.into_iter().enumerate() {
            assert_eq!(summary["agents"][index]["end"], "whole", "{err}");
            assert_eq!(agent.end().0, Some(0));
        }
    }

    /// What the engine answers to a line of its protocol from this user.
    fn say(&self, user: &str, password: &str, line: &str) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let login = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"user\":\"{user}\",\
             \"pass\":\"{password}\"}}\r\n{line}\r\nPING\r\n"
        );
        (&stream).write_all(login.as_bytes()).unwrap();
        let mut said = String::new();
        for answer in BufReader::new(&stream).lines().map(Result::unwrap) {
            if answer == "PONG" {
                break;
            }
            said += &answer;
        }
        said
    }
}

#[test]
fn an_agent_may_do_its_own_part_and_no_more() {
    let Some(engine) = Guarded::start(false) else { return };
    engine.run(&Logging::start(Duration::ZERO));

    // Who is told, who says something, what is kept, and what was kept.
    let forbidden = [
        "SUB ab.r.down.0 1",
        "SUB ab.r.up.* 1",
        "PUB ab.r.down.0 2\r\n{}",
        "PUB ab.r.up.0 2\r\n{}",
        "PUB ab.r.kept.orders 2\r\n{}",
        "PUB ab.r.kept.share.0.0 2\r\n{}",
        "PUB $JS.API.STREAM.MSG.GET.AB_r _INBOX.x 2\r\n{}",
        "PUB $JS.API.STREAM.DELETE.AB_r _INBOX.x 0\r\n",
    ];
    for line in forbidden {
        let said = engine.say("agent1", "p1", line);
        assert!(said.contains("Permissions Violation"), "{line}: {said}");
    }
    for line in ["SUB ab.r.down.1 1", "PUB ab.r.up.1 2\r\n{}"] {
        assert!(!engine.say("agent1", "p1", line).contains("-ERR"), "{line}");
    }
    let said = engine.say("agent1", "p0", "SUB ab.r.down.1 1");
    assert!(said.contains("Authorization Violation"), "{said}");
}

#[test]
fn an_engine_with_tls_is_reached_by_those_who_trust_it() {
    let Some(engine) = Guarded::start(true) else { return };
    let server = Logging::start(Duration::ZERO);
    let mut stranger = Command::new(PROGRAM);
    stranger.args(["run", "--allow-debug", "--agents", "2", "--run", "r", "--target"]);
    stranger.arg(server.target(engine.folder.path())).args(["--engine", &engine.url("all:p")]);
    let (code, _, err) = Started::new(&mut stranger).end();
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("cannot be reached") && err.contains("nothing was sent"), "{err}");
    assert!(!err.contains("all:p"), "{err}");
    engine.run(&server);
}
