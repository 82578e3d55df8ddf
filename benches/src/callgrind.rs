//! Runs this executable under valgrind's callgrind, reads what it counted, and compares counts.
//! Callgrind executes a program on a processor of its own, so a count depends on the code alone and
//! not on the clock, the caches or the neighbours.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};

use loadgen::record::{InstructionCount, Instructions, Operation};

/// How much a count may exceed the committed one, in percent.
const GROWTH_MAX: u64 = 2;

/// Name of the function that is counted, whatever its path. Callgrind matches nothing by a star at
/// the end.
const COUNTED: &str = "*counted_by_callgrind";
/// When jemalloc gives pages back and tidies the caches of its threads is decided by the clock: a
/// request that meets it costs 16,000 instructions more. Never is the same every time.
const ALLOCATOR: (&str, &str) = (
    "_RJEM_MALLOC_CONF",
    "dirty_decay_ms:-1,muzzy_decay_ms:-1,experimental_tcache_gc:false,\
     tcache_gc_incr_bytes:1073741824",
);

/// Does what is to be counted.
///
/// Callgrind starts from zero when this is entered and writes a file when it is left. So no runner
/// has to be installed in addition to valgrind, and no request to valgrind is compiled in, which
/// would take `unsafe` code.
pub fn counted(work: &mut dyn FnMut()) {
    counted_by_callgrind(work);
}

#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    // A call that ends a function becomes a jump, and callgrind would not see the return.
    black_box(&work);
}

/// The valgrind of this machine, as it names itself; `None` where it is not installed.
#[must_use]
pub fn version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a counted program printed, and the instructions of each call of [`counted`].
#[derive(Debug)]
pub struct Run {
    /// Its standard output.
    pub printed: String,
    /// Instructions, in the order of the calls.
    pub totals: Vec<u64>,
}

/// Runs this executable again, with this argument, under callgrind.
///
/// # Errors
/// A sentence: what valgrind or the program said.
pub fn run(argument: &str) -> Result<Run, String> {
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let file = folder.path().join("counts");
    let own = std::env::current_exe().map_err(|e| format!("this executable: {e}"))?;
    let kept = ["PATH", "TMPDIR"].map(|name| (name, std::env::var_os(name)));
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(format!("--zero-before={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(own)
        .arg(argument)
        // What else is in the environment would move the stack.
        .env_clear()
        .envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))))
        .env(ALLOCATOR.0, ALLOCATOR.1)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    if !output.status.success() {
        return Err(format!("valgrind ended with {}", output.status));
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Run { printed, totals: totals(&file)? })
}

/// The totals of `FILE.1`, `FILE.2` and so on, as far as they go.
fn totals(file: &Path) -> Result<Vec<u64>, String> {
    let mut totals = Vec::new();
    loop {
        let part = file.with_extension((totals.len() + 1).to_string());
        let Ok(text) = fs::read_to_string(&part) else { return Ok(totals) };
        if !text.lines().any(|line| line.starts_with("desc: Trigger: --dump-after=")) {
            // What callgrind writes at the end of the program.
            return Ok(totals);
        }
        totals.push(total(&text).ok_or_else(|| format!("{}: no `totals:`", part.display()))?);
    }
}

fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

/// One sentence per count that is not as it was committed: those that have grown by more than 2 %,
/// beyond what their rounds differ by, and those that are there on one side only. `skipped` says of
/// an arm whether it could not be counted here.
#[must_use]
pub fn departures(
    committed: &Instructions,
    found: &Instructions,
    skipped: impl Fn(&str) -> bool,
) -> Vec<String> {
    let name = |arm: &str, operation: Operation| format!("{} of {arm}", operation.name());
    let now = found.counts.iter().filter_map(|count| {
        let InstructionCount { arm, operation, median, least, .. } = count;
        let Some(before) = committed.find(arm, *operation) else {
            return Some(format!("{}: {median}, and no count is committed", name(arm, *operation)));
        };
        let grown = median * 100 > before.median * (100 + GROWTH_MAX);
        (grown && *least > before.most).then(|| {
            format!(
                "{}: {median}, {:.1} % more than the committed {}",
                name(arm, *operation),
                (*median as f64 / before.median as f64 - 1.0) * 100.0,
                before.median
            )
        })
    });
    let gone = committed.counts.iter().filter_map(|count| {
        let InstructionCount { arm, operation, .. } = count;
        let there = skipped(arm) || found.find(arm, *operation).is_some();
        (!there).then(|| format!("{}: committed, and no longer counted", name(arm, *operation)))
    });
    now.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Instructions {
        let count = |(arm, median): &(&str, u64)| InstructionCount {
            arm: (*arm).into(),
            operation: Operation::Verify,
            median: *median,
            least: *median,
            most: *median,
        };
        Instructions { counts: of.iter().map(count).collect(), ..Instructions::default() }
    }

    #[test]
    fn growth_beyond_two_percent_is_named_and_no_other() {
        let committed = counts(&[("a", 1000), ("b", 1000), ("c", 1000), ("gone", 1)]);
        let found = counts(&[("a", 1020), ("b", 1021), ("c", 10), ("new", 1)]);
        let named = departures(&committed, &found, |_| false);
        assert_eq!(named.len(), 3, "{named:?}");
        assert_eq!(named[0], "verify of b: 1021, 2.1 % more than the committed 1000");
        assert!(
            named[1].starts_with("verify of new: ") && named[2].starts_with("verify of gone: ")
        );
        assert_eq!(departures(&committed, &found, |arm| arm == "gone").len(), 2);
        assert!(departures(&committed, &committed, |_| false).is_empty());
    }

    #[test]
    fn rounds_that_overlap_with_the_committed_ones_have_not_grown() {
        let with = |median, least, most| {
            let mut one = counts(&[("a", median)]);
            (one.counts[0].least, one.counts[0].most) = (least, most);
            one
        };
        let committed = with(1000, 950, 1060);
        assert!(departures(&committed, &with(1050, 1055, 1100), |_| false).is_empty());
        assert_eq!(departures(&committed, &with(1080, 1061, 1100), |_| false).len(), 1);
    }

    #[test]
    fn a_total_is_read_where_callgrind_writes_it() {
        let text = "desc: Trigger: --dump-after=x\nevents: Ir\n\nfn=(1) f\n3 7\n\ntotals: 1234\n";
        assert_eq!(total(text), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }
}
