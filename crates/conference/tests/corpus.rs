//! Some hundred texts and what is recognised in them. The files of the folder hold one text a line, with what is expected
//! marked in it: `⟦kind content⟧`, or `⟦kind=value content⟧` where what is meant is written otherwise. Regions have pieces
//! within them. `\n`, `\r`, `\t`, `\\` and `\u{...}` are characters; lines that begin with `//` say what follows.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use conference::text::{
    Piece, PieceKind, Recognised, RegionKind, SecretKind, recognise, regions, secrets,
};

const FILES: [(&str, &str); 6] = [
    ("addresses", include_str!("corpus/addresses.txt")),
    ("code", include_str!("corpus/code.txt")),
    ("keys", include_str!("corpus/keys.txt")),
    ("links", include_str!("corpus/links.txt")),
    ("numbers", include_str!("corpus/numbers.txt")),
    ("prose", include_str!("corpus/prose.txt")),
];
const SECRETS: &str = include_str!("corpus/secrets.txt");
/// Fewer would be no corpus.
const LEAST: usize = 300;

fn cases(file: &str) -> Vec<String> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.map(unescaped).collect()
}

fn unescaped(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        match (c, escaped) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('u')) => {
                let code: String = chars.by_ref().take_while(|c| *c != '}').skip(1).collect();
                out.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
            }
            ('\\', other) => out.extend(other),
            (c, _) => out.push(c),
        }
    }
    out
}

/// The text of a case, without its marks.
fn plain(case: &str) -> String {
    let mut out = String::new();
    let mut chars = case.chars();
    while let Some(c) = chars.next() {
        match c {
            '⟦' => drop(chars.by_ref().take_while(|c| *c != ' ').count()),
            '⟧' => {}
            c => out.push(c),
        }
    }
    out
}

fn named(piece: &Piece, content: &str) -> String {
    let suffixed =
        |address: &std::net::IpAddr, port: Option<u16>, prefix: Option<u8>| match (port, prefix) {
            (Some(port), _) => std::net::SocketAddr::new(*address, port).to_string(),
            (None, Some(prefix)) => format!("{address}/{prefix}"),
            (None, None) => address.to_string(),
        };
    let (name, value) = match &piece.kind {
        PieceKind::Armour { label } => ("armour", label.replace(' ', "_")),
        PieceKind::Email { address } => ("email", address.clone()),
        PieceKind::Fingerprint => ("fingerprint", content.to_owned()),
        PieceKind::Ip { address, port, prefix } => ("ip", suffixed(address, *port, *prefix)),
        PieceKind::Link { url } => ("link", url.clone()),
        PieceKind::Phone { number } => ("phone", number.clone()),
        PieceKind::PrivateKey { label } => ("private", label.replace(' ', "_")),
        PieceKind::Sip { uri } => ("sip", uri.clone()),
        PieceKind::SshKey(key) => ("key", format!("{}/{}", key.bits, key.fingerprint)),
    };
    if value == content { name.to_owned() } else { format!("{name}={value}") }
}

/// The text with marks around all that is recognised.
fn marked(text: &str) -> String {
    let found = Recognised::new(text);
    // At one place what is longer opens first and closes last.
    let mut marks: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for region in &found.regions {
        let name = match region.kind {
            RegionKind::Fence => "fence",
            RegionKind::Indented => "indented",
            RegionKind::Inline => "code",
            RegionKind::Quote => "quote",
        };
        marks.push((region.range.clone(), name.to_owned()));
    }
    for piece in &found.pieces {
        let name = named(piece, &text[piece.range.clone()]);
        marks.push((piece.range.clone(), name));
    }
    for hidden in &found.hidden {
        marks.push((hidden.range.clone(), "hidden".to_owned()));
    }
    with_marks(text, marks)
}

fn with_marks(text: &str, marks: Vec<(std::ops::Range<usize>, String)>) -> String {
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        out.push_str(&"⟧".repeat(marks.iter().filter(|(range, _)| range.end == at).count()));
        let mut open: Vec<_> = marks.iter().filter(|(range, _)| range.start == at).collect();
        open.sort_by_key(|(range, _)| std::cmp::Reverse(range.end));
        for (_, name) in open {
            out.push_str(&format!("⟦{name} "));
        }
        out.push(c);
    }
    let last = marks.iter().filter(|(range, _)| range.end == text.len()).count();
    out.push_str(&"⟧".repeat(last));
    out
}

fn shown(text: &str) -> String {
    let show = |c: char| match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c.is_control() || conference_hides(c) => format!("\\u{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(show).collect()
}

fn conference_hides(c: char) -> bool {
    !conference::text::hidden(&c.to_string()).is_empty()
}

#[test]
fn all_texts_of_the_corpus_are_recognised_as_they_are_marked() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, file) in FILES {
        for case in cases(file) {
            count += 1;
            let found = marked(&plain(&case));
            if found != case {
                let (case, found) = (shown(&case), shown(&found));
                wrong.push(format!("{name}\n  expected {case}\n  found    {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= LEAST, "{count}");
}

#[test]
fn all_secrets_of_the_corpus_are_found_and_nothing_else() {
    let mut wrong = Vec::new();
    for case in cases(SECRETS) {
        let text = plain(&case);
        let marks = secrets(&text).into_iter().map(|secret| {
            let name = match secret.kind {
                SecretKind::LinkPassword => "link",
                SecretKind::Password => "password",
                SecretKind::PrivateKey => "private",
                SecretKind::Token => "token",
            };
            (secret.range, name.to_owned())
        });
        let found = with_marks(&text, marks.collect());
        if found != case {
            wrong.push(format!("expected {}\n  found    {}", shown(&case), shown(&found)));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_stretches_of_every_text_are_the_text() {
    for (_, file) in FILES.into_iter().chain([("secrets", SECRETS)]) {
        // Every beginning and every end of each text too: what is cut off never makes it panic.
        for case in cases(file) {
            let text = plain(&case);
            for (at, _) in text.char_indices() {
                rebuilt(&text[at..]);
                rebuilt(&text[..at]);
            }
            rebuilt(&text);
        }
    }
}

fn rebuilt(text: &str) {
    let found = Recognised::new(text);
    let spans = found.spans(text);
    let whole: String = spans.iter().map(|span| &text[span.range.clone()]).collect();
    assert_eq!(whole, text);
    for (place, piece) in found.pieces.iter().enumerate() {
        let own = spans.iter().filter(|span| span.piece == Some(place));
        let own: String = own.map(|span| &text[span.range.clone()]).collect();
        assert_eq!(own, text[piece.range.clone()], "{text:?}");
    }
    for (place, region) in found.regions.iter().enumerate() {
        let own = spans.iter().filter(|span| span.region == Some(place));
        let own: String = own.map(|span| &text[span.range.clone()]).collect();
        assert_eq!(own, text[region.range.clone()], "{text:?}");
        let content = region.content(text);
        assert!(region.range.start <= content.start && content.end <= region.range.end);
        let _ = &text[content];
    }
    assert!(found.pieces.windows(2).all(|two| two[0].range.end <= two[1].range.start));
    assert!(found.regions.windows(2).all(|two| two[0].range.end <= two[1].range.start));
    let _ = secrets(text);
}

#[test]
fn fences_give_their_content_without_the_fences() {
    let content = |text: &str| -> Vec<String> {
        regions(text).iter().map(|region| text[region.content(text)].to_owned()).collect()
    };
    assert_eq!(content("a\n```sh\nls -l\n\n  x\n```\nb `c d` e"), ["ls -l\n\n  x\n", "c d"]);
    assert_eq!(content("```\nnot closed"), ["not closed"]);
    assert_eq!(content("```"), [""]);
    assert_eq!(content("``a ` b``"), ["a ` b"]);
}

#[test]
fn keys_tell_what_ssh_keygen_tells() {
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIETffFUTjR0O/pDeT3yOXGsUygw89Rz/wqMKEZpvZQWt \
                anna@laptop";
    let pieces = recognise(line);
    let [Piece { range, kind: PieceKind::SshKey(key) }] = pieces.as_slice() else {
        panic!("{pieces:?}")
    };
    assert_eq!(*range, 0..line.len());
    assert_eq!(
        (key.algorithm.as_str(), key.bits, key.comment.as_str()),
        ("ssh-ed25519", 256, "anna@laptop")
    );
    assert_eq!(key.fingerprint, "SHA256:VJwg4Zih2RVjW5H6Ts/dET+L00uJSVxQjQdRm0Eww3g");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what it costs is measured")]
fn no_text_costs_more_than_its_length() {
    let begin = std::time::Instant::now();
    let parts = [
        "http://?",
        "http://",
        "sip:",
        "sip:a@b",
        "tel:1",
        "((((",
        "1 ",
        "1.",
        "1:",
        "[::",
        "::1%",
        "-----BEGIN A-----",
        "-----BEGIN PRIVATE KEY-----",
        "ssh-rsa ",
        "ssh-",
        "` `` ",
        "> ",
        "  x\n",
        "```\n",
        "\u{202e}",
        "SHA256:",
        "AAAA ",
        "token=",
        "a@b.",
        "+1(",
        "aa:",
        "1234 ",
    ];
    for part in parts {
        let text = part.repeat(16 * 1024 / part.len());
        rebuilt(&text);
    }
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
}
