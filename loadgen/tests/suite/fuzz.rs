//! Texts that are nearly right, for parsers that read what others write: none panics, and what is
//! refused is refused with a sentence. `AUTHBENCH_FUZZ_SECONDS` says how long; a text that fails is
//! printed, and belongs into the corpus.

mod cookies;
mod records;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

use loadgen::limits::Limits;
use loadgen::sanitise;
use loadgen::spec::{Overrides, Spec, parse_target};
use loadgen::stats::random::{mix, mutated};
use loadgen::transport::{Arrival, Budget, Inbound, Reader};

/// Texts in a run without a limit of time: always the same ones.
const TEXTS: u64 = 2_000;
/// Columns of the first line of an error, and room for the names of its file.
const ERROR_MAX: usize = 8_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file below a folder whose name ends so.
fn corpus(folder: &str, end: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.to_str().unwrap().ends_with(end))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{folder} has no corpus");
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Gives `check` the corpus as it is, and then what is made of it.
fn fuzz(corpus: &[Vec<u8>], check: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let seconds: Option<u64> =
        env::var("AUTHBENCH_FUZZ_SECONDS").ok().map(|text| text.parse().expect("whole seconds"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = seconds.map_or(1, |_| mix(now.as_secs(), now.subsec_nanos().into()));
    let (began, span) = (Instant::now(), Duration::from_secs(seconds.unwrap_or(0)));
    let goes_on = |n: u64| if seconds.is_some() { began.elapsed() < span } else { n < TEXTS };
    let made = (0..).take_while(|n| goes_on(*n)).map(|n| mutated(corpus, seed, n));
    for text in corpus.iter().cloned().chain(made) {
        let outcome = std::panic::catch_unwind(|| check(&text));
        assert!(outcome.is_ok(), "with the text {:?}", text.escape_ascii().to_string());
    }
}

/// What an answer is when it comes in pieces of this length, or why it is not read.
fn read(reader: &Reader, answer: &[u8], piece: usize) -> String {
    let mut inbound = Inbound::default();
    let mut pieces = answer.chunks(piece).peekable();
    while let Some(bytes) = pieces.next() {
        let arrival = Arrival { bytes, to_head: false, ended: pieces.peek().is_none() };
        let got = reader.take(&mut inbound, arrival, |whole| {
            let headers = whole.headers.iter().map(|h| (h.name.len(), h.value.to_vec()));
            let headers: Vec<_> = headers.collect();
            format!("{} {headers:?} {:?} {}", whole.status, whole.body, whole.keep_alive)
        });
        match got {
            Ok(Some(got)) => return got,
            Ok(None) => {}
            Err(failure) => return format!("{failure:?}"),
        }
    }
    "incomplete".into()
}

#[test]
fn answers_are_the_same_in_pieces() {
    let limits = Limits { body_bytes: 1 << 20, buffered_bytes: 4 << 20, ..Limits::DEFAULT };
    fuzz(&corpus("loadgen/tests/corpus/answers", ""), |answer| {
        if answer.is_empty() {
            return;
        }
        let budget = Budget::new(limits.buffered_bytes);
        let reader = Reader::new(limits, budget.clone());
        let whole = read(&reader, answer, answer.len());
        for piece in [1, 2, 7, 64] {
            assert_eq!(read(&reader, answer, piece), whole, "in pieces of {piece}");
        }
    });
}

/// An error is a sentence that can be shown as it is.
fn is_shown(error: &str) {
    assert!(!error.is_empty() && error.len() < ERROR_MAX, "{} bytes", error.len());
    assert_eq!(sanitise::document(error), error, "it drives a terminal");
}

#[test]
fn target_files_are_read_or_refused() {
    let folder = root().join("loadgen/targets");
    fuzz(&corpus("loadgen/targets", ".toml"), |text| {
        let text = String::from_utf8_lossy(text);
        match parse_target(&folder.join("fuzz.toml"), &text, &folder) {
            Ok(target) => {
                for journey in target.journeys.keys() {
                    if let Err(error) = loadgen::journey::Script::new(&target, journey) {
                        is_shown(&sanitise::document(&error.to_string()));
                    }
                }
            }
            Err(error) => is_shown(&sanitise::document(&error.to_string())),
        }
    });
}

#[test]
fn campaign_files_are_read_or_refused() {
    fuzz(&corpus("loadgen/presets", ".toml"), |text| {
        let text = String::from_utf8_lossy(text);
        let spec = Spec::parse("fuzz.toml", &text, Overrides::default());
        if let Err(error) = spec.and_then(|spec| loadgen::experiment::expand(&spec)) {
            is_shown(&sanitise::document(&error.to_string()));
        }
    });
}
