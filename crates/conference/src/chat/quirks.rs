//! The habits of phones that were tried, by what they call themselves. Each row stands for a capture in docs/interop.md.

/// How texts reach a phone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// Inside the call's dialog: the default.
    InDialog,
    /// Outside of it.
    OutOfDialog,
}

/// What is special about a phone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Quirks {
    /// Way of texts when we called the phone.
    pub(crate) dialled_out: Way,
    /// Way of texts when it called us.
    pub(crate) dialled_in: Way,
    /// The most bytes of text that it shows.
    pub(crate) limit: Option<usize>,
    /// Whether its 500 means that the text was shown.
    pub(crate) shown_with_500: bool,
    /// Whether it shows several lines as one.
    pub(crate) joins_lines: bool,
    /// Whether it takes the author off a text again, so that no line can pose as another author's.
    pub(crate) knows_authors: bool,
    /// Whether it takes texts and shows them to nobody.
    pub(crate) never_shows: bool,
}

const ORDINARY: Quirks = Quirks {
    dialled_out: Way::InDialog,
    dialled_in: Way::InDialog,
    limit: None,
    shown_with_500: false,
    joins_lines: false,
    knows_authors: false,
    never_shows: false,
};

/// First word of User-Agent or Server, in lower case.
const TABLE: [(&[&str], Quirks); 6] = [
    // Our own kind.
    (&["parlour"], Quirks { knows_authors: true, ..ORDINARY }),
    // Answers 200 and shows nothing from about 480 bytes on.
    (&["baresip"], Quirks { limit: Some(400), ..ORDINARY }),
    // Shows a text inside a call that it placed as its own.
    (
        &["linphone", "linphonec", "linphonecsh", "linphoned", "linphoneandroid", "linphoneios"],
        Quirks { dialled_in: Way::OutOfDialog, ..ORDINARY },
    ),
    // Answers a text in the dialog with 500 although it shows it.
    (
        &["jami", "ring"],
        Quirks {
            dialled_in: Way::OutOfDialog,
            dialled_out: Way::OutOfDialog,
            shown_with_500: true,
            ..ORDINARY
        },
    ),
    // Its pane and its clipboard make one line of many.
    (&["twinkle"], Quirks { joins_lines: true, ..ORDINARY }),
    // Lists MESSAGE, answers 200, and has no place to show it.
    (&["calls", "gnome-calls"], Quirks { never_shows: true, ..ORDINARY }),
];

/// The row of a phone; the ordinary one for unknown ones.
pub(crate) fn of(agent: Option<&str>) -> Quirks {
    let agent = agent.unwrap_or_default().to_ascii_lowercase();
    let is = |word: &&str| {
        // "RingCentral" is not Ring.
        let rest = agent.strip_prefix(*word);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let row = TABLE.iter().find(|(words, _)| words.iter().any(is));
    row.map_or(ORDINARY, |(_, quirks)| *quirks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_phones_are_known_by_their_beginning_only() {
        assert_eq!(of(Some("baresip v1.0.0 (x86_64/linux)")).limit, Some(400));
        assert_eq!(of(Some("Linphonec/5.1.65 (vm)")).dialled_in, Way::OutOfDialog);
        assert_eq!(of(Some("Linphonec/5.1.65 (vm)")).dialled_out, Way::InDialog);
        assert!(of(Some("Twinkle/1.10.2")).joins_lines);
        assert!(of(Some("Jami Daemon 13")).shown_with_500 && of(Some("Ring/4.0")).shown_with_500);
        assert!(of(Some("gnome-calls 43.2")).never_shows && of(Some("Calls/43")).never_shows);
        assert_eq!(of(Some("LinphoneAndroid/5.2 (x)")).dialled_in, Way::OutOfDialog);
        assert_eq!(of(Some("Linphone-Desktop/5")).dialled_in, Way::OutOfDialog);
        for other in ["Not baresip", "RingCentral/1.0", "CallSwitch 2", "Parlourish/1", "Jamitel"] {
            assert_eq!(of(Some(other)), ORDINARY, "{other}");
        }
        assert_eq!(of(None), ORDINARY);
    }
}
