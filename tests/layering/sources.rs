//! What the files may say: unfinished code, length, names, what a pure crate may not name, paths of one machine.
//!
//! Rust is read with comments, strings and characters blanked, so that a word is not taken for code.

use std::fs;
use std::path::Path;

/// Longest file of code, and longest engine/actor.rs, without tests.
const LONGEST: usize = 800;
const LONGEST_ACTOR: usize = 400;

/// What no pure crate names outside of its tests.
const TOUCHES_THE_WORLD: &[&str] = &[
    "Instant::now",
    "OffsetDateTime::now",
    "SystemTime::now",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "rand::rng",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "thread_rng",
];

/// All breaches that the files show.
pub fn breaches(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in crate::files(root) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        if let Some(line) = text.lines().position(names_one_machine) {
            found.push(format!("{name}: a path of one machine, line {}", line + 1));
        }
        if name.ends_with(".rs") && !name.starts_with("fuzz/") {
            found.extend(rust_breaches(&name, &text));
        }
    }
    found
}

fn rust_breaches(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = name.strip_prefix("crates/").unwrap_or(name);
    let is_test =
        name.starts_with("tests/") || name.contains("/tests/") || name.ends_with("/tests.rs");
    let code = code_only(text);
    if !text.starts_with("//!") {
        found.push(format!("{name} does not open with //!"));
    }
    for (word, title) in [
        ("todo!", concat!("to", "do!")),
        ("unimplemented!", concat!("unimple", "mented!")),
        ("#[ignore", concat!("#[ig", "nore]")),
    ] {
        if let Some(line) = line_of(&code, word) {
            found.push(format!("{title} stands in {name}, line {line}"));
        }
    }
    if is_test {
        return found;
    }
    let own_code = &code[..start_of_tests(&code)];
    let length = own_code.lines().count();
    let longest = if name == "engine/src/actor.rs" { LONGEST_ACTOR } else { LONGEST };
    if length > longest {
        found.push(format!("{name} has {length} lines without tests, {longest} are allowed"));
    }
    if says_nothing(name) {
        found.push(format!("{name}: a name that says nothing"));
    }
    if names(&code, "rsip")
        && !name.starts_with("sip-core/src/message")
        && !name.contains("/benches/")
    {
        found.push(format!("{name}: rsip is named outside of sip-core/src/message"));
    }
    if names(&code, "testkit") && name.contains("/src/") && !name.starts_with("testkit/") {
        found.push(format!("{name}: testkit is for integration tests"));
    }
    if is_pure(name) {
        for word in TOUCHES_THE_WORLD {
            if let Some(line) = line_of(own_code, word) {
                found.push(format!("{name}: a pure crate may not name {word}, line {line}"));
            }
        }
    }
    found
}

fn is_pure(name: &str) -> bool {
    let pure = ["conference/src/", "media/src/", "sip-core/src/"];
    pure.iter().any(|folder| name.starts_with(folder))
        && !name.starts_with("media/src/io.rs")
        && !name.starts_with("media/src/io/")
}

fn says_nothing(name: &str) -> bool {
    name.split('/').any(|part| {
        [
            "mod.rs",
            "utils.rs",
            "util.rs",
            "helpers.rs",
            "common.rs",
            "utils",
            "helpers",
            "types",
            "common",
        ]
        .contains(&part)
    })
}

/// Where the tests below the code begin; the end where there are none.
fn start_of_tests(code: &str) -> usize {
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]") {
        let start = from + at;
        let line_start = start == 0 || code.as_bytes()[start - 1] == b'\n';
        let rest = code[start..].trim_start_matches("#[cfg(test)]").trim_start();
        if line_start && (rest.starts_with("mod ") || rest.starts_with("#[")) && rest.contains('{')
        {
            return start;
        }
        from = start + 1;
    }
    code.len()
}

fn line_of(code: &str, word: &str) -> Option<usize> {
    let at = position(code, word)?;
    Some(code[..at].matches('\n').count() + 1)
}

fn names(code: &str, word: &str) -> bool {
    position(code, word).is_some()
}

/// Where `word` stands by itself: not as a part of a longer name.
fn position(code: &str, word: &str) -> Option<usize> {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = code[..at].chars().next_back().is_some_and(part_of_name);
        let after = code[at + word.len()..].chars().next().is_some_and(part_of_name);
        !(before && word.starts_with(part_of_name) || after && word.ends_with(part_of_name))
    })
}

/// Whether a line names a folder that exists on somebody's machine only.
fn names_one_machine(line: &str) -> bool {
    let standing_alone = |at: usize| {
        !line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "_.-/".contains(c))
    };
    [
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/tmp/bash", "_jobs"),
    ]
    .iter()
    .any(|path| line.match_indices(path).any(|(at, _)| standing_alone(at)))
}

/// The source with comments, strings and characters blanked; lines stay where they are.
fn code_only(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = token_end(&characters, at);
        if end == at {
            code.push(characters[at]);
            at += 1;
        } else {
            code.extend(characters[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// The end of the comment, string or character that begins at `at`; `at` itself where none begins there.
fn token_end(text: &[char], at: usize) -> usize {
    let next = |ahead: usize| text.get(at + ahead).copied().unwrap_or('\0');
    let inside_name = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    match text[at] {
        '/' if next(1) == '/' => at + text[at..].iter().take_while(|c| **c != '\n').count(),
        '/' if next(1) == '*' => block_comment_end(text, at),
        '"' => quoted_end(text, at, '"'),
        'r' if !inside_name => raw_string_end(text, at, 1),
        'b' if !inside_name && next(1) == 'r' => raw_string_end(text, at, 2),
        // A lifetime has no closing quote two characters on; a character or an escape has.
        '\'' if next(1) == '\\' || next(2) == '\'' => quoted_end(text, at, '\''),
        _ => at,
    }
}

fn block_comment_end(text: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

fn quoted_end(text: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != quote {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

fn raw_string_end(text: &[char], start: usize, prefix: usize) -> usize {
    let hashes = text[start + prefix..].iter().take_while(|c| **c == '#').count();
    let open = start + prefix + hashes;
    if text.get(open) != Some(&'"') {
        return start;
    }
    let mut at = open + 1;
    while at < text.len() {
        let closing = text[at + 1..].iter().take(hashes).filter(|c| **c == '#').count();
        if text[at] == '"' && closing == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    text.len()
}
