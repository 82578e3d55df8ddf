//! What sentences say of given intervals: nothing that a reader of the figures could refute.

use super::*;
use crate::report::analysis::Analysis;
use crate::report::figures::Ruled;
use crate::report::key::Key;
use crate::report::tests::sample;
use crate::stats::{Cause, Estimate, Tests};

const ARMS: [&str; 3] = ["none", "session@memory", "jwt-hs256"];
const CPU: &Metric = metric::SERVER_CPU_US_PER_REQUEST;

fn ruled(verdict: Verdict, cause: Option<Cause>) -> Ruled {
    let tests = Tests {
        p_difference: Some(0.01),
        p_difference_holm: Some(0.1),
        p_equivalence: None,
        p_equivalence_holm: None,
        family_size: 12,
    };
    Ruled { verdict, cause, smallest_effect: Some(0.05), tests }
}

/// The sentences of the sample in which this is found of CPU time over the baseline.
fn with_cost(interval: (f64, f64), ruling: Option<&Ruled>) -> Vec<Sentence> {
    let Analysis { measurements, mut comparisons, .. } = sample::analysis();
    for c in comparisons.iter_mut().filter(|c| c.key.metric == CPU && c.against == "none") {
        c.difference.point = f64::midpoint(interval.0, interval.1);
        c.difference.interval = Some(interval);
        c.ruling = ruling.cloned();
    }
    answer(&sample::plan(&ARMS, 5), &measurements, &comparisons, &[])
}

fn about<'a>(sentences: &'a [Sentence], topic: &str) -> &'a Sentence {
    sentences.iter().find(|sentence| sentence.topic == topic).unwrap()
}

#[test]
fn a_cost_that_only_the_correction_took_is_a_figure_and_not_nothing() {
    let taken = ruled(Verdict::Inconclusive, Some(Cause::Correction));
    let sentences = with_cost((0.68, 2.18), Some(&taken));
    let sentence = about(&sentences, "CPU");
    let (figure, limit) = sentence.text.split_once(", not significant").unwrap();
    assert!(figure.contains("1.43 µs (0.68 to 2.18 µs)"), "{}", sentence.text);
    assert!(limit.starts_with(" after correction for 12 primary endpoints"), "{}", sentence.text);
    assert!(!sentence.text.contains("no measurable cost"), "{}", sentence.text);
    assert!(!sentence.headline, "it spans more than twofold");
}

#[test]
fn no_measurable_cost_is_said_only_where_the_interval_holds_0() {
    for (interval, none) in [
        ((-0.2, 1.1), true),
        ((0.0, 1.1), true),
        ((0.001, 1.1), false),
        ((-1.1, -0.001), false),
        ((2.0, 2.5), false),
    ] {
        for ruling in [None, Some(&ruled(Verdict::Inconclusive, Some(Cause::Noise)))] {
            let sentences = with_cost(interval, ruling);
            let text = &about(&sentences, "CPU").text;
            assert_eq!(text.contains("no measurable cost"), none, "{interval:?}: {text}");
        }
    }
}

/// What the sample says of CPU time, said of an open load as well, over this many users.
fn with_open_load(users: u64) -> (Vec<Measurement>, Vec<Comparison>) {
    let Analysis { mut measurements, mut comparisons, .. } = sample::analysis();
    let of_load: Vec<Measurement> = measurements
        .iter()
        .filter(|m| m.key.metric == CPU && m.key.users == Some(10))
        .map(|m| Measurement {
            key: Key {
                experiment: "population".into(),
                users: Some(users),
                rate: Some(8000.0),
                ..m.key.clone()
            },
            ..m.clone()
        })
        .collect();
    let of_pairs: Vec<Comparison> = comparisons
        .iter()
        .filter(|c| c.key.metric == CPU && c.key.users == Some(10))
        .map(|c| Comparison {
            key: Key { experiment: "population".into(), users: Some(users), ..c.key.clone() },
            ruling: None,
            ..c.clone()
        })
        .collect();
    assert!(!of_load.is_empty() && !of_pairs.is_empty());
    measurements.extend(of_load);
    comparisons.extend(of_pairs);
    (measurements, comparisons)
}

#[test]
fn a_cost_is_told_of_a_fixed_rate_where_there_is_one() {
    let plan = sample::plan(&ARMS, 5);
    let (measurements, mut comparisons) = with_open_load(1000);
    let closed = answer(&plan, &measurements, &comparisons, &[]);
    let text = &about(&closed, "CPU").text;
    assert!(text.contains("in a closed loop"), "what is declared leads: {text}");

    for c in &mut comparisons {
        c.ruling = None;
    }
    let open = answer(&plan, &measurements, &comparisons, &[]);
    let text = &about(&open, "CPU").text;
    assert!(
        text.contains("at 8,000 requests per second with 1,000 users logged in"),
        "a closed load also charges for waking the generator: {text}"
    );
}

#[test]
fn what_is_declared_at_another_level_has_a_sentence_of_its_own() {
    let analysis = sample::analysis();
    let plan = sample::plan(&ARMS, 5);
    let endpoints = &analysis.primary;
    let sentences = answer(&plan, &analysis.measurements, &analysis.comparisons, endpoints);
    for endpoint in endpoints {
        let declared = &endpoint.declared;
        let label = endpoint.metric.label;
        let own = format!("{} compared with {}", declared.arm, declared.against);
        let told = sentences.iter().any(|s| s.text.contains(&own) && s.topic == label);
        let of_top = analysis.comparisons.iter().filter(|c| endpoint.declares(c));
        let elsewhere = of_top.clone().any(|c| c.key.users.is_some_and(|users| users < 1000));
        assert!(!elsewhere || told, "{declared:?}: {sentences:#?}");
    }
}

#[test]
fn an_interval_that_spans_more_than_twofold_makes_no_headline() {
    for (interval, headline) in [
        ((2.0, 3.9), true),
        ((2.0, 4.1), false),
        ((-0.1, 3.0), false),
        ((-3.9, -2.0), true),
        ((-6.34, -0.39), false),
    ] {
        assert_eq!(about(&with_cost(interval, None), "CPU").headline, headline, "{interval:?}");
    }
    let mut analysis = sample::analysis();
    analysis.answer = with_cost((0.68, 2.18), None);
    let coarse = &about(&analysis.answer, "CPU").text;
    let page = crate::report::FORMATS[1].render(&analysis);
    let (first, rest) = page.split_once("### With a figure that is known coarsely").unwrap();
    assert!(!first.contains(coarse.as_str()) && rest.contains(coarse.as_str()), "{page}");
}

#[test]
fn the_figure_comes_before_what_takes_the_verdict_away() {
    let ratio = |lo: f64, hi: f64| Estimate {
        point: (lo * hi).sqrt(),
        interval: Some((lo, hi)),
        n: 6,
        method: String::new(),
    };
    let taken = ruled(Verdict::Inconclusive, Some(Cause::Correction));
    let floor = ruled(Verdict::Inconclusive, Some(Cause::NoiseFloor));
    let noise = ruled(Verdict::Inconclusive, Some(Cause::Noise));
    let equal = ruled(Verdict::Equivalent, None);
    for (ratio, ruling, text) in [
        (ratio(1.2, 1.25), None, "22.5 % more (20.0 % to 25.0 %)"),
        (ratio(0.75, 0.88), None, "18.8 % fewer (12.0 % to 25.0 %)"),
        (
            ratio(0.75, 0.88),
            Some(&taken),
            "18.8 % fewer (12.0 % to 25.0 %), not significant after correction for 12 primary \
             endpoints",
        ),
        (
            ratio(1.2, 1.25),
            Some(&floor),
            "22.5 % more (20.0 % to 25.0 %), the same arm differs as much from itself",
        ),
        (ratio(0.88, 1.2), Some(&noise), "+2.76 % (-12.0 % to +20.0 %), no difference shown"),
        (ratio(0.99, 1.02), Some(&equal), "the same within the margin (-1.00 % to +2.00 %)"),
    ] {
        assert_eq!(by_how_much(&ratio, ruling, "more", "fewer"), text);
    }
}

/// A figure of `session@memory` in the memory experiment.
fn figure_of(metric: &'static Metric, point: f64, interval: (f64, f64)) -> Measurement {
    let all = sample::analysis().measurements;
    let is_slope = |m: &Measurement| {
        m.key.metric == metric::BYTES_PER_SESSION && m.key.arm == "session@memory"
    };
    let mut figure = all.into_iter().find(is_slope).unwrap();
    figure.key.metric = metric;
    figure.estimate.point = point;
    figure.estimate.interval = Some(interval);
    figure
}

/// The same of a fill to so many users, so that the slope is known to have been measured there.
fn filled(users: u64) -> Measurement {
    let mut fill = figure_of(metric::SERVER_ALLOCATED_BYTES, 1e6, (1e6, 1e6));
    fill.key.users = Some(users);
    fill
}

#[test]
fn beyond_tenfold_of_what_was_measured_there_is_no_interval() {
    let slope = || figure_of(metric::BYTES_PER_SESSION, 280.0, (270.0, 290.0));
    let text = |users| more::many_users(&[slope(), filled(users)], "session@memory").unwrap().text;
    let far = text(100_000);
    assert!(far.contains("At 280 bytes per user, measured up to 100,000 users"), "{far}");
    assert!(!far.contains(" to 2.7") && !far.contains('('), "{far}");
    let near = text(1_000_000);
    let (ten, hundred) = near.split_once("100 million").unwrap();
    assert!(ten.contains("2.61 GiB (2.51") && !hundred.contains('('), "{near}");
}

#[test]
fn many_users_follow_from_the_most_that_were_logged_in() {
    let with_more = |most: u64| {
        let reading = |users: u64, bytes: f64| {
            let mut reading = filled(users);
            reading.key.experiment = "population".into();
            reading.by_block = (0..3).map(|block| (block, bytes)).collect();
            reading
        };
        let figures = [
            figure_of(metric::BYTES_PER_SESSION, 113.0, (112.9, 113.1)),
            filled(20_000),
            reading(1000, 300_000.0),
            reading(most, 300_000.0 + 117.0 * (most - 1000) as f64),
        ];
        more::many_users(&figures, "session@memory").unwrap().text
    };
    let wider = with_more(1_000_000);
    assert!(wider.starts_with("At 117 bytes per user, measured up to 1,000,000 users"), "{wider}");
    let narrower = with_more(10_000);
    assert!(narrower.starts_with("At 113 bytes per user, measured up to 20,000"), "{narrower}");
}

#[test]
fn a_store_on_a_disk_is_billed_by_its_disk() {
    let figures = [
        figure_of(metric::BYTES_PER_SESSION, 0.1, (-0.1, 0.3)),
        figure_of(metric::STORE_BYTES_PER_SESSION, 254.0, (252.0, 256.0)),
        figure_of(metric::STORE_DISK_BYTES_PER_SESSION, 120.0, (118.0, 122.0)),
        filled(1_000_000),
    ];
    let text = more::many_users(&figures, "session@memory").unwrap().text;
    assert!(text.contains("1.12 GiB") && text.contains("of its store's disk"), "{text}");
    assert!(!text.contains("2.37"), "its buffers are no size of its data: {text}");
}

#[test]
fn a_connection_is_worth_what_the_system_gave_for_it() {
    let figures = [
        // Allocated and never touched: 182 users' worth, of which half is there.
        figure_of(metric::BYTES_PER_CONNECTION, 51_000.0, (50_900.0, 51_100.0)),
        figure_of(metric::BYTES_PER_SESSION, 280.0, (279.0, 281.0)),
        figure_of(metric::RESIDENT_BYTES_PER_CONNECTION, 26_100.0, (25_000.0, 27_000.0)),
        figure_of(metric::RESIDENT_BYTES_PER_SESSION, 300.0, (290.0, 310.0)),
    ];
    let text = more::connection(&figures, "session@memory", "none").unwrap().text;
    assert!(
        text.contains("as much as 87 logged-in users (81 to 93) by the same measure"),
        "{text}"
    );
    assert!(more::connection(&figures[..2], "session@memory", "none").is_none());
}

#[test]
fn pages_that_the_baseline_takes_too_are_no_price_of_a_session() {
    let slope = |arm: &str, bytes: f64| {
        let values = [bytes - 1.0, bytes, bytes + 1.0];
        let mut slope =
            figure_of(metric::RESIDENT_BYTES_PER_SESSION, bytes, (bytes - 3.0, bytes + 3.0));
        slope.key.arm = arm.into();
        slope.by_block = (0..).zip(values).collect();
        slope
    };
    let figures = [
        figure_of(metric::BYTES_PER_SESSION, 113.0, (112.0, 114.0)),
        figure_of(metric::RESIDENT_BYTES_PER_CONNECTION, 12_600.0, (12_500.0, 12_700.0)),
        slope("session@memory", 182.0),
        slope("none", 30.0),
    ];
    let text = more::connection(&figures, "session@memory", "none").unwrap().text;
    assert!(text.contains("as much as 83 logged-in users"), "12,600 / 152 and not / 182: {text}");
    let unknown = more::connection(&figures[..3], "session@memory", "none").unwrap().text;
    assert!(unknown.contains("as much as 69 logged-in users"), "{unknown}");
}

/// The sentence about p99 where the ratio is known to this interval, above such a noise floor.
fn with_tail(interval: (f64, f64), floor: Option<f64>) -> Sentence {
    let Analysis { measurements, mut comparisons, .. } = sample::analysis();
    let is_tail = |c: &&mut Comparison| {
        c.key.metric == metric::RESPONSE_P99_US && c.is_between("jwt-hs256", "session@memory")
    };
    for c in comparisons.iter_mut().filter(is_tail) {
        let ratio = c.ratio.as_mut().unwrap();
        ratio.point = (interval.0 * interval.1).sqrt();
        ratio.interval = Some(interval);
        (c.noise_floor, c.ruling) = (floor, None);
    }
    about(&answer(&sample::plan(&ARMS, 5), &measurements, &comparisons, &[]), "Tail latency")
        .clone()
}

#[test]
fn what_the_same_arm_differs_by_is_no_headline() {
    // 51 % more, where the reference differs from itself by up to 60 %.
    let beneath = with_tail((1.2, 1.9), Some(0.603));
    assert!(beneath.text.contains("51.0 % higher (20.0 % to 90.0 %)"), "{}", beneath.text);
    assert!(beneath.text.ends_with(", the same arm differs as much from itself."));
    assert!(!beneath.headline);
    for floor in [Some(0.4), None] {
        let beyond = with_tail((1.2, 1.9), floor);
        assert!(beyond.headline && !beyond.text.contains("same arm"), "{}", beyond.text);
    }
    // 40 % less is as far from no difference as 67 % more.
    assert!(with_tail((0.55, 0.66), Some(0.603)).headline);
    let open = with_tail((0.8, 1.3), Some(0.603));
    assert!(!open.headline && !open.text.contains("same arm"), "{}", open.text);
}

#[test]
fn an_arm_has_no_verdict_of_another_arms_endpoint() {
    let Analysis { measurements, mut comparisons, primary, .. } = sample::analysis();
    for c in comparisons.iter_mut().filter(|c| c.key.metric == CPU && c.key.arm == "jwt-hs256") {
        c.ruling = None;
    }
    let own = |c: &&Comparison| c.key.metric == CPU && c.is_between("session@memory", "none");
    assert!(comparisons.iter().filter(own).any(|c| c.ruling.is_some()));
    let sentences = answer(&sample::plan(&ARMS, 5), &measurements, &comparisons, &primary);
    let cost = about(&sentences, "CPU");
    assert!(cost.text.contains("with jwt-hs256; ") && cost.verdict.is_none(), "{cost:?}");
    let told = |s: &&Sentence| s.text.contains("session@memory compared with none, 1,000 users");
    assert!(sentences.iter().find(told).unwrap().verdict.is_some(), "{sentences:#?}");
}

#[test]
fn a_slope_without_scatter_says_what_it_is() {
    let plan = sample::plan(&ARMS, 5);
    let said = |interval: (f64, f64)| {
        let slope = figure_of(metric::BYTES_PER_SESSION, 0.0, interval);
        memory(&plan, &[slope], &[], "session@memory").unwrap().text
    };
    assert!(said((0.0, 0.0)).ends_with("(slope 0 bytes, the same in all 5 trials)."));
    assert!(said((-0.3, 0.5)).ends_with("(slope -0.30 to 0.50 bytes)."));
}

#[test]
fn a_rate_is_said_with_the_limit_that_it_was_searched_under() {
    let mut plan = sample::plan(&ARMS, 5);
    assert_eq!(more::p99_limit(&plan), None);
    let reference = include_str!("../../../../results/reference/standard/plan.json");
    let reference: Plan = serde_json::from_str(reference).unwrap();
    plan.trials = reference.trials;
    assert_eq!(more::p99_limit(&plan).as_deref(), Some("10 ms"));
}
