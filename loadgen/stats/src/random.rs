//! Randomness that is arithmetic: every draw is a pure function of a seed and a number.
//! Nothing here keeps a state, so a draw does not depend on how many came before it, on which
//! thread or in which order; the same seed asks the same of every server.

/// A pure pseudo-random function of a seed and a number (SplitMix64's finaliser; Steele, Lea and
/// Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub const fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number between 0 and 1, neither included.
pub fn uniform(seed: u64, n: u64) -> f64 {
    ((mix(seed, n) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// A number from the exponential distribution with mean 1 (inversion).
pub fn exponential(seed: u64, n: u64) -> f64 {
    -uniform(seed, n).ln()
}

/// A number from the standard normal distribution (Box and Muller 1958).
pub fn normal(seed: u64, n: u64) -> f64 {
    let (u, v) = (uniform(seed, 2 * n), uniform(seed, 2 * n + 1));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Puts the items into an order that depends on the seed alone (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T], seed: u64) {
    for i in (1..items.len()).rev() {
        items.swap(i, (mix(seed, i as u64) % (i as u64 + 1)) as usize);
    }
}

/// Bytes that mean something to many parsers.
const TELLING: &[u8] = b"\0\t\n\r \"%'+,-./:;<=>@[\\]{}~\x7f\x80\xffAaZz09";
/// Numbers at which parsers overflow.
const NUMBERS: [&str; 7] = [
    "0",
    "-1",
    "65536",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
];

/// The `n`th text that a seed makes of a corpus: one of its texts after one to eight edits, some of
/// which take a piece of another text. Nothing when the corpus is empty.
///
/// It is for fuzzing where inputs have a form: most of what it makes is nearly right, and so gets
/// deep into a parser.
pub fn mutated(corpus: &[impl AsRef<[u8]>], seed: u64, n: u64) -> Vec<u8> {
    let seed = mix(seed, n);
    let mut drawn = 0;
    let mut draw = |below: usize| {
        drawn += 1;
        (mix(seed, drawn) % below.max(1) as u64) as usize
    };
    let Some(text) = corpus.get(draw(corpus.len())) else { return Vec::new() };
    let mut text = text.as_ref().to_vec();
    for _ in 0..=draw(8) {
        let at = draw(text.len() + 1);
        let end = (at + 1 + draw(16)).min(text.len());
        match draw(8) {
            0 if at < text.len() => text[at] ^= 1 << draw(8),
            1 if at < text.len() => text[at] = TELLING[draw(TELLING.len())],
            2 => text.insert(at, TELLING[draw(TELLING.len())]),
            3 if at < end => drop(text.drain(at..end)),
            4 if at < end => {
                let again = text[at..end].repeat(1 + draw(4));
                text.splice(at..at, again);
            }
            5 => drop(text.splice(at..end.max(at), NUMBERS[draw(NUMBERS.len())].bytes())),
            6 => {
                let other = corpus[draw(corpus.len())].as_ref();
                let from = draw(other.len() + 1);
                let to = (from + draw(64)).min(other.len());
                text.splice(at..at, other[from..to].iter().copied());
            }
            _ => text.truncate(at),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_is_splitmix64() {
        // First outputs of SplitMix64 seeded with 0, as published with the reference code.
        assert_eq!(mix(0, 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(0, 1), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn uniform_numbers_are_spread_evenly() {
        let mut tenths = [0u32; 10];
        (0..100_000).for_each(|n| tenths[(uniform(9, n) * 10.0) as usize] += 1);
        assert!(tenths.iter().all(|count| (9_700..10_300).contains(count)), "{tenths:?}");
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mean_of_powers =
            |power| (0..100_000).map(|n| normal(5, n).powi(power)).sum::<f64>() / 1e5;
        for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            assert!(
                (mean_of_powers(power) - expected).abs() < 0.06,
                "{power}: {}",
                mean_of_powers(power)
            );
        }
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_depends_on_the_seed_alone() {
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..50).collect();
            shuffle(&mut items, seed);
            items
        };
        assert_eq!(shuffled(3), shuffled(3));
        assert_ne!(shuffled(3), shuffled(4));
        let mut sorted = shuffled(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn every_first_place_is_about_as_likely() {
        let mut first = [0u32; 3];
        for seed in 0..3000 {
            let mut items = [0usize, 1, 2];
            shuffle(&mut items, mix(7, seed));
            first[items[0]] += 1;
        }
        assert!(first.iter().all(|n| (900..1100).contains(n)), "{first:?}");
    }

    #[test]
    fn what_is_made_of_a_corpus_differs_and_can_be_made_again() {
        let corpus = ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "a", ""];
        let made: Vec<_> = (0..1000).map(|n| mutated(&corpus, 7, n)).collect();
        assert_eq!(made[500], mutated(&corpus, 7, 500));
        assert_ne!(made[500], mutated(&corpus, 8, 500));
        let different: std::collections::BTreeSet<_> = made.iter().collect();
        assert!(different.len() > 600, "{}", different.len());
        let like = made.iter().filter(|text| text.starts_with(b"HTTP/1.1 200")).count();
        assert!(like > 50, "{like}: most of the first text should stay");
        assert!(mutated(&[""; 0], 7, 1).is_empty());
    }
}
