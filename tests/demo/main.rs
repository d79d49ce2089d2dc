//! `make demo`: a real conference of four on this machine. Anna hosts it, from the window where there is a display (or
//! Xvfb), from the command line otherwise; three more processes call in, talk in turns and write. It ends with success
//! only when every line reached every other participant, exactly once and unchanged, and the others were heard.

mod baresip;
mod hearing;
mod person;
mod screen;
mod speech;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use person::{Heard, Person};
use screen::Screen;

/// Name, place in the turns, and what is said.
const SPEECH: [(&str, &str); 4] = [
    ("Anna", "Hello everybody, this is Anna. The edge router is back, thank you all."),
    ("Bob", "Hi, Bob speaking. I wrote you the address and the number of the office."),
    ("Carol", "This is Carol. You find my key in the chat, it is a long one."),
    ("Dave", "And Dave here. I will not even try to spell that address."),
];

/// Author and text: what is painful to spell aloud.
const LINES: [(&str, &str, &str); 7] = [
    ("Anna", "a greeting", "Welcome. Everything you write here goes to everybody in the call."),
    ("Carol", "a link", "The steps are in https://example.org/wiki/Restart_(edge)."),
    ("Bob", "an e-mail address", "Reports go to edge-reports@example.org"),
    (
        "Dave",
        "a quotation",
        "Dijkstra wrote:\n  Simplicity is prerequisite for reliability.\nWe had neither.",
    ),
    ("Bob", "a phone number", "If it stays down, call +49 30 23125 014"),
    ("Dave", "an IPv6 address", "The new one is 2001:db8:0:42::17"),
    (
        "Carol",
        "an ssh key",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE carol@laptop",
    ),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("demo: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let programs = programs()?;
    let out = PathBuf::from("demo-out");
    std::fs::create_dir_all(&out)
        .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    let out =
        out.canonicalize().map_err(|error| format!("cannot find {}: {error}", out.display()))?;

    let screen = Screen::find();
    println!("{}", screen.describe());
    let voices = speech::prepare(&out, &SPEECH)?;

    let began = Instant::now();
    let mut anna = host(&programs, &screen, &voices, &out)?;
    let conference = anna.wait_ready(Duration::from_secs(30))?;
    println!("Anna hosts {conference}");

    let mut people = vec![join_baresip_or_cli(&programs, &conference, &voices, &out)?];
    for name in ["Carol", "Dave"] {
        people.push(Person::join(
            &programs.join("parlour-cli"),
            name,
            &conference,
            &voices[name],
            &out,
        )?);
    }
    people.insert(0, anna);

    wait_for(&mut people, Duration::from_secs(30), "all four are connected", |people| {
        people[0].connected() >= 4
    })?;
    for (author, what, text) in LINES {
        println!("-- {author} writes {what}");
        // What the host writes himself his program does not tell him again.
        if author == people[0].name() {
            println!("   {author}: {}", text.replace('\n', "\n      "));
        }
        let person = people.iter_mut().find(|person| person.name() == author);
        person.ok_or_else(|| format!("{author} is missing"))?.say(text)?;
        // Nobody writes in the same second in a conversation, and baresip sends one text at a time.
        let until = Instant::now() + Duration::from_millis(1500);
        wait_for(&mut people, Duration::from_secs(20), "the line reached everybody", |people| {
            Instant::now() >= until && missing(people, author, text).is_empty()
        })?;
    }
    let lines = verdict(&people);
    screen.take_picture(&out);
    let spoken = Instant::now() + speech::duration().saturating_sub(began.elapsed());
    if Instant::now() < spoken {
        println!("-- until everybody has spoken");
        let all = Duration::from_secs(60);
        wait_for(&mut people, all, "everybody has spoken", |_| Instant::now() >= spoken)?;
    }
    screen.linger(&mut people);
    for person in people.iter_mut().rev() {
        person.leave();
    }
    let sound = hearing::verdict(&people);
    lines.and(sound)
}

fn programs() -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let folder = me.parent().and_then(Path::parent).ok_or("cannot find the programs beside me")?;
    for program in ["parlour", "parlour-cli"] {
        if !folder.join(program).exists() {
            return Err(format!("{program} is not built. Run: make demo"));
        }
    }
    Ok(folder.to_path_buf())
}

fn host(
    programs: &Path,
    screen: &Screen,
    voices: &BTreeMap<&'static str, String>,
    out: &Path,
) -> Result<Person, String> {
    match screen.display() {
        Some(display) => {
            Person::host_window(&programs.join("parlour"), &voices["Anna"], display, out)
        }
        None => Person::host(&programs.join("parlour-cli"), &voices["Anna"], out),
    }
}

fn join_baresip_or_cli(
    programs: &Path,
    conference: &str,
    voices: &BTreeMap<&'static str, String>,
    out: &Path,
) -> Result<Person, String> {
    match Person::baresip("Bob", conference, &voices["Bob"], out) {
        Ok(bob) => {
            println!("Bob uses baresip; Carol and Dave use parlour-cli");
            Ok(bob)
        }
        Err(problem) => {
            println!(
                "baresip cannot be used here ({problem}); Bob, Carol and Dave use parlour-cli"
            );
            Person::join(&programs.join("parlour-cli"), "Bob", conference, &voices["Bob"], out)
        }
    }
}

/// Turns everybody's output into printed roster and chat until `done`, or fails with what is missing.
fn wait_for(
    people: &mut [Person],
    limit: Duration,
    what: &str,
    mut done: impl FnMut(&[Person]) -> bool,
) -> Result<(), String> {
    let end = Instant::now() + limit;
    loop {
        for (place, person) in people.iter_mut().enumerate() {
            for news in person.listen()? {
                // The host sees everything first; one account of it is enough.
                if place == 0 {
                    println!("   {news}");
                }
            }
        }
        if done(people) {
            return Ok(());
        }
        if Instant::now() > end {
            let logs = people.iter().map(|person| person.log().display().to_string());
            return Err(format!(
                "waited {} s, but not: {what}. The logs: {}",
                limit.as_secs(),
                logs.collect::<Vec<_>>().join(" ")
            ));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn missing(people: &[Person], author: &str, text: &str) -> Vec<String> {
    let others = people.iter().filter(|person| person.name() != author);
    others
        .filter(|person| person.heard(author, text) != Heard::Once)
        .map(|person| person.name().to_owned())
        .collect()
}

fn verdict(people: &[Person]) -> Result<(), String> {
    println!("\nline                 reached");
    let mut complete = true;
    for (author, what, text) in LINES {
        let missing = missing(people, author, text);
        complete &= missing.is_empty();
        let reached = if missing.is_empty() {
            format!("all {} others, once", people.len() - 1)
        } else {
            format!("NOT (once): {}", missing.join(", "))
        };
        println!("{what:<20} {reached}");
    }
    if complete { Ok(()) } else { Err("a line did not reach everybody exactly once".to_owned()) }
}
