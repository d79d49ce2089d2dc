//! The display the window opens on: the user's, one of Xvfb, or none.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::person::Person;

/// Where the window is shown.
pub enum Screen {
    /// The user's own display: he sees it.
    Real,
    /// A display of Xvfb: only a picture is taken.
    Virtual { display: String, server: Child },
    /// None: the command line hosts.
    None,
}

impl Screen {
    /// Takes the user's display, else starts Xvfb, else none.
    pub fn find() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("DISPLAY") || set("WAYLAND_DISPLAY") {
            return Self::Real;
        }
        start_xvfb().map_or(Self::None, |(display, server)| Self::Virtual { display, server })
    }

    /// One sentence for the user.
    pub fn describe(&self) -> String {
        match self {
            Self::Real => "The window opens on your display.".to_owned(),
            Self::Virtual { display, .. } => format!(
                "There is no display: the window opens on Xvfb ({display}), a picture of it is taken at the end, and \
                 roster and chat are printed here."
            ),
            Self::None => "There is no display and no Xvfb: parlour-cli hosts, no picture is taken, and roster and \
                           chat are printed here."
                .to_owned(),
        }
    }

    /// The value of DISPLAY for the window; empty for the user's own; `None` where no window can open.
    pub fn display(&self) -> Option<&str> {
        match self {
            Self::Real => Some(""),
            Self::Virtual { display, .. } => Some(display),
            Self::None => None,
        }
    }

    /// Writes a picture of the virtual display.
    pub fn take_picture(&self, out: &Path) {
        let Self::Virtual { display, .. } = self else { return };
        let picture = out.join("parlour.png");
        let taken = Command::new("import")
            .args(["-display", display, "-window", "root"])
            .arg(&picture)
            .stderr(Stdio::null())
            .status();
        match taken {
            Ok(status) if status.success() => {
                println!("A picture of the window: {}", picture.display())
            }
            _ => println!("No picture: ImageMagick's import is not here"),
        }
    }

    /// Leaves the user time to look and click.
    pub fn linger(&self, people: &mut [Person]) {
        if !matches!(self, Self::Real) {
            return;
        }
        println!("The conference stays for a minute; close the window to end it sooner.");
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end && people.iter_mut().all(|person| person.listen().is_ok()) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Screen {
    /// Asked to end, the server takes its lock and its socket away; killed, it would leave both behind.
    fn drop(&mut self) {
        let Self::Virtual { server, .. } = self else { return };
        let _ = Command::new("kill").arg(server.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end && matches!(server.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(30));
        }
        let _ = server.kill();
        let _ = server.wait();
    }
}

/// Starts Xvfb on a display that is nobody else's: its lock holds the server's own id. It is not left to pick one itself:
/// two servers that pick at the same time can take the same. Nor does it start anew when a client goes, as servers do
/// when it was the last: whoever connects at that moment is refused.
fn start_xvfb() -> Option<(String, Child)> {
    let begin = std::process::id() % 1000;
    for number in (begin..begin + 20).map(|number| 4000 + number) {
        let display = format!(":{number}");
        let lock = PathBuf::from(format!("/tmp/.X{number}-lock"));
        let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
        if lock.exists() || socket.exists() {
            continue;
        }
        let mut server = Command::new("Xvfb")
            .args([&display, "-screen", "0", "1080x700x24", "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && matches!(server.try_wait(), Ok(None)) {
            let holder = std::fs::read_to_string(&lock).unwrap_or_default();
            let is_ours = holder.trim() == server.id().to_string();
            if is_ours && UnixStream::connect(&socket).is_ok() {
                return Some((display, server));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = server.kill();
        let _ = server.wait();
    }
    None
}
