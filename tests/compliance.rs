//! docs/compliance.md keeps its word: every requirement has a row, every test that a row names is there, and what has no
//! test is explained as a deviation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The requirements that must have a row: first and last number, both included.
const REQUIRED: &[(&str, u32, u32)] = &[
    ("AU", 1, 8),
    ("CI", 1, 19),
    ("EV", 1, 15),
    ("FO", 1, 5),
    ("FO", 7, 8),
    ("FO", 10, 17),
    ("MS", 1, 26),
    ("RF", 1, 12),
    ("RG", 1, 8),
    ("RJ", 1, 2),
    ("RJ", 4, 4),
    ("RJ", 6, 6),
    ("TP", 1, 20),
    ("TT", 1, 3),
    ("TX", 1, 22),
    ("UA", 1, 28),
];

/// One row below "By requirement".
#[derive(Debug)]
struct Row {
    code: String,
    /// What stands between backticks in the last column.
    tests: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A part of the page, from its heading to the next one of the same rank.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(heading).unwrap_or_else(|| panic!("no `{heading}`"));
    rest.split("\n## ").next().unwrap()
}

/// Prefix and number of a code: `TX12`.
fn as_code(text: &str) -> Option<(String, u32)> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let (prefix, number) = text.split_at(digits);
    let is_prefix = prefix.len() == 2 && prefix.bytes().all(|byte| byte.is_ascii_uppercase());
    Some((prefix.to_owned(), number.parse().ok().filter(|_| is_prefix)?))
}

fn rows(page: &str) -> Vec<Row> {
    let lines = section(page, "\n## By requirement\n").lines();
    let mut rows = Vec::new();
    for line in lines.filter(|line| line.starts_with("| ") && !line.starts_with("| code |")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "a row has four columns: {line}");
        let tests = cells[3].split('`').skip(1).step_by(2).map(str::to_owned);
        let tests: Vec<String> = tests.collect();
        for code in cells[0].split(", ") {
            assert!(as_code(code).is_some(), "`{code}` is no code: {line}");
            rows.push(Row { code: code.to_owned(), tests: tests.clone() });
        }
    }
    rows
}

/// The name of every function below a folder of the repository that Rust's test runner could know.
fn functions(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != "corpus" {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.extend(tests_of(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Functions below `#[test]`, and those that a macro of tests may make: a name in it is enough.
fn tests_of(source: &str) -> Vec<String> {
    let mut is_test = false;
    let mut found = Vec::new();
    for line in source.lines().map(str::trim) {
        let name = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "));
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = name
            && std::mem::take(&mut is_test)
        {
            found.push(name.split(['(', '<']).next().unwrap().to_owned());
        }
    }
    found
}

/// Those that a name in the page stands for: itself, or all that begin as it does where it ends in `...`.
fn meant<'a>(named: &str, known: &'a BTreeSet<String>) -> Vec<&'a String> {
    let named = named.rsplit("::").next().unwrap();
    match named.split_once("...") {
        Some((start, _)) => known.iter().filter(|test| test.starts_with(start)).collect(),
        None => known.iter().filter(|test| *test == named).collect(),
    }
}

/// Faults of a page, in words.
fn faults(page: &str, known: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let rows = rows(page);
    let mut by_code: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *by_code.entry(&row.code).or_default() += 1;
    }
    for (code, count) in by_code.iter().filter(|(_, count)| **count > 1) {
        faults.push(format!("{code} has {count} rows"));
    }
    for (prefix, first, last) in REQUIRED {
        for code in (*first..=*last).map(|number| format!("{prefix}{number}")) {
            if !by_code.contains_key(code.as_str()) {
                faults.push(format!("{code} has no row"));
            }
        }
    }
    let deviations = section(page, "\n## Deviations\n");
    let explained: BTreeSet<&str> =
        deviations.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    for Row { code, tests } in &rows {
        if tests.is_empty() {
            if !explained.contains(code.as_str()) {
                faults.push(format!("{code} has neither a test nor a row under Deviations"));
            }
            continue;
        }
        let lower = code.to_lowercase();
        let mut bears_the_code = false;
        // A file of tests may be named beside them.
        for named in tests.iter().filter(|named| !named.ends_with(".rs")) {
            let meant = meant(named, known);
            if meant.is_empty() {
                faults.push(format!("{code}: there is no test {named}"));
            }
            bears_the_code |= meant.iter().any(|test| test.split('_').any(|part| part == lower));
        }
        if !bears_the_code {
            faults.push(format!("{code}: no test of it begins with {lower}_"));
        }
    }
    faults
}

#[test]
fn every_requirement_has_a_row_whose_tests_are_there_or_a_deviation() {
    let mut known = BTreeSet::new();
    for folder in ["crates", "tests"] {
        functions(&root().join(folder), &mut known);
    }
    let page = fs::read_to_string(root().join("docs/compliance.md")).unwrap();
    let faults = faults(&page, &known);
    assert!(faults.is_empty(), "docs/compliance.md:\n{}", faults.join("\n"));
}

#[test]
fn a_page_that_does_not_keep_its_word_is_found_out() {
    let known = tests_of("#[test]\nfn tx1_seven_sends() {}\nfn tx2_no_test() {}");
    let known: BTreeSet<String> = known.into_iter().collect();
    let page = |rows: &str, deviations: &str| {
        format!(
            "# x\n\n## By requirement\n\n| code | what | code in | test |\n|---|---|---|---|\n{rows}\n\
             \n## Deviations\n\n{deviations}\n"
        )
    };
    let said = |rows: &str, deviations: &str| {
        let said = faults(&page(rows, deviations), &known);
        said.into_iter().filter(|fault| !fault.ends_with("has no row")).collect::<Vec<String>>()
    };
    assert!(said("| TX1 | a | `b` | `tx1_seven_sends` |", "").is_empty());
    assert!(said("| TX1 | a | `b` | `tx1_...` |", "").is_empty());
    assert!(said("| TX3 | a | `b` | - |", "| TX3 | a | b |").is_empty());
    for (rows, deviations, fault) in [
        ("| TX3 | a | `b` | - |", "| TX33 | a | b |", "TX3 has neither"),
        ("| TX2 | a | `b` | `tx2_no_test` |", "", "there is no test tx2_no_test"),
        ("| TX2 | a | `b` | `tx1_...` |", "", "no test of it begins with tx2_"),
        ("| TX1 | a | b | `tx1_...` |\n| TX1 | a | b | `tx1_...` |", "", "TX1 has 2 rows"),
    ] {
        let said = said(rows, deviations);
        assert!(said.iter().any(|one| one.contains(fault)), "{rows}: {said:?}");
    }
    assert!(faults(&page("", ""), &known).contains(&"EV1 has no row".to_owned()));
}
