//! The table of docs/interop.md that `make interop` writes: what each phone did, and whether it still does.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

const BEGIN: &str = "| phone | version | feature | result | command |\n|---|---|---|---|---|\n";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/interop.md");

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The phone.
    pub phone: String,
    /// Its version.
    pub version: String,
    /// What was tried.
    pub feature: String,
    /// What came of it.
    pub result: String,
}

/// Puts what a story measured in the place of what the table says of it, and fails where that differs.
#[track_caller]
pub fn record(story: &str, rows: &[Row]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let file = Path::new(FILE);
    let text = fs::read_to_string(file).expect("docs/interop.md is there");
    let begin = text.find(BEGIN).expect("docs/interop.md has the table") + BEGIN.len();
    let end = text[begin..].find("\n\n").map_or(text.len(), |end| begin + end + 1);
    let command = format!("| `make interop ONLY=\"--test phones {story}\"` |");
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let written: Vec<String> = rows
        .iter()
        .map(|row| {
            let [phone, version, feature, result] =
                [&row.phone, &row.version, &row.feature, &row.result].map(|text| cell(text));
            format!("| {phone} | {version} | {feature} | {result} {command}\n")
        })
        .collect();
    let written = written.concat();
    let table: Vec<&str> = text[begin..end].split_inclusive('\n').collect();
    let is_ours = |line: &&&str| line.trim_end().ends_with(&command);
    let before: String = table.iter().filter(is_ours).copied().collect();
    if before == written {
        return;
    }
    let place = table.iter().position(|line| is_ours(&line)).unwrap_or(table.len());
    let others = |lines: &[&str]| -> String {
        lines.iter().filter(|line| !is_ours(line)).copied().collect()
    };
    let (first, last) = (others(&table[..place]), others(&table[place..]));
    fs::write(file, format!("{}{first}{written}{last}{}", &text[..begin], &text[end..])).unwrap();
    panic!("docs/interop.md said\n{before}\nand now says\n{written}");
}
