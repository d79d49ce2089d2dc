//! What floats over the conference window: questions, menus, details. Escape or a press beside it closes it.

use conference::text::{Doubt, SecretKind, host_of};
use engine::{Delivery, MessageId, ParticipantId, Recipient};
use iced::widget::{Column, Space, button, column, container, opaque, row, scrollable, text_input};
use iced::{Alignment, Color, Element, Length};

use super::composer::HEIGHT as COMPOSER_HEIGHT;
use super::doors::{Press, Typed, keys_card, password_card};
use super::{Message, State};
use crate::icon::Icon;
use crate::selectable::spelled_out;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, label, middle, mono};

/// What floats over the window.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Floating {
    /// Who got a line.
    Deliveries {
        /// Which line.
        id: MessageId,
    },
    /// Who may come in.
    Doors(Typed),
    /// Add somebody.
    Invite {
        /// What is typed.
        typed: String,
    },
    /// Press keys in the call; what was pressed.
    Keys(String),
    /// Leaving ends the conference for all.
    Leaving,
    /// Open this?
    Link {
        /// Its address.
        url: String,
    },
    /// What can be done about a person.
    Person {
        /// About whom.
        id: ParticipantId,
    },
    /// The password that the conference wanted; what is typed.
    Password(String),
    /// Remove this person?
    Removing {
        /// Whom.
        id: ParticipantId,
    },
    /// Send what looks secret?
    Secret {
        /// What it looks like.
        kind: SecretKind,
    },
    /// Whom to write to.
    Target,
}

impl State {
    /// The card and what lies beneath it, which closes it.
    pub(super) fn float<'a>(
        &'a self,
        tokens: Tokens,
        narrow: bool,
        floating: &'a Floating,
    ) -> Element<'a, Message> {
        let veil = button(Space::new().width(Length::Fill).height(Length::Fill))
            .style(|_, _| button::Style { background: None, ..button::Style::default() })
            .on_press(Message::FloatingClosed);
        let content = match floating {
            Floating::Deliveries { id } => self.deliveries_card(tokens, *id),
            Floating::Doors(typed) => self.doors_card(tokens, typed),
            Floating::Keys(typed) => keys_card(tokens, typed),
            Floating::Password(typed) => password_card(tokens, typed),
            Floating::Invite { typed } => self.invite_card(tokens, typed),
            Floating::Leaving => self.leave_card(tokens),
            Floating::Link { url } => link_card(tokens, url),
            Floating::Person { id } => self.person_card(tokens, *id),
            Floating::Removing { id } => self.remove_card(tokens, *id),
            Floating::Secret { kind } => self.secret_card(tokens, *kind),
            Floating::Target => self.target_menu(tokens),
        };
        let card = opaque(container(content).style(tokens.floating(12.0)));
        let place = if *floating == Floating::Target {
            // Above the composer's own corner.
            let left = if narrow { 8.0 } else { 321.0 };
            let bottom = if narrow { 61.0 } else { 81.0 } + self.composer_height() + 8.0;
            container(card)
                .align_left(Length::Fill)
                .align_bottom(Length::Fill)
                .padding(iced::Padding { left, bottom, ..iced::Padding::ZERO })
        } else {
            container(card).center(Length::Fill)
        };
        iced::widget::stack![veil, place].into()
    }

    /// As high as the composer is with what is written in it, as far as lines were begun by hand.
    pub(super) fn composer_height(&self) -> f32 {
        let lines = self.draft.line_count().clamp(1, 8) - 1;
        COMPOSER_HEIGHT + 22.0 * lines as f32
    }

    /// Two seconds of words above the composer.
    pub(super) fn toast<'a>(
        &'a self,
        tokens: Tokens,
        narrow: bool,
        words: &'a str,
    ) -> Element<'a, Message> {
        let content = row![Icon::Check.view(18.0, tokens.ok), label(words, 13.0, tokens.text)]
            .spacing(10)
            .align_y(Alignment::Center);
        let toast = container(content)
            .height(40)
            .padding([0, 16])
            .align_y(Alignment::Center)
            .style(tokens.floating(8.0));
        let left = if narrow { 0.0 } else { 305.0 };
        let bottom = if narrow { 61.0 } else { 81.0 } + self.composer_height() + 16.0;
        container(toast)
            .center_x(Length::Fill)
            .align_bottom(Length::Fill)
            .padding(iced::Padding { left, bottom, ..iced::Padding::ZERO })
            .into()
    }

    fn invite_card<'a>(&'a self, tokens: Tokens, typed: &'a str) -> Element<'a, Message> {
        let field = text_input("Address of somebody to call", typed)
            .id("invite")
            .on_input(Message::InviteEdited)
            .on_submit(Message::InviteSubmitted)
            .padding([6, 12])
            .size(15)
            .style(tokens.field(6.0));
        let ready = (!typed.trim().is_empty()).then_some(Message::InviteSubmitted);
        let call =
            row![field, action(tokens, Kind::Primary, Some(Icon::Phone), "Call", ready)].spacing(8);
        let own = row![
            mono(middle(&self.conference, 44), 12.0, tokens.text),
            Space::new().width(Length::Fill),
            action(tokens, Kind::Normal, Some(Icon::Copy), "Copy", Some(Message::ConferenceCopied))
        ]
        .align_y(Alignment::Center);
        let reach = format!("Or give them this address. {}.", text::reach(&self.conference));
        let whole = action(
            tokens,
            Kind::Normal,
            Some(Icon::Copy),
            "Copy invitation",
            Some(Message::Door(Press::Invitation)),
        );
        let reach = label(reach, 13.0, tokens.muted);
        column![label("Invite", 18.0, tokens.text), call, reach, own, whole]
            .spacing(12)
            .padding(16)
            .width(492)
            .into()
    }

    fn leave_card<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let people = text::people(self.others());
        let words = format!("You host this conference. Leaving ends it for {people}.");
        let end = action(
            tokens,
            Kind::Danger,
            Some(Icon::Leave),
            "End for all",
            Some(Message::LeaveConfirmed),
        );
        question(tokens, words, "Stay", end)
    }

    fn remove_card<'a>(&'a self, tokens: Tokens, id: ParticipantId) -> Element<'a, Message> {
        let person = self.people.iter().find(|person| person.id == id);
        let name = person.map_or("This person", |person| person.name.as_str());
        let words = format!("Remove {name} from the conference? The call with {name} ends.");
        let remove = action(
            tokens,
            Kind::Danger,
            Some(Icon::Leave),
            "Remove",
            Some(Message::RemoveConfirmed(id)),
        );
        question(tokens, words, "Cancel", remove)
    }

    fn secret_card<'a>(&'a self, tokens: Tokens, kind: SecretKind) -> Element<'a, Message> {
        let whom = match &self.target {
            Recipient::Participant(entity) => self.name_of(entity),
            Recipient::Everyone | Recipient::Me => text::people(self.others()),
        };
        let words = format!("This looks like {}. Send it to {whom}?", text::secret(kind));
        let send = action(tokens, Kind::Danger, None, "Send", Some(Message::SecretConfirmed));
        question(tokens, words, "Keep writing", send)
    }

    fn deliveries_card<'a>(&'a self, tokens: Tokens, id: MessageId) -> Element<'a, Message> {
        let deliveries = self.deliveries.get(&id).map(Vec::as_slice).unwrap_or_default();
        let rows = deliveries.iter().map(|delivery| self.delivery_of_one(tokens, delivery));
        let list = scrollable(Column::with_children(rows)).style(tokens.scroll());
        let list = container(list).max_height(320);
        let hint = "Accepted means that the phone took it. Nobody can know whether it was read.";
        column![label("Who got it", 18.0, tokens.text), list, label(hint, 12.0, tokens.muted)]
            .spacing(12)
            .padding(16)
            .width(420)
            .into()
    }

    fn delivery_of_one<'a>(
        &'a self,
        tokens: Tokens,
        delivery: &'a Delivery,
    ) -> Element<'a, Message> {
        let (icon, color) = super::chat::delivery_icon(tokens, delivery.state);
        let name = self.name_of(&delivery.recipient);
        let words = text::delivery_of_one(delivery);
        let code = delivery.code.map(|code| format!("({code})")).unwrap_or_default();
        let code = if words.contains(&code) { String::new() } else { code };
        row![
            icon.view(16.0, color),
            label(middle(&name, 24), 14.0, tokens.text),
            Space::new().width(Length::Fill),
            label(words, 13.0, tokens.muted),
            label(code, 12.0, tokens.muted),
        ]
        .spacing(8)
        .height(32)
        .align_y(Alignment::Center)
        .into()
    }
}

fn question<'a>(
    tokens: Tokens,
    words: String,
    no: &'a str,
    yes: impl Into<Element<'a, Message>>,
) -> Element<'a, Message> {
    let buttons = row![
        Space::new().width(Length::Fill),
        action(tokens, Kind::Normal, None, no, Some(Message::FloatingClosed)),
        yes.into()
    ]
    .spacing(8);
    column![label(words, 15.0, tokens.text), buttons].spacing(16).padding(16).width(420).into()
}

/// A host as people read it, and what stands around it.
fn link_card<'a>(tokens: Tokens, url: &'a str) -> Element<'a, Message> {
    let (before, host, behind) = url_parts(url);
    let span = |text: &str, color: Color| {
        iced::widget::span::<std::convert::Infallible, iced::Font>(spelled_out(text))
            .color(color)
            .font(crate::ui::MONO)
    };
    let address = iced::widget::rich_text![
        span(before, tokens.muted),
        span(host, tokens.text),
        span(behind, tokens.muted)
    ]
    .on_link_click(iced::never)
    .size(13)
    .wrapping(iced::widget::text::Wrapping::WordOrGlyph);
    let boxed = container(address)
        .padding(12)
        .width(Length::Fill)
        .max_height(160)
        .style(tokens.card(tokens.raised, Color::TRANSPARENT, 8.0, 0.0));
    let mut card = Column::new().push(label("Open this link?", 18.0, tokens.text)).push(boxed);
    if let Some(words) = warning(url) {
        card = card.push(
            row![Icon::Alert.view(16.0, tokens.warn), label(words, 13.0, tokens.warn)].spacing(8),
        );
    }
    let buttons = row![
        action(tokens, Kind::Normal, Some(Icon::Copy), "Copy", Some(Message::LinkCopied)),
        Space::new().width(Length::Fill),
        action(tokens, Kind::Normal, None, "Cancel", Some(Message::FloatingClosed)),
        action(
            tokens,
            Kind::Primary,
            Some(Icon::External),
            "Open in browser",
            Some(Message::LinkOpened)
        )
    ]
    .spacing(8);
    card.push(buttons).spacing(14).padding(16).width(492).into()
}

/// What a link may hide: the worst of it.
fn warning(url: &str) -> Option<String> {
    let host = host_of(url);
    let words = |doubt: &Doubt| match doubt {
        Doubt::DisguisedAddress(address) => format!("This number is the address {address}."),
        Doubt::HiddenCharacters => "Look closely: this address has hidden characters.".to_owned(),
        Doubt::LooksLike(like) => {
            format!("This looks like {like}, but is another name: {}.", host.ascii)
        }
        Doubt::MixedScripts => {
            format!("Letters of several alphabets are mixed here: {}.", host.ascii)
        }
        Doubt::UserPart(_) => {
            "Look closely: what stands before the @ is not where this leads.".to_owned()
        }
    };
    let foreign = || {
        let is_foreign = !host.shown.is_ascii();
        is_foreign.then(|| format!("This name is written {} in the network.", host.ascii))
    };
    host.doubts.first().map(words).or_else(foreign)
}

/// Scheme (with user part), host, and the rest.
fn url_parts(url: &str) -> (&str, &str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let host = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    (&url[..host], &url[host..end], &url[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_link_is_found_behind_what_poses_as_it() {
        assert_eq!(url_parts("https://a.b/c?d"), ("https://", "a.b", "/c?d"));
        assert_eq!(url_parts("http://bank.com@evil.x:8/"), ("http://bank.com@", "evil.x:8", "/"));
        assert_eq!(url_parts("http://[::1]"), ("http://", "[::1]", ""));
    }

    #[test]
    fn links_that_hide_something_are_warned_of() {
        for url in
            ["https://a.b/\u{202e}gpj.exe", "http://bank.com@evil.x/", "https://\u{430}pple.com/"]
        {
            assert!(warning(url).is_some(), "{url}");
        }
        assert_eq!(warning("https://example.org/wiki/Restart_(edge)"), None);
    }
}
