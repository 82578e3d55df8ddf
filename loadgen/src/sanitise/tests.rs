//! Ordinary names pass unchanged, and nothing else passes unseen, whatever the text.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Names as servers and people have them.
const ORDINARY: [&str; 12] = [
    "session@redis",
    "jwt-refresh@postgres",
    "session@memory (again)",
    "server_cpu_us_per_request",
    "Jürgen Groß",
    "u\u{308}ber Straße",
    "佐藤 花子",
    "ﾊﾝｶｸ",
    "Ольга",
    "محمد",
    "12.5 µs (11 to 14 µs)",
    "🦀 crab",
];

/// Pieces that do harm somewhere, with ordinary ones between them.
fn adversarial() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "\\PC{0,8}",
        prop::sample::select(vec![
            "\u{1b}[2J",
            "\u{1b}]0;title\u{7}",
            "\u{9b}31m",
            "\u{9d}8;;http://x\u{9c}",
            "\r\n1a  a thing  401  200  refused",
            "\n\n# heading",
            "\u{202e}gnp.exe\u{2066}",
            "\u{200b}\u{200d}\u{feff}\u{ad}",
            "\u{e0041}\u{fe0f}\u{ffff}\u{1ffff}",
            "=cmd|' /C calc'!A0",
            "＝1+1",
            "\t@SUM(A1)",
            "![x](http://x) <img src=x onerror=alert(1)>",
            "| a | b |\n|---|---|",
            "</td></tr></table><script>",
            "`${x}`",
            "\\",
            "http://x.test/ www.x.test a@x.test @user #1",
            "\u{301}\u{301}\u{301}\u{301}",
            "佐藤",
        ])
        .prop_map(String::from),
        (any::<char>(), 1usize..3000).prop_map(|(c, times)| String::from(c).repeat(times)),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn unseen(text: &str) -> Option<char> {
    text.chars().find(|c| is_unseen(*c))
}

#[test]
fn ordinary_names_pass_unchanged() {
    for name in ORDINARY {
        assert_eq!(visible(name), name);
        assert_eq!(fit(name, NAME), name);
        assert_eq!(message(name), name);
        assert_eq!(document(name), name);
        assert_eq!(csv(name), name);
        assert_eq!(json(&json!(name).to_string()), json!(name).to_string());
        assert_eq!(markdown(name), name);
    }
}

#[test]
fn what_drives_a_terminal_or_reorders_a_line_is_written_out() {
    for (text, shown) in [
        ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
        ("a\r\nb\tc\0", "a\\r\\nb\\tc\\u{0}"),
        ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
        ("user\u{202e}nimda", "user\\u{202e}nimda"),
        ("\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}", "\\u{2066}\\u{2069}\\u{200e}\\u{200f}\\u{61c}"),
        ("ad\u{200b}min\u{feff}", "ad\\u{200b}min\\u{feff}"),
        ("\u{2028}\u{2029}\u{e0001}", "\\u{2028}\\u{2029}\\u{e0001}"),
    ] {
        assert_eq!(visible(text), shown);
        assert_eq!(document(text), visible(text).replace("\\n", "\n"));
    }
}

#[test]
fn what_is_cut_is_counted() {
    assert_eq!(fit(&"a".repeat(65_536), 20), "aaaaaa… (65530 more)");
    assert_eq!(fit(&"佐".repeat(50), 20), "佐佐佐佐… (46 more)");
    assert_eq!(fit("login of everybody", 11), "… (18 more)");
    assert_eq!(fit("login of everybody", 10), "login of …");
    assert_eq!((fit("abc", 2), fit("abc", 0)), ("a…".into(), String::new()));
    let piled = format!("a{}", "\u{301}".repeat(5_000));
    assert!(fit(&piled, NAME).chars().count() <= NAME, "marks without columns are bounded too");
}

#[test]
fn columns_of_wide_characters_count_twice() {
    assert_eq!(width("佐藤 花子"), 9);
    assert_eq!(padded("佐藤", 6), "佐藤  ");
    assert_eq!(right_aligned("u\u{308}", 3), "  u\u{308}");
    // A width in a format string panics beyond 65,535.
    assert_eq!(padded("x", 70_000).len(), 70_000);
}

#[test]
fn no_cell_of_a_table_begins_a_row_or_fills_a_screen() {
    let mut page = Page::default();
    let forged = "200\n9z  everything  401  401  refused".to_string();
    let rows = [
        ["id".into(), "found".into(), "ok".into()],
        ["1a".into(), forged, "yes".into()],
        ["2a".into(), "x".repeat(65_536), "ACCEPTED".into()],
        ["3a".into(), "佐藤".into(), "yes".into()],
    ];
    page.table("", &rows, &(0..0));
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(lines.len(), 4, "{page}");
    assert!(lines[1].contains("200\\n9z"), "{page}");
    let end = |line: &str, word: &str| width(&line[..line.rfind(word).unwrap()]);
    assert_eq!(end(lines[1], "yes"), end(lines[3], "yes"), "{page}");
    assert!(lines.iter().all(|line| width(line) <= LINE), "{page}");
}

#[test]
fn further_lines_of_a_message_are_set_in() {
    let shown = message("f.toml: no\n  |\n1 | x\nerror: forged\u{1b}[A\n\nlast\n");
    assert_eq!(shown, "f.toml: no\n    |\n  1 | x\n  error: forged\\u{1b}[A\n\n  last");
    assert_eq!(message("it ended:\n  one\n  two"), "it ended:\n  one\n  two");
    let long = message(&"line\n".repeat(100));
    assert_eq!(long.lines().count(), 24);
    assert!(long.ends_with("… (77 more lines)"), "{long}");
}

#[test]
fn markdown_stays_text() {
    for (text, shown) in [
        ("a|b*c`d[e]f\\g", "a\\|b\\*c\\`d\\[e\\]f\\\\g"),
        ("<b>&amp;", "&lt;b>&amp;amp;"),
        ("![i](x)", "!\\[i\\](x)"),
        ("_a_ b_c __d__", "\\_a\\_ b_c \\_\\_d\\_\\_"),
        ("~~no~~ $x$", "\\~\\~no\\~\\~ &#36;x&#36;"),
        ("# a", "\\# a"),
        ("  > a", "  \\> a"),
        ("- a", "\\- a"),
        ("---", "\\---"),
        ("-12.5 %", "-12.5 %"),
        ("12. a", "12\\. a"),
        ("1.5 ms", "1.5 ms"),
        ("https://x.test", "https\\://x.test"),
        ("www.x.test", "www\\.x.test"),
        ("me@x.test", "me@<!-- -->x.test"),
        ("@user, #12", "@<!-- -->user, #<!-- -->12"),
        ("session@redis", "session@redis"),
    ] {
        assert_eq!(markdown(text), shown);
    }
}

#[test]
fn a_spreadsheet_runs_no_cell() {
    for (text, shown) in [
        ("a,\"b\"", "\"a,\"\"b\"\"\""),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1,2", "\"'+1,2\""),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("＠x", "'＠x"),
        ("a\nb", "a\\nb"),
    ] {
        assert_eq!(csv(text), shown);
    }
}

#[test]
fn every_string_of_a_value_is_made_fit_but_what_is_kept() {
    let mut value = json!({"a\nb": ["\u{1b}", {"c": "x".repeat(5_000)}], "n": 1, "data": "\u{7f}"});
    statements(&mut value, &|text| text == "\u{7f}");
    assert_eq!(value["a\\nb"][0], "\\u{1b}");
    assert_eq!(width(value["a\\nb"][1]["c"].as_str().unwrap()), REMARK);
    assert_eq!((&value["n"], &value["data"]), (&json!(1), &json!("\u{7f}")));
}

proptest! {
    #[test]
    fn nothing_unseen_is_in_a_line_and_no_line_is_too_long(
        text in adversarial(),
        columns in 0usize..200,
    ) {
        let shown = fit(&text, columns);
        prop_assert_eq!(unseen(&shown), None);
        prop_assert!(width(&shown) <= columns, "{} of {}", width(&shown), columns);
        prop_assert!(shown.chars().count() <= columns);
        prop_assert_eq!(fit(&shown, columns), shown);
        let once = visible(&text);
        prop_assert_eq!(visible(&once), once.as_ref());
    }

    #[test]
    fn a_page_holds_as_many_lines_as_were_added(texts in prop::collection::vec(adversarial(), 3)) {
        let mut page = Page::default();
        texts.iter().for_each(|text| page.line(text));
        let cells = [texts[0].clone(), texts[1].clone(), texts[2].clone()];
        page.table("", &[cells.clone(), cells], &(0..1));
        prop_assert_eq!(page.matches('\n').count(), 5);
        prop_assert_eq!(unseen(&page.replace('\n', "")), None);
        prop_assert!(page.lines().all(|line| width(line) <= LINE));
    }

    #[test]
    fn a_message_fits_a_screen_and_only_its_first_line_is_not_set_in(text in adversarial()) {
        let shown = message(&text);
        prop_assert_eq!(unseen(&shown.replace('\n', "")), None);
        prop_assert!(shown.lines().count() <= 24);
        for line in shown.lines().skip(1) {
            prop_assert!(line.is_empty() || line.starts_with("  "), "{line}");
            prop_assert!(width(line) <= LINE);
        }
        prop_assert!(width(shown.lines().next().unwrap_or_default()) <= 2 * LINE);
        prop_assert_eq!(message(&shown), shown.clone());
    }

    #[test]
    fn markdown_has_no_markup(text in adversarial()) {
        let shown = markdown(&text);
        prop_assert_eq!(unseen(&shown), None);
        prop_assert!(width(&shown) <= 10 * 4_000);
        let plain = shown.replace("<!-- -->", "");
        prop_assert!(!plain.contains('<'));
        prop_assert!(!shown.replace("\\://", "").contains("://") && !shown.contains("www."));
        // Every one of these stands behind a backslash of its own.
        let mut escaped = false;
        for c in plain.chars() {
            prop_assert!(escaped || !"|*`[]~".contains(c) && c != '$', "{shown}");
            escaped = c == '\\' && !escaped;
        }
        let first = plain.trim_start().chars().next();
        prop_assert!(first.is_none_or(|c| !"#>".contains(c)), "{shown}");
    }

    #[test]
    fn csv_is_one_field_of_text(text in adversarial()) {
        let shown = csv(&text);
        prop_assert_eq!(unseen(&shown), None);
        let quoted = shown.starts_with('"');
        let inside = if quoted {
            shown[1..shown.len() - 1].replace("\"\"", "\u{1}")
        } else {
            shown.clone()
        };
        prop_assert!(!inside.contains('"'), "{shown}");
        prop_assert!(quoted || !inside.contains(','), "{shown}");
        prop_assert!(!inside.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']));
        prop_assert!(inside.chars().count() <= REMARK + 1);
    }

    #[test]
    fn a_document_and_json_keep_line_feeds_alone(text in adversarial()) {
        let shown = document(&text);
        prop_assert_eq!(unseen(&shown.replace('\n', "")), None);
        prop_assert_eq!(document(&shown), shown.clone());
        let value = json!({ "text": text });
        let written = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&written);
        prop_assert_eq!(unseen(&shown.replace('\n', "")), None);
        prop_assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}

#[test]
fn text_goes_on_in_the_next_line() {
    assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
    assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
    assert_eq!(wrapped("", 4), [""]);
    assert_eq!(wrapped("佐藤", 1), ["佐", "藤"]);
}

#[test]
fn a_number_and_its_unit_stay_on_one_line() {
    assert_eq!(wrapped("at most 50 % of it", 10), ["at most", "50 % of it"]);
    assert_eq!(wrapped("took 1.20 ms, then", 9), ["took", "1.20 ms,", "then"]);
    assert_eq!(wrapped("none % x", 6), ["none %", "x"]);
    assert_eq!(wrapped("a 5 x", 3), ["a 5", "x"], "a word is no unit");
}

#[test]
fn text_on_a_page_hangs_behind_its_first_line() {
    let mut page = Page::default();
    let long = "word ".repeat(40);
    page.text(&format!("  head  {long}"), 6);
    let lines: Vec<_> = page.lines().collect();
    assert!(lines[0].starts_with("  head  word word"), "{page}");
    assert!(lines[1..].iter().all(|line| line.starts_with("      word")), "{page}");
    assert!(lines.len() > 2 && lines.iter().all(|line| width(line) <= SCREEN), "{page}");
    let joined = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    assert_eq!(joined, format!("head  {}", long.trim()));
    let mut short = Page::default();
    short.text("    a", 2);
    short.text("", 2);
    assert_eq!(&*short, "    a\n\n");
}
