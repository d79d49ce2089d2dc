//! The real window under Xvfb, used as a person uses it: typed into and clicked by xdotool, looked at pixel by pixel.
//! `make interop` runs it; it needs Xvfb, xdotool, ImageMagick and xclip. PARLOUR_PICTURES names a folder for pictures.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
}

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ends::cli::{Cli, path};
use ends::process::{Program, within};
use serde_json::{Value, json};
use tempfile::TempDir;

const WIDTH: usize = 1080;
const HEIGHT: usize = 700;
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE  carol@laptop\t#1";
const URL: &str = "https://example.org/wiki/Restart_(edge)";
/// The accent colours of both themes.
const ACCENT_LIGHT: [u8; 3] = [0x0B, 0x57, 0xD0];
const PATIENCE: Duration = Duration::from_secs(15);

/// One window at a time: two display servers that start together may pick the same display.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A display, the window on it, and what its opener was given.
struct Desk {
    window: Program,
    server: Child,
    display: String,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// A picture as rows of pixels.
struct Picture {
    pixels: Vec<[u8; 3]>,
    width: usize,
}

impl Desk {
    fn open(arguments: &[&str]) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let (server, display) = start_server(folder.path());
        let opener = folder.path().join("xdg-open");
        std::fs::write(
            &opener,
            format!("#!/bin/sh\nprintf '%s' \"$1\" > '{}/opened'\n", folder.path().display()),
        )
        .unwrap();
        std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
        let search = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(path().with_file_name("parlour"));
        command
            .args(["--json", "--listen", "127.0.0.1:0", "--audio", "silence", "--data-folder"])
            .arg(folder.path().join("data"))
            .args(arguments)
            .env("DISPLAY", &display)
            .env("PATH", search)
            .env("ICED_BACKEND", "tiny-skia")
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
        let window = Program::start("parlour", &mut command);
        let desk = Self { window, server, display, folder, _turn: turn };
        // There is no window manager: size and keyboard are given by hand, once the window is on the screen.
        let mut id = String::new();
        let shown = within(PATIENCE, || {
            let found =
                desk.tool("xdotool", &["search", "--onlyvisible", "--name", "Parlour|Weekly"]);
            found.lines().next().unwrap_or_default().clone_into(&mut id);
            !id.is_empty()
        });
        assert!(shown, "no window\n{}", desk.window.tail());
        desk.tool("xdotool", &["windowsize", &id, &WIDTH.to_string(), &HEIGHT.to_string()]);
        let focused = within(PATIENCE, || {
            desk.tool("xdotool", &["windowfocus", &id]);
            thread::sleep(Duration::from_millis(100));
            desk.tool("xdotool", &["getwindowfocus"]).trim() == id
        });
        assert!(focused, "the window does not take the keyboard");
        thread::sleep(Duration::from_millis(500));
        desk
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env("DISPLAY", &self.display).output();
        let output = output
            .unwrap_or_else(|error| panic!("{program} cannot be started ({error}): is it there?"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn events(&self) -> Vec<Value> {
        self.window.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn expect(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        within(PATIENCE, || {
            found = self.events().into_iter().find(|event| so(event));
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("the window never told: {what}\n{}", self.window.tail()))
    }

    fn look(&self) -> Picture {
        let output = Command::new("import")
            .args(["-window", "root", "-depth", "8", "rgb:-"])
            .env("DISPLAY", &self.display)
            .output()
            .expect("import of ImageMagick cannot be started: is it there?");
        let pixels =
            output.stdout.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Picture { pixels, width: WIDTH }
    }

    /// Keeps a picture for people.
    fn keep(&self, name: &str) {
        if let Some(folder) = std::env::var_os("PARLOUR_PICTURES") {
            let file = PathBuf::from(folder).join(format!("{name}.png"));
            self.tool("import", &["-window", "root", &file.to_string_lossy()]);
        }
    }

    fn click(&self, x: usize, y: usize) {
        self.tool("xdotool", &["mousemove", &x.to_string(), &y.to_string()]);
        thread::sleep(Duration::from_millis(200));
        self.tool("xdotool", &["click", "1"]);
        thread::sleep(Duration::from_millis(400));
    }

    fn opened(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("opened")).ok()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The window first: it ends with its display otherwise, and says so loudly.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Picture {
    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.pixels.get(y * self.width + x).copied().unwrap_or_default()
    }

    /// The first run of at least `length` pixels of a colour in a row of the area, whose next `rows` rows have it too.
    fn run(
        &self,
        color: [u8; 3],
        length: usize,
        rows: usize,
        area: (usize, usize, usize, usize),
    ) -> Option<(usize, usize)> {
        let (left, top, right, bottom) = area;
        let is = |x: usize, y: usize| {
            self.at(x, y).iter().zip(color).all(|(one, two)| one.abs_diff(two) < 12)
        };
        (top..bottom).find_map(|y| {
            let mut count = 0;
            (left..right).find_map(|x| {
                count = if is(x, y) { count + 1 } else { 0 };
                let middle = x + 1 - count.min(x) + count / 2;
                let tall = || (y..y + rows).all(|y| is(x - length / 2, y) || is(x, y));
                (count == length && tall()).then_some((middle, y))
            })
        })
    }

    /// The middle of what differs between two pictures.
    fn difference(
        &self,
        other: &Self,
        area: (usize, usize, usize, usize),
    ) -> Option<(usize, usize)> {
        let (left, top, right, bottom) = area;
        let spots: Vec<(usize, usize)> = (top..bottom)
            .flat_map(|y| (left..right).map(move |x| (x, y)))
            .filter(|(x, y)| self.at(*x, *y) != other.at(*x, *y))
            .collect();
        let xs = (spots.iter().map(|spot| spot.0).min()?, spots.iter().map(|spot| spot.0).max()?);
        let ys = (spots.iter().map(|spot| spot.1).min()?, spots.iter().map(|spot| spot.1).max()?);
        Some((usize::midpoint(xs.0, xs.1), usize::midpoint(ys.0, ys.1)))
    }
}

fn start_server(folder: &Path) -> (Child, String) {
    let number = folder.join("display");
    let file = std::fs::File::create(&number).unwrap();
    let screen = format!("{WIDTH}x{HEIGHT}x24");
    let server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp"])
        .stdout(file)
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb cannot be started: is it there?");
    let read = || std::fs::read_to_string(&number).unwrap_or_default();
    assert!(within(PATIENCE, || read().ends_with('\n')), "Xvfb does not say its display");
    (server, format!(":{}", read().trim()))
}

fn join(name: &str, conference: &str) -> Cli {
    Cli::start(
        name,
        &["join", conference, "--listen", "127.0.0.1:0", "--name", name, "--audio", "silence"],
    )
}

/// The chat: right of the people, below the tabs, above the composer.
const CHAT: (usize, usize, usize, usize) = (360, 110, 1060, 530);

#[test]
fn a_link_reaches_the_opener_and_a_key_is_copied_byte_for_byte() {
    for theme in ["light", "dark"] {
        let desk = Desk::open(&["--name", "Anna", "--host", "Weekly ops", "--theme", theme]);
        let ready = desk.expect("ready", |event| event["event"] == "ready");
        let conference = ready["conference"].as_str().unwrap().to_owned();
        let mut carol = join("Carol", &conference);
        carol.ready();
        carol.say(&format!("The steps are in {URL}."));
        desk.expect("the link", |event| {
            event["event"] == "message" && event["text"].as_str().unwrap().contains(URL)
        });
        carol.say(KEY);
        desk.expect("the key", |event| event["event"] == "message" && event["text"] == KEY);
        thread::sleep(Duration::from_millis(700));
        desk.keep(&format!("conference-{theme}"));
        if theme == "dark" {
            continue;
        }

        let (x, y) =
            desk.look().run(ACCENT_LIGHT, 120, 1, CHAT).expect("no underlined link is shown");
        desk.click(x, y - 6);
        desk.keep("link");
        assert_eq!(desk.opened(), None, "a link opens only after its address was shown");
        let (x, y) = desk
            .look()
            .run(ACCENT_LIGHT, 100, 6, (300, 200, 900, 560))
            .expect("no button to open it");
        desk.click(x, y + 8);
        assert!(within(PATIENCE, || desk.opened().is_some()), "nothing was opened");
        assert_eq!(desk.opened().as_deref(), Some(URL));

        // The pointer on the message brings its Copy button.
        desk.tool("xdotool", &["mousemove", "100", "400"]);
        thread::sleep(Duration::from_millis(400));
        let before = desk.look();
        let link = before.run(ACCENT_LIGHT, 120, 1, CHAT).expect("the link is still shown");
        let line = link.1 + 30;
        desk.tool("xdotool", &["mousemove", "500", &line.to_string()]);
        thread::sleep(Duration::from_millis(400));
        desk.keep("copy");
        let area = (CHAT.2 - 120, link.1, CHAT.2, line + 60);
        let (x, y) = desk.look().difference(&before, area).expect("no button appears");
        desk.click(x, y);
        let copied = || desk.tool("timeout", &["3", "xclip", "-selection", "clipboard", "-o"]);
        assert!(within(PATIENCE, || copied() == KEY), "the clipboard holds {:?}", copied());
    }
}

#[test]
fn what_is_typed_is_sent_by_enter_and_shift_enter_begins_a_line() {
    let desk = Desk::open(&["--name", "Anna", "--host", "Weekly ops", "--theme", "light"]);
    let ready = desk.expect("ready", |event| event["event"] == "ready");
    let mut bob = join("Bob", ready["conference"].as_str().unwrap());
    bob.ready();
    desk.expect("Bob", |event| {
        event["event"] == "participant" && event["name"] == "Bob" && event["state"] == "connected"
    });
    desk.tool("xdotool", &["key", "ctrl+t"]);
    thread::sleep(Duration::from_millis(300));
    desk.tool("xdotool", &["type", "--delay", "30", "first line"]);
    desk.tool("xdotool", &["key", "shift+Return"]);
    desk.tool("xdotool", &["type", "--delay", "30", "  second"]);
    thread::sleep(Duration::from_millis(300));
    desk.keep("typed");
    desk.tool("xdotool", &["key", "Return"]);
    bob.expect("message", PATIENCE, |event| event["text"] == "first line\n  second");
    desk.expect("its delivery", |event| {
        event["event"] == "delivery" && event["state"] == "accepted"
    });
    thread::sleep(Duration::from_millis(300));
    desk.keep("delivered");

    desk.tool("xdotool", &["key", "ctrl+d"]);
    thread::sleep(Duration::from_millis(600));
    desk.keep("muted");
    bob.command(&json!({"command": "say", "ref": "x", "text": "I hear nothing any more"}));
    desk.expect("the answer", |event| {
        event["event"] == "message" && event["text"] == "I hear nothing any more"
    });
}

#[test]
fn an_incoming_call_is_shown_with_its_address_and_answered_by_its_chord() {
    for theme in ["light", "dark"] {
        let desk = Desk::open(&[
            "--name",
            "Anna",
            "--theme",
            theme,
            "sip:bob@example.org, dave@@example.org",
        ]);
        thread::sleep(Duration::from_millis(500));
        desk.keep(&format!("home-{theme}"));
        let own = own_address(&desk);
        let carol = Cli::start(
            "carol",
            &[
                "join",
                &own,
                "--listen",
                "127.0.0.1:0",
                "--name",
                "Carol Example",
                "--audio",
                "silence",
            ],
        );
        carol.expect("participant", PATIENCE, |event| event["state"] == "alerting");
        thread::sleep(Duration::from_millis(900));
        desk.keep(&format!("incoming-{theme}"));
        desk.tool("xdotool", &["key", "ctrl+shift+a"]);
        carol.expect("participant", PATIENCE, |event| {
            event["state"] == "connected" && event["entity"].as_str().unwrap().contains("anna")
        });
    }
}

/// The window's own address: it listens on a port of its own choice, which the kernel knows.
fn own_address(desk: &Desk) -> String {
    let pid = desk.window.id();
    let mut port = None;
    within(PATIENCE, || {
        port = listening_port(pid);
        port.is_some()
    });
    format!("sip:anna@127.0.0.1:{}", port.expect("the window listens nowhere"))
}

/// The port of the first TCP socket that a process listens on.
fn listening_port(pid: u32) -> Option<u16> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(3) == Some(&"0A")
            && sockets.iter().any(|socket| fields.get(9) == Some(&socket.as_str()));
        let port = fields.get(1)?.rsplit(':').next()?;
        listens.then(|| u16::from_str_radix(port, 16).ok())?
    })
}
