//! What a report reads: records that are sealed as any program could seal them, and the histograms
//! in them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use loadgen::plan::{Plan, TrialPlan, sha256_hex};
use loadgen::record::{Claim, Folder, Histogram, TrialRecord};
use loadgen::sanitise;

use super::{corpus, fuzz, is_shown, root};

/// How a record begins; its checksum is that of the file without the checksum.
const HEAD: &str = "{\n  \"checksum\": \"";
const CHECKSUM_DIGITS: usize = 64;

/// A campaign with one trial of each experiment of the quick reference, and their records without
/// checksums.
fn campaign(out: &Path) -> (Folder, Plan, Vec<Vec<u8>>) {
    let reference = Folder::open(&root().join("results/reference/quick")).unwrap();
    let mut plan = reference.plan().unwrap();
    let mut seen = BTreeSet::new();
    plan.trials.retain(|trial| seen.insert(trial.experiment.clone()));
    let stems: Vec<String> = plan.trials.iter().map(TrialPlan::file_stem).collect();
    (0..).zip(&mut plan.trials).for_each(|(index, trial)| trial.index = index);
    let claim = Claim::take(out).unwrap();
    let begun = Folder::create(&claim, &plan, &reference.host().unwrap()).unwrap();
    let mut texts = Vec::new();
    for (stem, trial) in stems.iter().zip(&plan.trials) {
        let text = fs::read(reference.root().join(format!("trials/{stem}.json"))).unwrap();
        let record: TrialRecord = serde_json::from_slice(&text).unwrap();
        let origin = Some(begun.origin.clone());
        let record = TrialRecord { plan: plan.hash(), trial: trial.clone(), origin, ..record };
        begun.folder.write_record(&record).unwrap();
        let path = out.join(format!("trials/{}.json", trial.file_stem()));
        let mut text = fs::read(&path).unwrap();
        assert!(text.starts_with(HEAD.as_bytes()));
        text.drain(HEAD.len()..HEAD.len() + CHECKSUM_DIGITS);
        texts.push(text);
        fs::remove_file(path).unwrap();
    }
    (begun.folder, plan, texts)
}

fn sealed(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    if text.starts_with(HEAD.as_bytes()) {
        let checksum = sha256_hex(&text);
        text.splice(HEAD.len()..HEAD.len(), checksum.bytes());
    }
    text
}

/// The name that a record must have: that of the trial whose number it says.
fn name(plan: &Plan, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let said = text.split("\"index\": ").nth(1).and_then(|rest| rest.split(',').next());
    let index: usize = said.and_then(|digits| digits.parse().ok()).unwrap_or(0);
    format!("trials/{}.json", plan.trials[index.min(plan.trials.len() - 1)].file_stem())
}

#[test]
fn records_are_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, plan, corpus) = campaign(dir.path());
    assert!(corpus.len() >= 3, "the reference has too few experiments");
    let read = |text: &[u8]| {
        let path = dir.path().join(name(&plan, text));
        fs::write(&path, sealed(text)).unwrap();
        let read = folder.records(&plan);
        fs::remove_file(path).unwrap();
        read
    };
    for text in &corpus {
        assert_eq!(read(text).unwrap().len(), 1, "a record of the corpus is refused");
    }
    fuzz(&corpus, |text| match read(text) {
        Ok(records) => {
            for record in records {
                assert_eq!(record.plan, plan.hash());
                let text = serde_json::to_string(&record).unwrap();
                assert_eq!(sanitise::document(&text), text, "it drives a terminal");
                for load in record.loads() {
                    assert!(load.counts.without_answer() <= load.counts.planned);
                }
            }
        }
        Err(error) => is_shown(&sanitise::document(&error.to_string())),
    });
}

/// The form in which a file holds a histogram, of the form in which the corpus does.
fn packed(plain: &[u8]) -> String {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(plain).unwrap();
    let stream = packer.finish().unwrap();
    let length = u32::try_from(stream.len()).unwrap().to_be_bytes();
    STANDARD.encode([&[0x1c, 0x84, 0x93, 0x14][..], &length, &stream].concat())
}

/// With its length as its head has to say it: otherwise no change of the length gets any further.
fn with_length(plain: &[u8]) -> Vec<u8> {
    let mut plain = plain.to_vec();
    let body = plain.len().saturating_sub(40);
    if let Some(length) = plain.get_mut(4..8) {
        length.copy_from_slice(&u32::try_from(body).unwrap().to_be_bytes());
    }
    plain
}

#[test]
fn histograms_are_read_or_refused() {
    let corpus = corpus("loadgen/tests/corpus/histograms", "");
    for plain in &corpus {
        Histogram::try_from(packed(plain)).expect("it is of the corpus");
    }
    fuzz(&corpus, |plain| {
        for plain in [plain.to_vec(), with_length(plain)] {
            match Histogram::try_from(packed(&plain)) {
                Ok(read) => {
                    let quantiles = [0.0, 0.5, 0.99, 1.0].map(|share| read.quantile_ns(share));
                    assert!(quantiles.is_sorted(), "{quantiles:?}");
                    let mean = read.mean_ns();
                    assert!(mean.is_nan() || mean <= read.max_ns() as f64 * 1.001, "{mean}");
                    let again = Histogram::try_from(String::from(read.clone())).unwrap();
                    assert_eq!(again, read);
                    let mut twice = read.clone();
                    twice.merge(&read);
                    assert_eq!(twice.count(), 2 * read.count());
                }
                Err(error) => is_shown(&sanitise::document(&error)),
            }
        }
    });
}
