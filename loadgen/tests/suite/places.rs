//! Servers that are reached in another way: at a Unix socket, with a client certificate, or with
//! `Authorization: Basic` in place of a login.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::field::{BOTH, Seen, answer, authbench, figures, server, stderr, stdout, written};
use super::sockets::{Request, read_request};

/// Ten requests, whose figures are printed for programs.
const TEN: [&str; 6] = ["--allow-debug", "-n", "10", "-c", "2", "--format=json"];

fn run(arguments: &[&str]) -> Output {
    authbench(&[&["run"], arguments, &TEN[..]].concat())
}

fn refused(arguments: &[&str], code: i32, why: &[&str]) {
    let output = run(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for part in why {
        assert!(text.contains(part), "{arguments:?}: {part}: {text}");
    }
}

/// Answers what comes on a connection until its end.
fn converse<S: Read + Write>(stream: S, seen: &Seen, reply: impl Fn(&Request) -> Vec<u8>) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read_request(&mut stream) {
        seen.lock().unwrap().push(asked.clone());
        let written = stream.get_mut().write_all(&reply(&asked));
        if written.and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}

/// A login by cookie, and what it is good for.
fn sessions(asked: &Request) -> Vec<u8> {
    if asked.path() == "/login" {
        return answer(200, "Set-Cookie: sid=s1\r\n", b"in");
    }
    let is_known = asked.values("cookie") == ["sid=s1"];
    if is_known { answer(200, "", b"hello") } else { answer(401, "", b"who?") }
}

fn unix_server(path: &Path) -> Seen {
    let (listener, seen) = (UnixListener::bind(path).unwrap(), Seen::default());
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || converse(stream, &kept, sessions));
        }
    });
    seen
}

const WITH_LOGIN: &str = "[login]\npath = '/login'\nfields = { user = '{username}' }\n\
     credential = 'cookie:sid'\nsend = 'cookie:sid'\n[journeys.browse]\n\
     steps = [{ name = 'hello', path = '/', check = { contains = 'hello' } }]\n";

#[test]
fn a_server_at_a_unix_socket_is_driven_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let seen = unix_server(&path);
    let socket = path.to_str().unwrap();
    for transport in BOTH {
        let flags = ["--unix-socket", socket, "--transport", transport, "--status", "401"];
        let output = run(&[&["http://shop.example/a?b=c"], &flags[..]].concat());
        assert_eq!(figures(&output)["counts"]["ok"], 10, "{transport}: {}", stderr(&output));
        assert_eq!(figures(&output)["connected_to"], socket);
        let mut asked = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(asked.len(), 10, "{transport}");
        let asked = asked.remove(0);
        assert_eq!((asked.path(), &asked.values("host")[..]), ("/a?b=c", &["shop.example"][..]));
    }
    // A relative path starts at the file.
    let head = "name = 't'\nbase_url = 'http://shop.example'\nunix_socket = 'app.sock'\n";
    let target = written(folder.path(), &format!("{head}{WITH_LOGIN}"));
    for transport in BOTH {
        let output = run(&["--target", &target, "--transport", transport]);
        assert_eq!(figures(&output)["counts"]["ok"], 10, "{transport}: {}", stderr(&output));
    }
    let checked = authbench(&["target", "check", &target]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", stdout(&checked), stderr(&checked));
    let attack = ["attack", "--target", &target, "--guesses", "10"];
    let attacked = stdout(&authbench(&attack));
    assert!(attacked.contains("cases run"), "{attacked}");
}

#[test]
fn what_is_no_unix_socket_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    fs::write(path("file"), "").unwrap();
    let url = "http://shop.example/";
    let at = |path: &str, code, why: &[&str]| refused(&[url, "--unix-socket", path], code, why);
    at(&path("file"), 2, &["found another kind of file", &path("file")]);
    at(&path(""), 2, &["found a folder"]);
    at(&path(&"x".repeat(120)), 2, &["more than 107 bytes"]);
    at(&path("nobody"), 4, &["connection refused", &path("nobody"), "shop.example"]);
    refused(&[url, "--unix-socket", "/s", "--connect-to", "::a:1"], 2, &["cannot be used with"]);
    refused(&["--arm", "none", "--unix-socket", "/s"], 2, &["--unix-socket", "--arm none"]);
    let head = "name = 't'\nbase_url = 'http://a.example'\nunix_socket = 'nobody'\n";
    let target = written(folder.path(), &format!("{head}{WITH_LOGIN}"));
    refused(&["--target", &target, "--connect-to", "::a:1"], 2, &["unix_socket", "::a:1"]);
    refused(&["--target", &target], 4, &["connection refused", &path("nobody")]);
}

/// Files of a certificate that an authority signed, and a server that asks clients for one.
struct Mutual {
    folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Mutual {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "ours");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let issuer = Issuer::new(params, key);
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_string()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let ((client, client_key), (_, other_key)) = (signed("client"), signed("other"));
        write("ca.pem", &authority.pem());
        write("client.pem", &client.pem());
        write("client.key", &client_key.serialize_pem());
        write("other.key", &other_key.serialize_pem());
        let stranger = CertificateParams::new(vec!["client".to_string()]).unwrap();
        let key = KeyPair::generate().unwrap();
        write("stranger.pem", &stranger.self_signed(&key).unwrap().pem());
        write("stranger.key", &key.serialize_pem());
        let sealed =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
        write("sealed.key", sealed);
        let (shown, key) = signed("localhost");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![shown.der().clone()], key)
            .unwrap();
        let address = asking(config);
        Self { folder, address }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().into()
    }
}

fn asking(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, config) = (listener.local_addr().unwrap(), Arc::new(config));
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || {
                let session = ServerConnection::new(config).unwrap();
                converse(StreamOwned::new(session, socket), &Seen::default(), sessions);
            });
        }
    });
    address
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_it() {
    let server = Mutual::new();
    let url = format!("https://localhost:{}/", server.address.port());
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| server.path(name));
    let shown = ["--client-cert", &cert, "--client-key", &key];
    for transport in BOTH {
        let flags = [url.as_str(), "--ca", &ca, "--status", "401", "--transport", transport];
        let output = run(&[&flags[..], &shown].concat());
        assert_eq!(figures(&output)["counts"]["ok"], 10, "{transport}: {}", stderr(&output));
    }
    // A relative path starts at the file.
    let head = format!(
        "name = 't'\nbase_url = '{}'\nclient_cert = 'client.pem'\nclient_key = 'client.key'\n",
        url.trim_end_matches('/')
    );
    let target = written(server.folder.path(), &format!("{head}{WITH_LOGIN}"));
    for transport in BOTH {
        let output = run(&["--target", &target, "--ca", &ca, "--transport", transport]);
        assert_eq!(figures(&output)["counts"]["ok"], 10, "{transport}: {}", stderr(&output));
    }
    let checked = authbench(&["target", "check", &target, "--ca", &ca]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", stdout(&checked), stderr(&checked));
    // Without one, and with one that the server does not know, it says what helps.
    let bare = written(
        server.folder.path(),
        &format!("name = 't'\nbase_url = '{}'\n{WITH_LOGIN}", url.trim_end_matches('/')),
    );
    refused(&["--target", &bare, "--ca", &ca], 4, &["wants a certificate", "--client-cert"]);
    let [cert, key] = ["stranger.pem", "stranger.key"].map(|name| server.path(name));
    let stranger = ["--client-cert", &cert, "--client-key", &key];
    let flags = [&["--target", bare.as_str(), "--ca", &ca], &stranger[..]].concat();
    refused(&flags, 4, &["does not accept the client's certificate"]);
    for transport in BOTH {
        let plain = [url.as_str(), "--ca", &ca, "--transport", transport];
        refused(&plain, 4, &["wants a certificate", "--client-cert"]);
    }
}

#[test]
fn a_certificate_that_cannot_be_shown_is_refused() {
    let server = Mutual::new();
    let url = format!("https://localhost:{}/", server.address.port());
    let with = |cert: &str, key: &str, why: &[&str]| {
        let (cert, key) = (server.path(cert), server.path(key));
        refused(&[&url, "--client-cert", &cert, "--client-key", &key], 2, why);
    };
    with("nothing.pem", "client.key", &["nothing.pem: cannot be read"]);
    with("client.pem", "nothing.key", &["nothing.key: cannot be read"]);
    with("client.key", "client.key", &["client.key: expected a certificate in PEM", "found none"]);
    with("client.pem", "ca.pem", &["ca.pem: expected a private key in PEM", "found none"]);
    with("client.pem", "sealed.key", &["sealed.key: ", "found an encrypted one"]);
    with("client.pem", "other.key", &["other.key: expected the certificate's key", "client.pem"]);
    let cert = server.path("client.pem");
    refused(&[&url, "--client-cert", &cert], 2, &["--client-key"]);
    let both = ["--client-cert", cert.as_str(), "--client-key", &cert];
    refused(&[&["http://localhost/"], &both[..]].concat(), 2, &["an https:// server"]);
    refused(&[&["--arm", "none"], &both[..]].concat(), 2, &["--client-cert", "--arm none"]);
    let half = format!("name = 't'\nbase_url = 'https://a'\nclient_key = 'k'\n{WITH_LOGIN}");
    let half = written(server.folder.path(), &half);
    refused(&["--target", &half], 2, &["expected `client_cert`"]);
}

/// Knows everyone by `Authorization: Basic`, and says who asked.
fn names(asked: &Request) -> Vec<u8> {
    let field = asked.values("authorization");
    let sent = field.first().and_then(|value| value.strip_prefix("Basic "));
    let plain = sent.and_then(|text| STANDARD.decode(text).ok());
    let Some(plain) = plain.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return answer(401, "WWW-Authenticate: Basic realm=x\r\n", b"who?");
    };
    let (name, password) = plain.split_once(':').unwrap();
    let is_right = password == format!("pw of {name}: 1");
    let body = serde_json::json!({ "user": name }).to_string();
    if is_right { answer(200, "", body.as_bytes()) } else { answer(403, "", b"no") }
}

#[test]
fn each_user_is_known_by_name_and_password_without_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(names);
    let steps = "[journeys.browse]\nsteps = [{ name = 'me', path = '/me', check = { json = \
                 '/user', equals = '{username}' } }]\n[journeys.open]\nanonymous = true\nsteps = \
                 [{ name = 'home', path = '/', expect_status = 401 }]\n";
    let head = format!("name = 't'\nbase_url = 'http://{address}'\nauth = 'basic'\n");
    let numbered = "[users]\nusername = 'u-{n}'\npassword = 'pw of u-{n}: 1'\n";
    let rows = "username,password\nann,pw of ann: 1\nZoë b,pw of Zoë b: 1\n";
    fs::write(folder.path().join("users.csv"), rows).unwrap();
    for (users, names) in
        [(numbered, ["u-0", "u-1"]), ("[users]\nfile = 'users.csv'\n", ["ann", "Zoë b"])]
    {
        let target = written(folder.path(), &format!("{head}{users}{steps}"));
        for transport in BOTH {
            seen.lock().unwrap().clear();
            let output = run(&["--target", &target, "--users", "2", "--transport", transport]);
            assert_eq!(figures(&output)["counts"]["ok"], 10, "{}", stderr(&output));
            let expected = names.map(|name| STANDARD.encode(format!("{name}:pw of {name}: 1")));
            let asked = seen.lock().unwrap();
            assert_eq!(asked.len(), 10, "there is no login");
            for expected in expected {
                let is_sent = |asked: &Request| {
                    asked.values("authorization") == [format!("Basic {expected}")]
                };
                assert!(asked.iter().any(is_sent), "{transport}: {expected}");
            }
        }
        let checked = stdout(&authbench(&["target", "check", &target]));
        let secret = STANDARD.encode(format!("{0}:pw of {0}: 1", names[0]));
        assert!(checked.contains("Authorization: Basic ***"), "{checked}");
        assert!(!checked.contains(&secret) && !checked.contains("pw of"), "{checked}");
        let open = run(&["--target", &target, "--journey", "open"]);
        assert_eq!(figures(&open)["counts"]["ok"], 10, "{}", stderr(&open));
    }
    let target = written(folder.path(), &format!("{head}{numbered}{steps}"));
    let other = format!("Authorization: Basic {}", STANDARD.encode("x:pw of x: 1"));
    let output = run(&["--target", &target, "--header", &other]);
    assert_eq!(figures(&output)["errors"]["wrong_user"], 10, "a header of one's own counts");
}

#[test]
fn a_target_that_cannot_use_basic_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let step = "[journeys.browse]\nsteps = [{ name = 'me', path = '/me' }]\n";
    fs::write(folder.path().join("users.csv"), "username,password\nann,a\nb:c,b\n").unwrap();
    fs::write(folder.path().join("names.csv"), "username\nann\n").unwrap();
    let login = "[login]\npath = '/l'\nfields = { u = '{username}' }\ncredential = 'json:/t'\n\
                 send = 'header:authorization: Bearer {credential}'\n";
    for (auth, rest, why) in [
        ("basic", "[users]\nfile = 'users.csv'\n", "without `:`"),
        ("basic", "[users]\nfile = 'names.csv'\n", "needs a password for each user"),
        ("basic", "[users]\nusername = 'a:{n}'\n", "found `a:0`"),
        ("basic", login, "expected one use of the header `Authorization`"),
        ("digest", "", "unknown variant `digest`"),
    ] {
        let head = format!("name = 't'\nbase_url = 'http://127.0.0.1:1'\nauth = '{auth}'\n");
        let target = written(folder.path(), &format!("{head}{rest}{step}"));
        refused(&["--target", &target], 2, &[why]);
    }
}
