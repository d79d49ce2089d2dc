//! A display of its own with the window on it, and what belongs to a desk: the keyboard, the pointer, the clipboard, the
//! opener of links, and a bus for notifications where one is wanted.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ClientMessageEvent, ConnectionExt, EventMask, InputFocus, Window as WindowId,
};

use super::cli::path;
use super::notifications::Notifications;
use super::picture::Picture;
use super::process::{Program, within};

/// How long a window may take for something.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What a desk is like.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The window's width, before it is scaled.
    pub width: usize,
    /// Its height.
    pub height: usize,
    /// Pixels of the screen for each of its own.
    pub scale: usize,
    /// Whether there is a bus for notifications.
    pub bus: bool,
}

/// The usual one.
pub const USUAL: Look = Look { width: 1080, height: 700, scale: 1, bus: false };

/// A display, the window on it, and what its opener was given. The window ends before its display does.
pub struct Desk {
    /// The window.
    pub window: Program,
    bus: Option<(Program, Notifications)>,
    server: Server,
    folder: TempDir,
    id: WindowId,
    look: Look,
}

/// A display server.
struct Server {
    child: Child,
    number: u32,
}

impl Desk {
    /// Starts the window on a display of its own.
    pub fn open(arguments: &[&str]) -> Self {
        Self::like(USUAL, arguments)
    }

    /// The same for a desk that is not the usual one.
    pub fn like(look: Look, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(look.width * look.scale, look.height * look.scale);
        write_opener(folder.path());
        let search = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let bus = look.bus.then(start_bus);
        let mut command = Command::new(path().with_file_name("parlour"));
        command
            .args(["--json", "--listen", "127.0.0.1:0", "--data-folder"])
            .arg(folder.path().join("data"))
            .args(arguments)
            .env("DISPLAY", server.name())
            .env("PATH", search)
            .env("ICED_BACKEND", "tiny-skia")
            .env("WINIT_X11_SCALE_FACTOR", look.scale.to_string())
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
        if !arguments.contains(&"--audio") {
            command.args(["--audio", "silence"]);
        }
        if let Some((daemon, _)) = &bus {
            command.env("DBUS_SESSION_BUS_ADDRESS", bus_address(daemon).unwrap_or_default());
        }
        let window = Program::start("parlour", &mut command);
        let mut desk = Self { window, bus, server, folder, id: 0, look };
        desk.place();
        desk
    }

    /// There is no window manager: size and keyboard are given by hand, once the window is on the screen.
    fn place(&mut self) {
        let mut id = String::new();
        let shown = within(PATIENCE, || {
            let pid = self.window.id().to_string();
            let found = self.tool("xdotool", &["search", "--onlyvisible", "--pid", &pid]);
            found.lines().next().unwrap_or_default().clone_into(&mut id);
            !id.is_empty()
        });
        assert!(shown, "no window\n{}", self.window.tail());
        self.id = id.parse().unwrap();
        let width = (self.look.width * self.look.scale).to_string();
        let height = (self.look.height * self.look.scale).to_string();
        self.tool("xdotool", &["windowsize", &id, &width, &height]);
        self.focus();
        thread::sleep(Duration::from_millis(500));
    }

    /// The keyboard goes to the window.
    pub fn focus(&self) {
        let id = self.id.to_string();
        let focused = within(PATIENCE, || {
            self.tool("xdotool", &["windowfocus", &id]);
            thread::sleep(Duration::from_millis(100));
            self.tool("xdotool", &["getwindowfocus"]).trim() == id
        });
        assert!(focused, "the window does not take the keyboard");
    }

    /// The keyboard goes to nobody.
    pub fn look_away(&self) {
        let (connection, _) = x11rb::connect(Some(&self.server.name())).unwrap();
        let none = x11rb::NONE;
        connection.set_input_focus(InputFocus::NONE, none, x11rb::CURRENT_TIME).unwrap();
        connection.sync_now();
        thread::sleep(Duration::from_millis(300));
    }

    /// What a window manager does when its close button is pressed.
    pub fn press_close(&self) {
        let (connection, _) = x11rb::connect(Some(&self.server.name())).unwrap();
        let atom = |name: &[u8]| connection.intern_atom(false, name).unwrap().reply().unwrap().atom;
        let (protocols, delete) = (atom(b"WM_PROTOCOLS"), atom(b"WM_DELETE_WINDOW"));
        let event = ClientMessageEvent::new(32, self.id, protocols, [delete, 0, 0, 0, 0]);
        connection.send_event(false, self.id, EventMask::NO_EVENT, event).unwrap();
        connection.sync_now();
        thread::sleep(Duration::from_millis(500));
    }

    /// Runs a program on this display; gives what it prints.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output =
            Command::new(program).args(arguments).env("DISPLAY", self.server.name()).output();
        let output = output
            .unwrap_or_else(|error| panic!("{program} cannot be started ({error}): is it there?"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Presses a chord.
    pub fn key(&self, chord: &str) {
        self.tool("xdotool", &["key", chord]);
        thread::sleep(Duration::from_millis(400));
    }

    /// Types.
    pub fn write(&self, text: &str) {
        self.tool("xdotool", &["type", "--delay", "30", text]);
        thread::sleep(Duration::from_millis(400));
    }

    /// Moves the pointer there and clicks; in pixels of the screen.
    pub fn click(&self, x: usize, y: usize) {
        self.point(x, y);
        self.tool("xdotool", &["click", "1"]);
        thread::sleep(Duration::from_millis(400));
    }

    /// Moves the pointer.
    pub fn point(&self, x: usize, y: usize) {
        self.tool("xdotool", &["mousemove", &x.to_string(), &y.to_string()]);
        thread::sleep(Duration::from_millis(300));
    }

    /// Drags from one place to another in a few steps.
    pub fn drag(&self, from: (usize, usize), to: (usize, usize)) {
        self.point(from.0, from.1);
        self.tool("xdotool", &["mousedown", "1"]);
        for step in 1..=4 {
            let between = |one: usize, two: usize| (one * (4 - step) + two * step) / 4;
            self.point(between(from.0, to.0), between(from.1, to.1));
        }
        self.tool("xdotool", &["mouseup", "1"]);
        thread::sleep(Duration::from_millis(300));
    }

    /// What the clipboard holds.
    pub fn clipboard(&self) -> String {
        self.tool("timeout", &["3", "xclip", "-selection", "clipboard", "-o"])
    }

    /// Puts something into the clipboard, byte for byte.
    pub fn set_clipboard(&self, text: &str) {
        let mut child = Command::new("xclip")
            .args(["-selection", "clipboard", "-i"])
            .env("DISPLAY", self.server.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("xclip cannot be started: is it there?");
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait().unwrap();
    }

    /// Waits until the clipboard holds that.
    #[track_caller]
    pub fn expect_clipboard(&self, text: &str) {
        let is = within(Duration::from_secs(5), || self.clipboard() == text);
        assert!(is, "the clipboard holds {:?}, not {text:?}", self.clipboard());
    }

    /// What the window told.
    pub fn events(&self) -> Vec<Value> {
        self.window.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it tells that.
    #[track_caller]
    pub fn expect(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        within(PATIENCE, || {
            found = self.events().into_iter().find(|event| so(event));
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("the window never told: {what}\n{}", self.window.tail()))
    }

    /// The screen.
    pub fn look(&self) -> Picture {
        let output = Command::new("import")
            .args(["-window", "root", "-depth", "8", "rgb:-"])
            .env("DISPLAY", self.server.name())
            .output()
            .expect("import of ImageMagick cannot be started: is it there?");
        Picture::new(&output.stdout, self.look.width * self.look.scale)
    }

    /// Waits until the screen looks like that.
    #[track_caller]
    pub fn expect_look(&self, what: &str, so: impl Fn(&Picture) -> bool) {
        let seen = within(Duration::from_secs(6), || so(&self.look()));
        if !seen {
            self.keep(&format!("missing-{what}"));
        }
        assert!(seen, "never seen: {what}");
    }

    /// Keeps a picture for people.
    pub fn keep(&self, name: &str) {
        if let Some(folder) = std::env::var_os("PARLOUR_PICTURES") {
            let file = PathBuf::from(folder).join(format!("{}.png", name.replace(' ', "-")));
            self.tool("import", &["-window", "root", &file.to_string_lossy()]);
        }
    }

    /// What the opener of links was given.
    pub fn opened(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("opened")).ok()
    }

    /// Where the window keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the desktop shows.
    pub fn notifications(&self) -> &Notifications {
        &self.bus.as_ref().expect("a desk with a bus").1
    }
}

impl Server {
    /// It stays as it is when its last client goes: otherwise it starts anew, and refuses the next client meanwhile.
    /// Numbers are ours alone in this process, and a server counts only when it is ours and answers: one that another
    /// program left behind, or starts at the same moment, is passed over.
    fn start(width: usize, height: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let screen = format!("{width}x{height}x24");
        for _ in 0..50 {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = 200 + (std::process::id().wrapping_mul(31).wrapping_add(step)) % 3000;
            if lock_of(number).exists() || socket_of(number).exists() {
                continue;
            }
            let child = Command::new("Xvfb")
                .args([
                    &format!(":{number}"),
                    "-screen",
                    "0",
                    &screen,
                    "-nolisten",
                    "tcp",
                    "-noreset",
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("Xvfb cannot be started: is it there?");
            let mut server = Self { child, number };
            let mut ended = false;
            within(PATIENCE, || {
                ended = server.child.try_wait().is_ok_and(|status| status.is_some());
                ended || (server.is_locked_by_us() && x11rb::connect(Some(&server.name())).is_ok())
            });
            if !ended && server.is_locked_by_us() {
                return server;
            }
        }
        panic!("no display server starts")
    }

    fn name(&self) -> String {
        format!(":{}", self.number)
    }

    fn is_locked_by_us(&self) -> bool {
        let holder = std::fs::read_to_string(lock_of(self.number)).unwrap_or_default();
        holder.trim() == self.child.id().to_string()
    }
}

impl Drop for Server {
    /// Asked to end, it takes its lock and its socket away; killed, it would leave both behind.
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let ended = within(Duration::from_secs(5), || {
            self.child.try_wait().is_ok_and(|status| status.is_some())
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A request was handled when its connection is asked something after it.
trait SyncNow {
    fn sync_now(&self);
}

impl<C: Connection> SyncNow for C {
    fn sync_now(&self) {
        self.get_input_focus().unwrap().reply().unwrap();
    }
}

fn lock_of(number: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X{number}-lock"))
}

fn socket_of(number: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X11-unix/X{number}"))
}

fn write_opener(folder: &Path) {
    let opener = folder.join("xdg-open");
    let script = format!("#!/bin/sh\nprintf '%s' \"$1\" > '{}/opened'\n", folder.display());
    std::fs::write(&opener, script).unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A bus of our own with a server of notifications on it.
fn start_bus() -> (Program, Notifications) {
    let mut daemon = Command::new("dbus-daemon");
    daemon.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
    let daemon = Program::start("dbus-daemon", &mut daemon);
    let mut address = None;
    within(PATIENCE, || {
        address = bus_address(&daemon);
        address.is_some()
    });
    let server = Notifications::serve(&address.expect("the bus does not say its address"));
    (daemon, server)
}

/// What it printed beside its warnings.
fn bus_address(daemon: &Program) -> Option<String> {
    let lines = daemon.lines();
    lines.iter().find(|line| line.starts_with("unix:")).map(|line| line.trim().to_owned())
}
