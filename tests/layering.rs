//! The rules of the workspace, read from its files: who may depend on whom, who owns which outside crate, what a pure
//! crate may not touch, how long a file may be. The second half breaks each rule once in a fixture and sees it found.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "layering/fixture.rs"]
mod fixture;
#[path = "layering/manifests.rs"]
mod manifests;
#[path = "layering/sources.rs"]
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use fixture::Fixture;

#[test]
fn the_workspace_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let breaches = breaches(root);
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn a_workspace_that_keeps_the_rules_is_not_accused() {
    let fixture = Fixture::new();
    assert_eq!(breaches(fixture.root()), Vec::<String>::new());
}

#[test]
fn a_dependency_against_the_direction_is_found() {
    let fixture = Fixture::new();
    fixture.depend("sip-core", "dependencies", "conference.workspace = true");
    fixture.found("sip-core may not depend on conference");
}

#[test]
fn a_development_dependency_on_a_higher_crate_is_found() {
    let fixture = Fixture::new();
    fixture.depend("conference", "dev-dependencies", "engine.workspace = true");
    fixture.found("conference may not depend on engine");
}

#[test]
fn the_window_may_not_reach_below_the_engine() {
    let fixture = Fixture::new();
    fixture.depend("app", "dependencies", "sip-core.workspace = true");
    fixture.found("app may not depend on sip-core");
}

#[test]
fn the_testkit_in_a_program_is_found() {
    let fixture = Fixture::new();
    fixture.depend("cli", "dependencies", "testkit.workspace = true");
    fixture.found("cli may not depend on testkit");
}

#[test]
fn the_testkit_in_a_unit_test_is_found() {
    let fixture = Fixture::new();
    fixture.append("crates/conference/src/lib.rs", "mod tests { use testkit::Net; }\n");
    fixture.found("conference/src/lib.rs: testkit is for integration tests");
}

#[test]
fn an_outside_crate_in_the_wrong_hands_is_found() {
    let fixture = Fixture::new();
    fixture.depend("conference", "dependencies", "rusqlite.workspace = true");
    fixture.found("conference may not use rusqlite: it belongs to engine");
}

#[test]
fn an_outside_crate_without_an_owner_is_found() {
    let fixture = Fixture::new();
    fixture.depend("engine", "dependencies", "left-pad = \"1\"");
    fixture.found("engine uses left-pad, which has no owner");
}

#[test]
fn a_renamed_outside_crate_is_found_by_its_real_name() {
    let fixture = Fixture::new();
    fixture.depend("sip-core", "dependencies", "clock = { package = \"tokio\", version = \"1\" }");
    fixture.found("sip-core is pure and may not use tokio");
}

#[test]
fn a_dependency_of_one_platform_is_read_too() {
    let fixture = Fixture::new();
    fixture.depend("conference", "target.'cfg(unix)'.dependencies", "tokio = \"1\"");
    fixture.found("conference is pure and may not use tokio");
}

#[test]
fn what_touches_the_world_is_found_in_each_pure_crate() {
    for (pure, outside) in [
        ("sip-core", "tokio"),
        ("sip-core", "cpal"),
        ("conference", "futures"),
        ("conference", "iced"),
        ("media", "tokio"),
    ] {
        let fixture = Fixture::new();
        fixture.depend(pure, "dependencies", &format!("{outside}.workspace = true"));
        fixture.found(&format!("{pure} is pure and may not use {outside}"));
    }
}

#[test]
fn a_sound_card_outside_of_the_feature_io_is_found() {
    let fixture = Fixture::new();
    fixture.depend("media", "dependencies", "cpal.workspace = true");
    fixture.found("media may use cpal only as an optional dependency of its feature io");
}

#[test]
fn a_ban_that_a_pure_crate_forgot_is_found() {
    let fixture = Fixture::new();
    fixture.replace("crates/conference/clippy.toml", "std::time::Instant::now", "std::mem::swap");
    fixture.found("conference/clippy.toml does not ban std::time::Instant::now");
}

#[test]
fn a_root_setting_that_a_pure_crate_forgot_is_found() {
    let fixture = Fixture::new();
    fixture.replace("crates/media/clippy.toml", "allow-unwrap-in-tests = true", "");
    fixture.found("media/clippy.toml does not repeat allow-unwrap-in-tests = true");
}

#[test]
fn a_pure_crate_without_its_own_clippy_toml_is_found() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.root().join("crates/sip-core/clippy.toml")).unwrap();
    fixture.found("sip-core/clippy.toml is missing");
}

#[test]
fn a_crate_outside_of_the_lints_is_found() {
    let fixture = Fixture::new();
    fixture.replace("crates/engine/Cargo.toml", "[lints]\nworkspace = true", "");
    fixture.found("engine does not take the lints of the workspace");
}

#[test]
fn a_crate_that_nobody_placed_is_found() {
    let fixture = Fixture::new();
    fixture
        .add("crates/misc/Cargo.toml", "[package]\nname = \"misc\"\n[lints]\nworkspace = true\n");
    fixture.found("misc has no place in the layering");
}

#[test]
fn rsip_outside_of_the_message_layer_is_found() {
    let fixture = Fixture::new();
    fixture.append("crates/sip-core/src/lib.rs", "use rsip::Method;\n");
    fixture.found("sip-core/src/lib.rs: rsip is named outside of sip-core/src/message");
    let fixture = Fixture::new();
    fixture.add("crates/sip-core/src/message/method.rs", "//! Methods.\nuse rsip::Method;\n");
    assert_eq!(breaches(fixture.root()), Vec::<String>::new());
}

#[test]
fn a_clock_a_file_a_socket_in_a_pure_crate_is_found() {
    for touch in [
        "fn f() { std::time::Instant::now(); }\n",
        "use std::time::SystemTime;\nfn f() { SystemTime::now(); }\n",
        "use std::fs;\n",
        "fn f() { std::env::var(\"HOME\"); }\n",
        "use std::net::{IpAddr, UdpSocket};\n",
        "fn f() { rand::rng(); }\n",
        "fn f() { std::thread::spawn(|| ()); }\n",
    ] {
        for place in ["conference/src/lib.rs", "media/src/lib.rs", "sip-core/src/message.rs"] {
            let fixture = Fixture::new();
            fixture.append(&format!("crates/{place}"), touch);
            fixture.found(&format!("{place}: a pure crate may not name"));
        }
    }
}

#[test]
fn the_io_feature_and_tests_may_touch_the_world() {
    let fixture = Fixture::new();
    fixture.add("crates/media/src/io.rs", "//! Devices.\nuse std::net::UdpSocket;\n");
    fixture.add("crates/media/src/io/clock.rs", "//! Time.\nuse std::fs;\n");
    fixture.append(
        "crates/conference/src/lib.rs",
        "#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n    fn f() { Instant::now(); }\n}\n",
    );
    assert_eq!(breaches(fixture.root()), Vec::<String>::new());
}

#[test]
fn unfinished_code_and_skipped_tests_are_found_anywhere() {
    for (unfinished, name) in [
        (concat!("fn f() { to", "do!() }\n"), concat!("to", "do!")),
        (concat!("fn f() { unimple", "mented!(\"later\") }\n"), concat!("unimple", "mented!")),
        (concat!("#[ig", "nore]\nfn f() {}\n"), concat!("#[ig", "nore]")),
        (concat!("#[ig", "nore = \"slow\"]\nfn f() {}\n"), concat!("#[ig", "nore]")),
    ] {
        for place in ["crates/engine/src/lib.rs", "crates/engine/tests/whole.rs", "tests/story.rs"]
        {
            let fixture = Fixture::new();
            fixture.append(place, unfinished);
            fixture.found(&format!("{name} stands in"));
        }
    }
}

#[test]
fn words_in_comments_and_strings_are_not_code() {
    let fixture = Fixture::new();
    fixture.append(
        "crates/sip-core/src/lib.rs",
        concat!(
            "// rsip::Method and to",
            "do!() and std::fs are words here\n/* unimple",
            "mented!() */\n",
            "const TEXT: &str = \"Instant::now() rsip::x\";\n",
            "const RAW: &str = r#\"std::fs \" to",
            "do!()\"#;\nconst QUOTE: char = '\"';\nfn f<'a>(x: &'a str) {}\n",
        ),
    );
    assert_eq!(breaches(fixture.root()), Vec::<String>::new());
    fixture.append("crates/sip-core/src/lib.rs", "use std::fs;\n");
    fixture.found("a pure crate may not name std::fs");
}

#[test]
fn a_file_that_is_too_long_is_found_and_tests_do_not_count() {
    let fixture = Fixture::new();
    fixture.add("crates/engine/src/long.rs", &format!("//! Long.\n{}", "// line\n".repeat(799)));
    assert_eq!(breaches(fixture.root()), Vec::<String>::new());
    fixture.append("crates/engine/src/long.rs", "#[cfg(test)]\nmod tests {\n}\n");
    fixture.add("crates/engine/tests/long.rs", &format!("//! Long.\n{}", "// line\n".repeat(2000)));
    assert_eq!(breaches(fixture.root()), Vec::<String>::new());
    fixture.replace("crates/engine/src/long.rs", "#[cfg(test)]", "// one more");
    fixture.found("engine/src/long.rs has 803 lines");
}

#[test]
fn an_actor_that_does_more_than_route_is_found() {
    let fixture = Fixture::new();
    fixture.add("crates/engine/src/actor.rs", &format!("//! Routes.\n{}", "// line\n".repeat(400)));
    fixture.found("engine/src/actor.rs has 401 lines");
}

#[test]
fn a_file_that_does_not_say_what_it_owns_is_found() {
    let fixture = Fixture::new();
    fixture.add("crates/engine/src/quiet.rs", "use std::fs;\n");
    fixture.found("engine/src/quiet.rs does not open with //!");
}

#[test]
fn names_that_say_nothing_are_found() {
    for name in ["utils.rs", "helpers.rs", "common.rs", "calls/mod.rs", "types/call.rs"] {
        let fixture = Fixture::new();
        fixture.add(&format!("crates/engine/src/{name}"), "//! Things.\n");
        fixture.found(&format!("engine/src/{name}: a name that says nothing"));
    }
}

#[test]
fn paths_of_one_machine_are_found_in_every_kind_of_file() {
    for path in [
        concat!("/wo", "rk/main"),
        concat!("`/ho", "me/anna/parlour`"),
        concat!("cd /ro", "ot/x"),
        concat!("/tmp/bash", "_jobs.0/7"),
    ] {
        for place in ["README.md", "Makefile", "docs/notes.md", "crates/engine/src/lib.rs"] {
            let fixture = Fixture::new();
            fixture.append(place, &format!("// see {path}\n"));
            fixture.found(&format!("{place}: a path of one machine"));
        }
    }
}

#[test]
fn addresses_that_only_look_like_paths_are_left_alone() {
    let fixture = Fixture::new();
    fixture.append(
        "README.md",
        concat!(
            "https://example.org/wo",
            "rk/a and /ho",
            "mepage and crates/ho",
            "me/x/ and a/ro",
            "ot/\n"
        ),
    );
    assert_eq!(breaches(fixture.root()), Vec::<String>::new());
}

/// All breaches of the workspace at `root`, in a fixed order.
fn breaches(root: &Path) -> Vec<String> {
    let mut found = manifests::breaches(root);
    found.extend(sources::breaches(root));
    found
}

/// Folders of what is made here and not kept: builds, the demonstration's, and the fuzzer's.
const MADE: &[&str] = &["artifacts", "corpus", "coverage", "demo-out", "target"];

/// Every file below `folder`, sorted, without build results and version control.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => return found,
    };
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_symlink()
            || name == ".git"
            || (entry.is_dir() && MADE.iter().any(|made| name == *made))
        {
            continue;
        }
        if entry.is_dir() {
            found.extend(files(&entry));
        } else {
            found.push(entry);
        }
    }
    found
}
