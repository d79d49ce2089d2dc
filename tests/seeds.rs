//! The committed seeds of fuzzing, through every target: each, and each cut off at many places.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod targets;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_seeds_of_every_target_and_their_beginnings_do_no_harm() {
    for (name, run) in targets::TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            run(&seed);
            let step = (seed.len() / 400).max(1);
            (0..seed.len()).step_by(step).for_each(|end| run(&seed[..end]));
        }
    }
}
