//! Answers in pieces: the same as whole ones, for as much work, within the same limits.

use proptest::prelude::*;

use super::super::examine::EXAMINED;
use super::super::http1::tests::ANSWERS;
use super::*;

/// What an answer is, in a form that can be compared.
#[derive(Clone, Debug, PartialEq)]
struct Got {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    behind: usize,
    keep_alive: bool,
}

/// Limits that short samples can exceed.
const TIGHT: Limits = Limits {
    head_bytes: 200,
    fields: 4,
    interim: 2,
    body_bytes: 40,
    framing_bytes: 30,
    buffered_bytes: 4096,
};

fn got(whole: &Whole<'_, '_>) -> Got {
    let headers = whole.headers.iter().map(|h| (h.name.to_string(), h.value.to_vec()));
    Got {
        status: whole.status,
        headers: headers.collect(),
        body: whole.body.to_vec(),
        behind: whole.behind,
        keep_alive: whole.keep_alive,
    }
}

/// Gives an answer to a reader in pieces and then the end of the connection, where it `ends`: what
/// it is, `None` while it is incomplete.
fn in_pieces(
    limits: Limits,
    pieces: &[&[u8]],
    to_head: bool,
    ends: bool,
) -> Result<Option<Got>, Failure> {
    let budget = Budget::new(limits.buffered_bytes);
    let (reader, mut inbound) = (Reader::new(limits, budget.clone()), Inbound::default());
    let mut result = Ok(None);
    let last = pieces.len() - 1;
    for (at, bytes) in pieces.iter().enumerate() {
        let arrival = Arrival { bytes, to_head, ended: ends && at == last };
        result = reader.take(&mut inbound, arrival, |whole| got(&whole));
        if let Ok(Some(found)) = &mut result {
            found.behind += pieces[at + 1..].iter().map(|piece| piece.len()).sum::<usize>();
        }
        if !matches!(result, Ok(None)) {
            assert!(!inbound.has_begun(), "an answer that has ended owns nothing");
            break;
        }
    }
    drop(inbound);
    assert_eq!(budget.left(), limits.buffered_bytes, "the budget is whole again");
    result
}

/// Splits a text at these places.
fn split<'a>(text: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = at.iter().map(|place| place % (text.len() + 1)).collect();
    at.sort_unstable();
    at.dedup();
    let (mut pieces, mut begins) = (Vec::new(), 0);
    for end in at.into_iter().filter(|end| *end > 0) {
        pieces.push(&text[begins..end]);
        begins = end;
    }
    pieces.push(&text[begins..]);
    pieces
}

/// Answers that are wrong, or over one of the tight limits.
fn wrong() -> Vec<String> {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let fields = "A: b\r\n".repeat(5);
    vec![
        "SSH-2.0-OpenSSH\r\n\r\n".into(),
        "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".into(),
        "HTTP/1.1 101 Switching\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nx".into(),
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{fields}"),
        format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(200)),
        format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(300)),
        "HTTP/1.1 103 Hints\r\n\r\n".repeat(3),
        format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100 On\r\n\r\n".repeat(3)),
        format!("HTTP/1.1 103 Hints\r\nA: {}\r\n\r\n", "b".repeat(90)).repeat(2),
        "HTTP/1.1 103 Hints\r\nHints\r\n\r\n".into(),
        format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(41)),
        format!("{chunked}xyz\r\n"),
        format!("{chunked}\r\n"),
        format!("{chunked};e\r\n"),
        format!("{chunked}1\nx\r\n"),
        format!("{chunked}1\r\nxx\r\n"),
        format!("{chunked}1\r\nx\rx\r\n"),
        format!("{chunked}ffffffffffffffff\r\n"),
        format!("{chunked}fffffffffffffffff\r\n"),
        format!("{chunked}{}\r\n", "0".repeat(60)),
        format!("{chunked}29\r\n"),
        format!("{chunked}{}", "f\r\n0123456789abcde\r\n".repeat(3)),
        format!("{chunked}1;{}\r\nx\r\n", "e".repeat(30)),
        format!("{chunked}1;{}", "e".repeat(60)),
        format!("{chunked}{}", "1;eeeeeeee\r\nx\r\n".repeat(5)),
        format!("{chunked}0\r\n{}\r\n", "T: 1\r\n".repeat(5)),
        format!("{chunked}0\r\nT: {}\r\n\r\n", "1".repeat(30)),
        format!("{chunked}0\r\nT: {}", "1".repeat(60)),
        format!("{chunked}0\r\nT 1\r\n\r\n"),
        format!("{chunked}0\r\n\n"),
    ]
}

/// Answers with folded fields, which are unfolded.
const FOLDED: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\t d\r\nContent-Length: 2\r\n\r\n\r\n",
    "HTTP/1.1 200 OK\nA: b\n c\nContent-Length:\n 1\n\nx",
    "HTTP/1.1 103 A\r\nB: c\r\n d\r\n\r\nHTTP/1.1 200 OK\r\nE:\r\n \r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n0\r\n\r\n",
];

/// Every sample: its text, whether it was to HEAD, and whether the connection ends behind it.
fn samples() -> Vec<(String, bool, bool)> {
    let right = ANSWERS.iter().map(|answer| (answer.0.to_string(), answer.1, answer.2));
    let behind = ANSWERS
        .iter()
        .filter(|answer| !answer.2)
        .map(|answer| (format!("{}HTTP/1.1", answer.0), answer.1, false));
    let cut = ANSWERS.iter().map(|answer| {
        let half = &answer.0[..answer.0.len() * 2 / 3];
        (half.to_string(), answer.1, true)
    });
    let wrong = wrong().into_iter().map(|text| (text, false, true));
    let folded = FOLDED.iter().map(|text| ((*text).into(), false, false));
    right.chain(behind).chain(cut).chain(wrong).chain(folded).collect()
}

#[test]
fn samples_are_what_they_are_for() {
    let end = |text: &str| in_pieces(TIGHT, &[text.as_bytes()], false, true);
    let wrong = wrong();
    for text in &wrong {
        assert!(end(text).is_err(), "{text:?} is right");
    }
    for limit in Limit::ALL.into_iter().filter(|limit| *limit != Limit::Buffered) {
        let over = Err(Failure::Over(limit));
        assert!(wrong.iter().filter(|text| end(text) == over).count() >= 2, "{limit:?}");
    }
}

#[test]
fn a_folded_field_is_one_line_and_a_body_is_not_touched() {
    let read = |text: &str| in_pieces(Limits::default(), &[text.as_bytes()], false, false);
    let values = |text| {
        let got = read(text).unwrap().unwrap();
        assert!(got.behind == 0 && got.keep_alive, "{got:?}");
        let value = |(_, value)| String::from_utf8(value).unwrap();
        (got.headers.into_iter().map(value).collect::<Vec<_>>(), got.body)
    };
    let [lines, feeds, interim, chunks] = FOLDED.map(values);
    assert_eq!(lines, (vec!["b   c  \t d".into(), "2".into()], b"\r\n".to_vec()));
    assert_eq!(feeds, (vec!["b  c".into(), "1".into()], b"x".to_vec()));
    assert_eq!(interim, (vec![String::new(), "0".into()], vec![]));
    assert_eq!(chunks, (vec!["b   c".into(), "chunked".into()], b" ".to_vec()));
    // There is no field yet that the second line could continue.
    let first = "HTTP/1.1 200 OK\r\n A: b\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(read(first), Err(Failure::Malformed));
}

#[test]
fn an_answer_is_the_same_however_it_is_cut_in_two_or_dripped() {
    for (text, to_head, ends) in samples() {
        let text = text.as_bytes();
        for limits in [TIGHT, Limits::default()] {
            let whole = in_pieces(limits, &[text], to_head, ends);
            for at in 0..text.len() {
                let found = in_pieces(limits, &split(text, &[at]), to_head, ends);
                assert_eq!(found, whole, "{} at {at}", text.escape_ascii());
            }
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(in_pieces(limits, &bytes, to_head, ends), whole, "{}", text.escape_ascii());
        }
    }
}

proptest! {
    #[test]
    fn an_answer_is_the_same_however_it_is_cut(
        sample in 0..samples().len(),
        at in proptest::collection::vec(0..1000usize, 0..8),
    ) {
        let (text, to_head, ends) = &samples()[sample];
        let text = text.as_bytes();
        for limits in [TIGHT, Limits::default()] {
            let whole = in_pieces(limits, &[text], *to_head, *ends);
            prop_assert_eq!(in_pieces(limits, &split(text, &at), *to_head, *ends), whole);
        }
    }

    #[test]
    fn chunks_make_the_body_that_they_were_cut_from(
        body in proptest::collection::vec(any::<u8>(), 0..2000),
        chunk in 1..600usize,
        at in proptest::collection::vec(0..4000usize, 0..8),
    ) {
        let text = chunked(&body, chunk);
        let found = in_pieces(Limits::default(), &split(&text, &at), false, false);
        prop_assert_eq!(found.map(|found| found.map(|found| found.body)), Ok(Some(body)));
    }
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(size) {
        text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        text.extend_from_slice(chunk);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"0\r\n\r\n");
    text
}

/// How often each byte of a text is looked at or copied when it comes in pieces of this size.
fn looks(text: &[u8], piece: usize) -> f64 {
    EXAMINED.set(0);
    let pieces: Vec<&[u8]> = text.chunks(piece).collect();
    let limits = Limits { head_bytes: 1 << 20, framing_bytes: 1 << 20, ..Limits::default() };
    let found = in_pieces(limits, &pieces, false, false);
    assert!(matches!(found, Ok(Some(_))), "{found:?}");
    EXAMINED.get() as f64 / text.len() as f64
}

#[test]
fn every_byte_is_looked_at_a_few_times_however_the_answer_is_cut() {
    let body = vec![b'x'; 100_000];
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let field =
        format!("HTTP/1.1 200 OK\r\nA: {}\r\nContent-Length: 0\r\n\r\n", "b".repeat(90_000));
    let fields = (0..90).map(|n| format!("A{n}: {}\r\n", "b".repeat(900))).collect::<String>();
    let end = "Content-Length: 0\r\n\r\n";
    let interim = format!("HTTP/1.1 103 Hints\r\nA: {}\r\n\r\n", "b".repeat(9000)).repeat(16);
    let open = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let folded = format!("HTTP/1.1 200 OK\r\nA: b\r\n{}", " b\r\n".repeat(20_000));
    let trailers = (0..90).map(|n| format!("T{n}: {}\r\n", "1".repeat(900))).collect::<String>();
    for (name, text) in [
        ("length", [length.as_bytes(), &body].concat()),
        ("one chunk", chunked(&body, 100_000)),
        ("chunks", chunked(&body, 1000)),
        ("small chunks", chunked(&body, 1)),
        ("a long field", field.into_bytes()),
        ("a folded field", format!("{folded}{end}").into_bytes()),
        ("fields", format!("HTTP/1.1 200 OK\r\n{fields}{end}").into_bytes()),
        ("interim", format!("{interim}HTTP/1.1 200 OK\r\n{end}").into_bytes()),
        ("extension", format!("{open}0;{}\r\n\r\n", "e".repeat(90_000)).into_bytes()),
        ("trailers", format!("{open}0\r\n{trailers}\r\n").into_bytes()),
    ] {
        // A look behind at two bytes of every arrival is in it.
        for (piece, most) in [(1, 10.0), (7, 7.0), (1000, 7.0), (65_536, 7.0), (usize::MAX, 5.0)] {
            let looks = looks(&text, piece);
            let most = if name == "a folded field" { most + 3.0 } else { most };
            assert!(looks <= most, "{name} in pieces of {piece}: {looks:.1} looks at each byte");
        }
    }
}

#[test]
fn unfinished_answers_share_their_memory_and_give_it_back() {
    let limits = Limits { buffered_bytes: 100_000, ..Limits::default() };
    let budget = Budget::new(limits.buffered_bytes);
    let reader = Reader::new(limits, budget.clone());
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n";
    let piece = |bytes| Arrival { bytes, to_head: false, ended: false };
    let (mut one, mut other) = (Inbound::default(), Inbound::default());
    assert_eq!(reader.take(&mut one, piece(head), |_| ()), Ok(None));
    assert!(budget.left() > 99_000, "what is announced takes no memory before it comes");
    assert_eq!(reader.take(&mut one, piece(&[b'x'; 59_000]), |_| ()), Ok(None));
    assert_eq!(reader.take(&mut other, piece(head), |_| ()), Ok(None));
    let over = Err(Failure::Over(Limit::Buffered));
    assert_eq!(reader.take(&mut other, piece(&[b'x'; 59_000]), |_| ()), over);
    assert!(!other.has_begun());
    assert_eq!(reader.take(&mut one, piece(&[b'x'; 1000]), |_| ()), Ok(Some(())));
    assert_eq!(budget.left(), limits.buffered_bytes);
}
