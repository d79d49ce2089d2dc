//! What the Cargo.toml files may say: direction, owners, purity, lints; and that clippy.toml of each pure crate repeats
//! the bans.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// Which crates of ours each crate may name. In tests it may also name what these name, and the testkit.
const DIRECTION: &[(&str, &[&str])] = &[
    ("app", &["conference", "engine"]),
    ("cli", &["conference", "engine"]),
    ("conference", &["sip-core"]),
    ("engine", &["conference", "media", "sip-core", "sip-net"]),
    ("media", &[]),
    ("sip-core", &[]),
    ("sip-net", &["sip-core"]),
    ("testkit", &["conference", "media", "sip-core"]),
    ("stories", &["conference", "engine", "media", "sip-core", "sip-net", "testkit"]),
];

/// Who may name which outside crate: its owner first. docs/dependencies.md says why each is there.
const OWNERS: &[(&str, &[&str])] = &[
    ("anyhow", &["app", "cli"]),
    ("audiopus", &["media"]),
    ("base64", &["sip-core"]),
    ("bytes", &["sip-core", "sip-net", "testkit"]),
    ("clap", &["cli"]),
    ("cpal", &["media"]),
    ("ctrlc", &["cli"]),
    ("directories", &["engine", "app"]),
    ("encoding_rs", &["conference"]),
    ("epaint_default_fonts", &["app"]),
    ("flate2", &["conference"]),
    ("futures", &["engine", "app", "cli"]),
    ("hickory-resolver", &["sip-net"]),
    ("hound", &["media"]),
    ("iced", &["app"]),
    ("indexmap", &["sip-core", "conference"]),
    ("linkify", &["conference"]),
    ("memchr", &["sip-core"]),
    ("md-5", &["sip-core"]),
    ("nix", &["media", "sip-net"]),
    ("notify-rust", &["app"]),
    ("open", &["app"]),
    ("quick-xml", &["conference"]),
    ("rand", &["sip-core", "conference", "media", "engine", "testkit"]),
    ("rand_chacha", &["testkit"]),
    ("rfd", &["app"]),
    ("rsip", &["sip-core"]),
    ("rtrb", &["media"]),
    ("rubato", &["media"]),
    ("rusqlite", &["engine"]),
    ("rustls-native-certs", &["sip-net"]),
    ("rustls-webpki", &["sip-net"]),
    ("serde", &["engine", "cli"]),
    ("serde_json", &["engine", "cli"]),
    ("sha2", &["sip-core"]),
    ("socket2", &["sip-net", "media"]),
    ("ssh-key", &["conference"]),
    ("thread-priority", &["media"]),
    ("thiserror", &["sip-core", "sip-net", "media", "conference", "engine"]),
    ("time", &["conference", "engine", "app", "testkit"]),
    ("tokio", &["sip-net", "engine"]),
    ("tokio-rustls", &["sip-net"]),
    ("toml", &["engine"]),
    ("tracing", &["sip-core", "sip-net", "media", "conference", "engine", "app", "cli"]),
    ("tracing-subscriber", &["app", "cli"]),
    ("unicode-bidi", &["conference"]),
    ("unicode-normalization", &["conference"]),
    ("unicode-security", &["conference"]),
    ("unicode-segmentation", &["conference", "app"]),
];

/// Crates that only tests and benches use, whoever they belong to.
const FOR_TESTS: &[&str] = &[
    "allocation-counter",
    "allocation-counter",
    "assert_no_alloc",
    "criterion",
    "hound",
    "iced_test",
    "insta",
    "proptest",
    "quick-xml",
    "rand",
    "rand_chacha",
    "rcgen",
    "serde_json",
    "tempfile",
    "toml",
    "x11rb",
    "zbus",
];

const PURE: &[&str] = &["conference", "media", "sip-core"];

/// What no pure crate may name, in tests neither.
const IMPURE: &[&str] =
    &["async-io", "async-std", "cpal", "futures", "iced", "mio", "smol", "tokio"];

/// What media may name, but only behind its feature `io`.
const BEHIND_IO: &[&str] = &["cpal", "hound", "nix", "socket2", "thread-priority"];

/// Calls and types that each pure crate's clippy.toml must ban.
const BANS: &[(&str, &[&str])] = &[
    (
        "disallowed-methods",
        &[
            "rand::rng",
            "std::env::var",
            "std::fs::File::open",
            "std::fs::read",
            "std::thread::sleep",
            "std::time::Instant::now",
            "std::time::SystemTime::now",
        ],
    ),
    ("disallowed-types", &["std::net::TcpStream", "std::net::UdpSocket"]),
];

/// One line of a Cargo.toml's dependency tables.
struct Dependency {
    /// The crate's real name, also where it is renamed.
    name: String,
    for_tests: bool,
    optional: bool,
}

/// All breaches that the manifests and clippy.toml files show.
pub fn breaches(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, manifest) in manifests(root) {
        let name = manifest["package"]["name"].as_str().unwrap_or_default().to_owned();
        if lookup(DIRECTION, &name).is_none() {
            found.push(format!("{name} has no place in the layering: add it to DIRECTION"));
            continue;
        }
        let takes_lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if takes_lints.and_then(Value::as_bool) != Some(true) {
            found.push(format!("{name} does not take the lints of the workspace"));
        }
        for dependency in dependencies(&manifest) {
            found.extend(judge(&name, &dependency, &manifest));
        }
        if PURE.contains(&name.as_str()) {
            found.extend(clippy_breaches(root, &folder, &name));
        }
    }
    found
}

/// Folder and content of every member's Cargo.toml.
fn manifests(root: &Path) -> BTreeMap<String, Table> {
    let mut found = BTreeMap::new();
    let mut folders = vec!["tests".to_owned()];
    let mut crates: Vec<_> =
        fs::read_dir(root.join("crates")).unwrap().map(|e| e.unwrap()).collect();
    crates.sort_by_key(fs::DirEntry::file_name);
    folders.extend(crates.iter().map(|e| format!("crates/{}", e.file_name().to_string_lossy())));
    for folder in folders {
        if let Ok(text) = fs::read_to_string(root.join(&folder).join("Cargo.toml")) {
            found.insert(folder, text.parse::<Table>().unwrap());
        }
    }
    found
}

fn dependencies(manifest: &Table) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut tables = vec![manifest];
    if let Some(Value::Table(targets)) = manifest.get("target") {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    for table in tables {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(Value::Table(entries)) = table.get(kind) else { continue };
            for (key, value) in entries {
                let name = value.get("package").and_then(Value::as_str).unwrap_or(key);
                found.push(Dependency {
                    name: name.to_owned(),
                    for_tests: kind == "dev-dependencies",
                    optional: value.get("optional").and_then(Value::as_bool) == Some(true),
                });
            }
        }
    }
    found
}

fn judge(name: &str, dependency: &Dependency, manifest: &Table) -> Option<String> {
    let other = dependency.name.as_str();
    if lookup(DIRECTION, other).is_some() {
        let mut allowed: BTreeSet<&str> = lookup(DIRECTION, name)?.iter().copied().collect();
        if dependency.for_tests {
            allowed = below(name);
            allowed.extend(["testkit", name]);
        }
        return (!allowed.contains(other)).then(|| format!("{name} may not depend on {other}"));
    }
    if PURE.contains(&name) && IMPURE.contains(&other) && !(name == "media" && other == "cpal") {
        return Some(format!("{name} is pure and may not use {other}"));
    }
    if name == "media" && BEHIND_IO.contains(&other) && !dependency.for_tests {
        let behind = dependency.optional && in_io_only(manifest, other);
        return (!behind).then(|| {
            format!("media may use {other} only as an optional dependency of its feature io")
        });
    }
    if dependency.for_tests && FOR_TESTS.contains(&other) {
        return None;
    }
    match lookup(OWNERS, other) {
        // A test may use what its own crate's neighbours use, never what a pure crate may not (above).
        Some(owners) if owners.contains(&name) || (dependency.for_tests && name == "stories") => {
            None
        }
        Some(owners) => Some(format!("{name} may not use {other}: it belongs to {}", owners[0])),
        None if FOR_TESTS.contains(&other) => Some(format!("{name} may use {other} in tests only")),
        None => Some(format!("{name} uses {other}, which has no owner: add it to OWNERS")),
    }
}

/// Whether the feature `io`, and no other, switches `dependency` on.
fn in_io_only(manifest: &Table, dependency: &str) -> bool {
    let Some(Value::Table(features)) = manifest.get("features") else { return false };
    let wanted = format!("dep:{dependency}");
    let names: Vec<&str> = features
        .iter()
        .filter(|(_, parts)| {
            parts.as_array().is_some_and(|parts| {
                parts.iter().any(|part| part.as_str() == Some(wanted.as_str()))
            })
        })
        .map(|(name, _)| name.as_str())
        .collect();
    names == ["io"]
}

/// Every crate of ours that `name` reaches.
fn below(name: &str) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = lookup(DIRECTION, name).unwrap_or_default().to_vec();
    while let Some(next) = open.pop() {
        if let Some((next, further)) = DIRECTION.iter().find(|(crate_name, _)| *crate_name == next)
            && reached.insert(*next)
        {
            open.extend(further.iter());
        }
    }
    reached
}

/// The nearest clippy.toml wins and is not merged: each repeats the root's settings and sets the bans.
fn clippy_breaches(root: &Path, folder: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(own) = fs::read_to_string(root.join(folder).join("clippy.toml")) else {
        return vec![format!("{name}/clippy.toml is missing")];
    };
    let own: Table = own.parse().unwrap();
    let shared: Table = fs::read_to_string(root.join("clippy.toml")).unwrap().parse().unwrap();
    for (key, value) in &shared {
        if own.get(key) != Some(value) {
            found.push(format!("{name}/clippy.toml does not repeat {key} = {value}"));
        }
    }
    for (list, paths) in BANS {
        let banned: Vec<&str> = own
            .get(*list)
            .and_then(Value::as_array)
            .map(|entries| entries.iter().filter_map(banned_path).collect())
            .unwrap_or_default();
        for path in paths.iter().filter(|path| !banned.contains(path)) {
            found.push(format!("{name}/clippy.toml does not ban {path}"));
        }
    }
    found
}

fn banned_path(entry: &Value) -> Option<&str> {
    entry.as_str().or_else(|| entry.get("path").and_then(Value::as_str))
}

fn lookup(
    table: &'static [(&'static str, &'static [&'static str])],
    key: &str,
) -> Option<&'static [&'static str]> {
    table.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}
