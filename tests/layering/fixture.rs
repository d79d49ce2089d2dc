//! A small workspace of the same shape in a temporary folder, which keeps every rule until a test breaks one.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// The workspace; gone when dropped.
pub struct Fixture(TempDir);

impl Fixture {
    /// A workspace that keeps every rule.
    pub fn new() -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        fixture.add("Cargo.toml", "[workspace]\nmembers = [\"crates/*\", \"tests\"]\n");
        fixture
            .add("clippy.toml", "too-many-lines-threshold = 100\nallow-unwrap-in-tests = true\n");
        fixture.add("README.md", "# A workspace\n");
        fixture.add("Makefile", "test:\n");
        fixture.add("docs/notes.md", "Notes.\n");
        for (name, depends_on) in [
            ("app", "engine.workspace = true\niced.workspace = true"),
            ("cli", "engine.workspace = true"),
            ("conference", "sip-core.workspace = true"),
            ("engine", "conference.workspace = true\nmedia.workspace = true"),
            ("media", "hound = { workspace = true, optional = true }"),
            ("sip-core", "rsip.workspace = true"),
            ("sip-net", "sip-core.workspace = true\ntokio.workspace = true"),
            ("testkit", "conference.workspace = true"),
        ] {
            let features = if name == "media" { "[features]\nio = [\"dep:hound\"]\n" } else { "" };
            fixture.add(
                &format!("crates/{name}/Cargo.toml"),
                &format!(
                    "[package]\nname = \"{name}\"\n\n[lints]\nworkspace = true\n\n{features}\n\
                     [dependencies]\n{depends_on}\n"
                ),
            );
            fixture.add(&format!("crates/{name}/src/lib.rs"), "//! A crate.\n");
        }
        for pure in ["conference", "media", "sip-core"] {
            fixture.add(&format!("crates/{pure}/clippy.toml"), CLIPPY);
        }
        fixture.add("crates/sip-core/src/message.rs", "//! Messages.\nuse rsip::Method;\n");
        fixture.add("crates/engine/tests/whole.rs", "//! The whole.\n");
        fixture.add(
            "tests/Cargo.toml",
            "[package]\nname = \"stories\"\n[lints]\nworkspace = true\n\
             [dev-dependencies]\nengine.workspace = true\ntestkit.workspace = true\n",
        );
        fixture.add("tests/story.rs", "//! A story.\n");
        fixture
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub fn add(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds text at the end of a file.
    pub fn append(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.root().join(path)).unwrap();
        self.add(path, &format!("{old}{text}"));
    }

    /// Replaces a text that must be there.
    pub fn replace(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.root().join(path)).unwrap();
        assert!(text.contains(old), "{path} has no {old}");
        self.add(path, &text.replace(old, new));
    }

    /// Adds a line to one of a crate's dependency tables.
    pub fn depend(&self, crate_name: &str, table: &str, line: &str) {
        let path = format!("crates/{crate_name}/Cargo.toml");
        let text = fs::read_to_string(self.root().join(&path)).unwrap();
        let head = format!("[{table}]\n");
        let text = match text.find(&head) {
            Some(at) => {
                let (before, after) = text.split_at(at + head.len());
                format!("{before}{line}\n{after}")
            }
            None => format!("{text}\n{head}{line}\n"),
        };
        self.add(&path, &text);
    }

    /// Asserts that exactly one breach is found and that it says `what`.
    #[track_caller]
    pub fn found(&self, what: &str) {
        let breaches = crate::breaches(self.root());
        assert!(
            breaches.len() == 1 && breaches[0].contains(what),
            "expected the one breach `{what}`, found {breaches:?}"
        );
    }
}

const CLIPPY: &str = r#"
too-many-lines-threshold = 100
allow-unwrap-in-tests = true
disallowed-methods = [
    "rand::rng", "std::env::var", "std::fs::File::open", "std::fs::read", "std::thread::sleep",
    { path = "std::time::Instant::now", reason = "time is a parameter" }, "std::time::SystemTime::now",
]
disallowed-types = ["std::net::TcpStream", "std::net::UdpSocket"]
"#;
