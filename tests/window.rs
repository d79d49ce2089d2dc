//! The real window under Xvfb, used as a person uses it: typed into and clicked by xdotool, looked at pixel by pixel.
//! `make interop` runs it; it needs Xvfb, xdotool, ImageMagick, xclip and dbus. PARLOUR_PICTURES names a folder for pictures.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod desk;
    pub mod notifications;
    pub mod picture;
    pub mod process;
}

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use ends::cli::Cli;
use ends::desk::{Desk, Look, PATIENCE, USUAL};
use ends::notifications::Shown;
use ends::picture::{Area, Picture, Rgb};
use ends::process::within;
use serde_json::{Value, json};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE  carol@laptop\t#1";
const URL: &str = "https://example.org/wiki/Restart_(edge)";

/// Colours by role, light and dark.
#[derive(Clone, Copy)]
struct Colors {
    bg: Rgb,
    panel: Rgb,
    accent: Rgb,
    err_soft: Rgb,
    accent_soft: Rgb,
}

const LIGHT: Colors = Colors {
    bg: [0xFF; 3],
    panel: [0xF3, 0xF4, 0xF6],
    accent: [0x0B, 0x57, 0xD0],
    err_soft: [0xFC, 0xEB, 0xEA],
    accent_soft: [0xE6, 0xEE, 0xFC],
};
const DARK: Colors = Colors {
    bg: [0x14, 0x16, 0x1A],
    panel: [0x1C, 0x1F, 0x25],
    accent: [0x8A, 0xB4, 0xF8],
    err_soft: [0x36, 0x1F, 0x20],
    accent_soft: [0x1D, 0x2A, 0x42],
};

/// The chat: right of the people, below the tabs, above the composer.
const CHAT: Area = (360, 110, 1060, 530);
/// Where a question stands.
const MIDDLE: Area = (300, 240, 800, 460);
/// Nothing is told for this long: it does not happen.
const SILENCE: Duration = Duration::from_millis(1200);

fn join_with(name: &str, address: &str, more: &[&str]) -> Cli {
    let mut arguments = vec!["join", address, "--listen", "127.0.0.1:0", "--name", name];
    arguments.extend(["--audio", "silence"]);
    arguments.extend(more);
    Cli::start(name, &arguments)
}

fn join(name: &str, address: &str) -> Cli {
    join_with(name, address, &[])
}

/// A desk whose window hosts, and its conference's address.
fn host(more: &[&str]) -> (Desk, String) {
    let mut arguments = vec!["--name", "Anna", "--host", "Weekly ops", "--theme", "light"];
    arguments.extend(more);
    let desk = Desk::open(&arguments);
    let ready = desk.expect("ready", |event| event["event"] == "ready");
    let conference = ready["conference"].as_str().unwrap().to_owned();
    (desk, conference)
}

fn connected(desk: &Desk, name: &str) {
    desk.expect(name, |event| {
        event["event"] == "participant" && event["name"] == name && event["state"] == "connected"
    });
}

/// Somebody writes that, and it is on the screen.
fn say(desk: &Desk, from: &mut Cli, text: &str) {
    from.say(text);
    desk.expect(text, |event| event["event"] == "message" && event["text"] == text);
    thread::sleep(Duration::from_millis(600));
}

/// Whether a card with a red button asks something; where that button is.
fn question(picture: &Picture) -> Option<(usize, usize)> {
    picture.run(LIGHT.err_soft, 40, 5, MIDDLE)
}

fn ended(cli: &Cli) -> bool {
    cli.events().iter().any(|event| event["event"] == "ended")
}

#[test]
fn a_link_reaches_the_opener_and_a_key_is_copied_byte_for_byte() {
    let (desk, conference) = host(&[]);
    let mut carol = join("Carol", &conference);
    carol.ready();
    say(&desk, &mut carol, &format!("The steps are in {URL}."));
    say(&desk, &mut carol, KEY);

    let (x, y) = desk.look().run(LIGHT.accent, 120, 1, CHAT).expect("no underlined link is shown");
    desk.click(x, y - 6);
    desk.keep("link");
    assert_eq!(desk.opened(), None, "a link opens only after its address was shown");
    let button = desk.look().run(LIGHT.accent, 100, 6, (300, 200, 900, 560));
    let (x, y) = button.expect("no button to open it");
    desk.click(x, y + 8);
    assert!(within(PATIENCE, || desk.opened().is_some()), "nothing was opened");
    assert_eq!(desk.opened().as_deref(), Some(URL));

    // A key is underlined itself.
    copy_near_link(&desk, -6, KEY);
    let hidden = "user\u{202e}gnp.exe\u{200b} --key \u{feff}x";
    say(&desk, &mut carol, &format!("Hidden: {URL}"));
    say(&desk, &mut carol, hidden);
    copy_near_link(&desk, 30, hidden);
}

/// The pointer on the message so far below the last underline brings its Copy button, and that copies it.
fn copy_near_link(desk: &Desk, below: isize, text: &str) {
    desk.point(100, 400);
    let before = desk.look();
    let link = before.lowest_run(LIGHT.accent, 120, CHAT).expect("the link is still shown");
    let line = link.1.saturating_add_signed(below);
    desk.point(500, line);
    desk.keep("copy");
    let area = (CHAT.2 - 120, line - 60, CHAT.2, line + 60);
    let (x, y) = desk.look().difference(&before, area).expect("no button appears");
    desk.click(x, y);
    desk.expect_clipboard(text);
}

#[test]
fn an_email_address_is_copied_by_a_click_and_a_selection_by_its_chord() {
    let (desk, conference) = host(&[]);
    let mut carol = join("Carol", &conference);
    carol.ready();
    say(&desk, &mut carol, "write to administrators@example.org about it");
    let (x, y) = desk.look().run(LIGHT.accent, 120, 1, CHAT).expect("no underlined address");
    desk.click(x, y - 6);
    desk.expect_clipboard("administrators@example.org");
    assert_eq!(desk.opened(), None);

    say(&desk, &mut carol, KEY);
    // It is too long for one row.
    desk.drag((366, y + 24), (1050, y + 46));
    desk.keep("selected");
    desk.key("ctrl+c");
    desk.expect_clipboard(KEY);
}

#[test]
fn what_is_typed_is_sent_by_enter_and_shift_enter_begins_a_line() {
    let (desk, conference) = host(&[]);
    let bob = join("Bob", &conference);
    bob.ready();
    connected(&desk, "Bob");
    desk.key("ctrl+t");
    desk.write("first line");
    desk.tool("xdotool", &["key", "shift+Return"]);
    desk.write("  second");
    desk.keep("typed");
    desk.key("Return");
    bob.expect("message", PATIENCE, |event| event["text"] == "first line\n  second");
    desk.expect("its delivery", |event| {
        event["event"] == "delivery" && event["state"] == "accepted"
    });
    desk.keep("delivered");
}

#[test]
fn what_is_pasted_arrives_byte_for_byte() {
    let (desk, conference) = host(&[]);
    let bob = join("Bob", &conference);
    bob.ready();
    connected(&desk, "Bob");
    for text in ["a\tb  c\n\n  d", "one\r\ntwo\r\n  three", "ends with a line end\n"] {
        desk.set_clipboard(text);
        desk.key("ctrl+t");
        desk.key("ctrl+v");
        desk.key("Return");
        bob.expect("message", PATIENCE, |event| event["text"] == text);
    }
}

/// The loudest level of somebody among the last few that were told.
fn loudest(cli: &Cli, id: &Value) -> Option<f64> {
    let levels: Vec<f64> = cli
        .events()
        .iter()
        .filter(|event| event["event"] == "level" && event["id"] == *id)
        .filter_map(|event| event["dbov"].as_f64())
        .collect();
    let last = levels.len().checked_sub(5)?;
    levels[last..].iter().copied().reduce(f64::max)
}

#[test]
fn the_mute_chord_silences_the_microphone_for_the_others_and_brings_it_back() {
    // A call between two: in somebody else's conference only the mix is heard, and nobody's level is known.
    let desk = Desk::open(&["--name", "Anna", "--theme", "light", "--audio", "tone:440"]);
    let bob = join_with("Bob", &own_address(&desk), &["--levels"]);
    bob.expect("participant", PATIENCE, |event| event["state"] == "alerting");
    // The card's buttons and chords wait a moment.
    thread::sleep(Duration::from_millis(900));
    desk.key("ctrl+shift+a");
    let anna = bob.expect("participant", PATIENCE, |event| {
        event["state"] == "connected" && event["entity"].as_str().unwrap().contains("anna")
    });
    let id = anna["id"].clone();
    let hears = || within(PATIENCE, || loudest(&bob, &id).is_some_and(|level| level > -40.0));
    let hears_nothing =
        || within(PATIENCE, || loudest(&bob, &id).is_some_and(|level| level < -60.0));
    assert!(hears(), "the tone never arrives: {:?}", loudest(&bob, &id));
    desk.key("ctrl+d");
    desk.keep("muted");
    assert!(hears_nothing(), "muted, and still heard: {:?}", loudest(&bob, &id));
    desk.key("ctrl+d");
    assert!(hears(), "it stays muted: {:?}", loudest(&bob, &id));
}

#[test]
fn leaving_as_the_host_asks_first() {
    let (desk, conference) = host(&[]);
    let mut bob = join("Bob", &conference);
    bob.ready();
    connected(&desk, "Bob");
    // Leave is the red button at the right end of the bar.
    let foot = (900, 640, 1070, 695);
    let (x, y) = desk.look().run(LIGHT.err_soft, 20, 8, foot).expect("no Leave button");
    desk.click(x, y + 10);
    desk.expect_look("the question", |picture| question(picture).is_some());
    desk.keep("leave");
    thread::sleep(SILENCE);
    assert!(!ended(&bob), "it ended before it was confirmed");
    let (x, y) = question(&desk.look()).unwrap();
    desk.click(x, y + 10);
    assert!(bob.wait(PATIENCE).is_some(), "the conference goes on");
}

#[test]
fn closing_the_window_asks_the_host_then_says_goodbye_and_keeps_the_history() {
    let (mut desk, conference) = host(&[]);
    let mut bob = join("Bob", &conference);
    bob.ready();
    connected(&desk, "Bob");
    desk.press_close();
    desk.expect_look("the question", |picture| question(picture).is_some());
    desk.keep("quit");
    thread::sleep(SILENCE);
    assert!(!ended(&bob) && desk.window.wait(Duration::ZERO).is_none(), "nobody was asked");
    // Escape stays; asked again, it is confirmed.
    desk.key("Escape");
    desk.expect_look("no question", |picture| question(picture).is_none());
    desk.key("ctrl+q");
    let (x, y) = question(&desk.look()).expect("Ctrl+Q asks too");
    desk.click(x, y + 10);
    let status = desk.window.wait(Duration::from_secs(4)).expect("the program ends");
    assert!(status.success());
    assert!(bob.wait(PATIENCE).is_some(), "nobody told Bob");
    let kept = std::fs::read_dir(desk.data()).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        bytes.windows(10).any(|window| window == b"Weekly ops")
    });
    assert!(kept, "the history lacks the conference");
}

#[test]
fn closing_the_window_in_a_quiet_moment_just_ends_it() {
    let mut desk = Desk::open(&["--name", "Anna", "--theme", "light"]);
    desk.press_close();
    assert!(desk.window.wait(Duration::from_secs(4)).is_some_and(|status| status.success()));
}

#[test]
fn a_script_ends_the_program_as_the_command_line_does() {
    let (mut desk, conference) = host(&[]);
    let mut bob = join("Bob", &conference);
    bob.ready();
    connected(&desk, "Bob");
    desk.window.write_line("this is no command");
    desk.expect("a notice", |event| event["event"] == "notice");
    desk.window.write_line("{\"command\":\"end\"}");
    assert!(desk.window.wait(Duration::from_secs(4)).is_some_and(|status| status.success()));
    desk.expect("the end", |event| event["event"] == "ended");
    assert!(bob.wait(PATIENCE).is_some(), "nobody told Bob");
}

#[test]
fn calling_somebody_else_asks_while_others_are_in_the_conference() {
    let (desk, conference) = host(&[]);
    let bob = join("Bob", &conference);
    bob.ready();
    connected(&desk, "Bob");
    desk.key("ctrl+l");
    // Enter on the empty call bar does nothing.
    desk.key("Return");
    thread::sleep(SILENCE);
    assert!(!ended(&bob), "Enter on nothing ended the conference");
    let bar = (32, 60, 1048, 100);
    let soft = desk.look().share(LIGHT.accent_soft, bar);
    assert!(soft > 60, "the running call has its bar below the identity ({soft} %)");
    desk.write("sip:nobody@127.0.0.1:9");
    desk.key("Return");
    desk.expect_look("the question", |picture| question(picture).is_some());
    desk.keep("dial-question");
    assert!(!ended(&bob));
    desk.key("Escape");
    desk.expect_look("no question", |picture| question(picture).is_none());
    assert!(!ended(&bob));
}

#[test]
fn a_list_of_addresses_is_pasted_as_a_list() {
    let desk = Desk::open(&["--name", "Anna", "--theme", "light"]);
    desk.set_clipboard("bob@example.org\ncarol@example.org\n");
    desk.key("ctrl+l");
    desk.key("ctrl+v");
    // Two chips and a button for both; glued together they would be one address with two @ signs.
    desk.expect_look("the button", |picture| {
        picture.run(LIGHT.accent, 120, 20, (840, 140, 1050, 190)).is_some()
    });
    assert_eq!(desk.look().share(LIGHT.err_soft, (32, 140, 800, 190)), 0, "a chip is wrong");
    desk.keep("pasted-list");
}

/// Sends a text to the window's own address from outside of any session.
fn stranger_writes(desk: &Desk, number: u32, text: &str) {
    let own = own_address(desk);
    let to: SocketAddr = own.split_once('@').unwrap().1.parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let me = socket.local_addr().unwrap();
    let mut request = Vec::new();
    write!(
        request,
        "MESSAGE {own} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKw{number};rport\r\nMax-Forwards: 70\r\n\
         From: \"Mallory\" <sip:mallory@{me}>;tag=t{number}\r\nTo: <{own}>\r\nCall-ID: {number}@{me}\r\nCSeq: 1 MESSAGE\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
    .unwrap();
    socket.send_to(&request, to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 2048];
    let length = socket.recv(&mut answer).expect("the text is answered");
    assert!(answer[..length].starts_with(b"SIP/2.0 200"));
}

#[test]
fn the_texts_of_strangers_wait_in_their_list_and_push_nothing_away() {
    let desk = Desk::open(&["--name", "Anna", "--theme", "light"]);
    let flood = "\u{202e}line\r\n".repeat(200);
    stranger_writes(&desk, 1, &flood);
    let status = (600, 676, 1060, 696);
    desk.expect_look("the number of texts", |picture| {
        picture.run(LIGHT.accent, 10, 4, (32, 170, 300, 240)).is_some()
    });
    assert_eq!(desk.look().share(LIGHT.panel, status), 100, "the status bar was pushed away");
    // The tab stands right of Recent.
    desk.click(130, 181);
    desk.keep("texts");
    let gone = desk.look().run(LIGHT.accent, 10, 4, (150, 170, 300, 190));
    assert_eq!(gone, None, "a text that is looked at is not new");
    assert_eq!(desk.look().share(LIGHT.panel, status), 100, "the status bar was pushed away");
    // Copy stands at the right of the text.
    desk.click(965, 237);
    desk.expect_clipboard(&flood);
}

#[test]
fn every_screen_looks_as_designed_in_both_themes_at_both_sizes_and_scales() {
    for (theme, colors) in [("light", LIGHT), ("dark", DARK)] {
        for (width, height) in [(1080, 700), (720, 480)] {
            for scale in [1, 2] {
                let look = Look { width, height, scale, ..USUAL };
                screens(look, theme, colors);
            }
        }
    }
}

/// Home, a call that rings, and the conversation, one after the other.
fn screens(look: Look, theme: &str, colors: Colors) {
    let (width, height, scale) = (look.width, look.height, look.scale);
    let typed = "sip:bob@example.org, carol@example.org, dave@@example.org";
    let desk = Desk::like(look, &["--name", "Anna", "--theme", theme, typed]);
    let suffix = format!("{theme}-{width}x{height}@{scale}x");
    let scaled = |area: Area| (area.0 * scale, area.1 * scale, area.2 * scale, area.3 * scale);
    desk.expect_look(&format!("home {suffix}"), |picture| {
        let below = scaled((200, height - 28, width - 4, height - 4));
        let side = scaled((2, 70, 20, height - 40));
        let chips = scaled((32, 140, width - 220, 225));
        picture.share(colors.panel, below) > 95
            && picture.share(colors.bg, side) == 100
            && picture.share(colors.err_soft, chips) > 3
            // The ring around the call bar, and no blue button while an address is wrong.
            && picture.is(29 * scale, 105 * scale, colors.accent)
            && picture.run(colors.accent, 100 * scale, 20, scaled((400, 136, width - 30, 230))).is_none()
    });
    desk.keep(&format!("home-{suffix}"));
    let own = own_address(&desk);
    let mut carol = join("Carol Example", &own);
    carol.expect("participant", PATIENCE, |event| event["state"] == "alerting");
    // The card: 464 wide, 12 below the bars, 32 from the right; its Answer button is the one blue thing on it.
    let card = scaled((width - 496, 69, width - 32, 69 + 260));
    desk.expect_look(&format!("incoming {suffix}"), |picture| {
        let answer = picture.run(colors.accent, 80 * scale, 20 * scale, card);
        answer.is_some_and(|(x, _)| x < (width - 496 + 140) * scale)
    });
    desk.keep(&format!("incoming-{suffix}"));
    thread::sleep(Duration::from_millis(600));
    desk.key("ctrl+shift+a");
    carol.expect("participant", PATIENCE, |event| {
        event["state"] == "connected" && event["entity"].as_str().unwrap().contains("anna")
    });
    say(&desk, &mut carol, &format!("The steps are in {URL}."));
    say(&desk, &mut carol, KEY);
    desk.expect_look(&format!("conference {suffix}"), |picture| {
        let foot = scaled((width - 180, height - 60, width - 8, height - 4));
        let chat = scaled((20, 60, width - 10, height - 110));
        picture.run(colors.err_soft, 20 * scale, 8, foot).is_some()
            && picture.lowest_run(colors.accent, 120 * scale, chat).is_some()
    });
    desk.keep(&format!("conference-{suffix}"));
}

#[test]
fn an_incoming_call_takes_no_keyboard_and_its_buttons_wait_a_moment() {
    let desk = Desk::open(&["--name", "Anna", "--theme", "light"]);
    desk.key("ctrl+l");
    let carol = join("Carol Example", &own_address(&desk));
    carol.expect("participant", PATIENCE, |event| event["state"] == "alerting");
    // Whoever types goes on typing.
    desk.write("bob@example.org");
    let bar = (32, 84, 580, 128);
    assert!(desk.look().has([0x16, 0x18, 0x1D], bar), "the call took the keyboard away");
    desk.key("ctrl+shift+x");
    carol.expect("ended", PATIENCE, |_| true);
}

#[test]
fn the_desktop_is_told_of_lines_while_nobody_looks_together_and_without_what_hides() {
    let desk = Desk::like(
        Look { bus: true, ..USUAL },
        &["--name", "Anna", "--host", "Weekly ops", "--theme", "light"],
    );
    let ready = desk.expect("ready", |event| event["event"] == "ready");
    let mut bob = join("Bob", ready["conference"].as_str().unwrap());
    bob.ready();
    connected(&desk, "Bob");
    say(&desk, &mut bob, "seen at once");
    desk.look_away();
    say(&desk, &mut bob, "<b>nobody</b>\u{202e} looks\nsecond line");
    let first = desk.notifications().expect(|shown| shown.title == "Bob in Weekly ops");
    // The server reads markup: it is escaped.
    assert_eq!(first.body, "&lt;b&gt;nobody&lt;/b&gt; looks");
    for text in ["third", "fourth"] {
        bob.command(&json!({"command": "say", "ref": text, "text": text}));
    }
    let later = desk.notifications().expect(|shown| shown.title == "Weekly ops: 3 new messages");
    assert_eq!((later.id, later.body.as_str()), (first.id, "Bob: fourth"));
    assert!(later.at - first.at >= Duration::from_millis(4900), "{:?}", later.at - first.at);
    assert_eq!(desk.notifications().told(), 2, "each line was told by itself");
    desk.focus();
    assert!(within(PATIENCE, || desk.notifications().is_closed(first.id)), "it was read");
}

#[test]
fn the_desktop_says_who_calls_until_it_stops_ringing() {
    let desk = Desk::like(Look { bus: true, ..USUAL }, &["--name", "Anna", "--theme", "light"]);
    desk.look_away();
    let own = own_address(&desk);
    let mut carol = join("Carol Example", &own);
    let calls = |shown: &Shown| shown.title == "Carol Example is calling";
    let shown = desk.notifications().expect(calls);
    assert!(shown.body.starts_with("sip:carolexample@127.0.0.1:") && shown.is_critical);
    // She gives up: the same notification says that she was missed.
    carol.end();
    let missed =
        desk.notifications().expect(|shown| shown.title == "Missed call from Carol Example");
    assert_eq!((missed.id, missed.is_critical), (shown.id, false));
    let dave = join("Dave", &own);
    let shown = desk.notifications().expect(|shown| shown.title == "Dave is calling");
    thread::sleep(Duration::from_millis(600));
    desk.focus();
    desk.key("ctrl+shift+x");
    dave.expect("ended", PATIENCE, |_| true);
    assert!(within(PATIENCE, || desk.notifications().is_closed(shown.id)), "it rings for ever");
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
