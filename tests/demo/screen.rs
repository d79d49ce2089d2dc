//! The display the window opens on: the user's, one of Xvfb, or none.

use std::path::Path;
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
    pub fn find(out: &Path) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("DISPLAY") || set("WAYLAND_DISPLAY") {
            return Self::Real;
        }
        start_xvfb(out).map_or(Self::None, |(display, server)| Self::Virtual { display, server })
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
    fn drop(&mut self) {
        if let Self::Virtual { server, .. } = self {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Starts Xvfb on a display number that it picks itself and writes to a file.
fn start_xvfb(out: &Path) -> Option<(String, Child)> {
    let number = out.join("display");
    let file = std::fs::File::create(&number).ok()?;
    let mut server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1080x700x24", "-nolisten", "tcp"])
        .stdout(file)
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let text = std::fs::read_to_string(&number).unwrap_or_default();
        if text.ends_with('\n') {
            return Some((format!(":{}", text.trim()), server));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = server.kill();
    let _ = server.wait();
    None
}
