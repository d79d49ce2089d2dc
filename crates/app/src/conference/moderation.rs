//! What the host can do about one person: a card with all of it.

use engine::ReferId;
use engine::{Command, Moderation, Participant, ParticipantId, ParticipantState, SessionKind};
use iced::widget::{Column, container, row};
use iced::{Alignment, Element, Length};

use super::{Action, Message, State};
use crate::icon::Icon;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, label, middle};

/// One press of louder or softer.
const STEP_DB: f32 = 3.0;

impl State {
    pub(super) fn person_card<'a>(
        &'a self,
        tokens: Tokens,
        id: ParticipantId,
    ) -> Element<'a, Message> {
        let Some(person) = self.people.iter().find(|person| person.id == id) else {
            return label("This person is not here any more.", 15.0, tokens.text).into();
        };
        let press = |icon: Icon, words: &'static str, act: Moderation| {
            let message = Message::ModerationPressed(id, act);
            action(tokens, Kind::Normal, Some(icon), words, Some(message))
        };
        let held = person.state == ParticipantState::OnHold;
        let mute = if person.muted_by_host {
            press(Icon::Mic, "Unmute for everybody", Moderation::Mute(false))
        } else {
            press(Icon::MicOff, "Mute for everybody", Moderation::Mute(true))
        };
        let hold = if held { "Take off hold" } else { "Put on hold" };
        let volume = |by: f32| Moderation::Volume { gain_db: person.volume_db + by };
        let loudness = row![
            press(Icon::ArrowDown, "Softer", volume(-STEP_DB)),
            label(format!("{:+.0} dB", person.volume_db), 13.0, tokens.muted),
            press(Icon::Speaker, "Louder", volume(STEP_DB))
        ]
        .spacing(8)
        .align_y(Alignment::Center);
        let together = if person.is_aside {
            let words = "Merge into the conference";
            action(tokens, Kind::Normal, Some(Icon::People), words, Some(Message::MergePressed(id)))
        } else {
            let words = "Talk to this person alone";
            action(tokens, Kind::Normal, Some(Icon::User), words, Some(Message::SplitPressed(id)))
        };
        let remove = Some(Message::RemovePressed(id));
        Column::new()
            .push(label(middle(&person.name, 32), 18.0, tokens.text))
            .push(label(middle(&person.entity, 48), 13.0, tokens.muted))
            .push(mute)
            .push(press(Icon::Clock, hold, Moderation::Hold(!held)))
            .push(loudness)
            .push(together)
            .push(action(tokens, Kind::Danger, Some(Icon::Leave), "Remove", remove))
            .spacing(8)
            .padding(16)
            .width(360)
            .into()
    }

    /// Somebody wants somebody called: the user says whether.
    pub(super) fn wish_banner<'a>(
        &'a self,
        tokens: Tokens,
        refer: ReferId,
        words: &'a str,
    ) -> Element<'a, Message> {
        let decide = |accepted: bool| Some(Message::WishDecided(refer, accepted));
        let content = row![
            Icon::Invite.view(20.0, tokens.accent),
            container(label(words, 14.0, tokens.text)).width(Length::Fill),
            action(tokens, Kind::Normal, None, "No", decide(false)),
            action(tokens, Kind::Primary, Some(Icon::Phone), "Call", decide(true))
        ]
        .spacing(12)
        .align_y(Alignment::Center);
        let panel = tokens.fill(tokens.raised);
        container(content).padding([8, 16]).width(Length::Fill).style(panel).into()
    }

    /// The other, or a participant, wants somebody called.
    pub fn wish(&mut self, refer: ReferId, name: &str, to: &str) {
        let name = crate::clean::one_line(name, 40);
        let to = crate::clean::one_line(to, 60);
        let words = if self.kind == SessionKind::Hosted {
            format!("{name} wants {to} to be called into the conference.")
        } else {
            format!("{name} wants you to call {to} instead. This call ends then.")
        };
        self.wishes.push((refer, words));
    }

    /// Nobody wants that any more.
    pub fn wish_gone(&mut self, refer: ReferId) {
        self.wishes.retain(|(known, _)| *known != refer);
    }

    pub(super) fn decide_wish(&mut self, refer: ReferId, accepted: bool) -> Action {
        self.wish_gone(refer);
        Action::Send(vec![if accepted {
            Command::AcceptRefer { refer }
        } else {
            Command::RefuseRefer { refer }
        }])
    }

    pub(super) fn merge(&mut self, id: ParticipantId) -> Action {
        self.floating = None;
        Action::Send(vec![Command::Merge { participant: Some(id) }])
    }

    pub(super) fn split(&mut self, participant: ParticipantId) -> Action {
        self.floating = None;
        Action::Send(vec![Command::Split { participant }])
    }

    /// The card stays: the next press may belong to the same person.
    pub(super) fn moderate(&mut self, participant: ParticipantId, act: Moderation) -> Action {
        Action::Send(vec![Command::Moderate { participant, act }])
    }
}

/// Whether there is anything to be done about somebody.
pub(super) fn has_card(person: &Participant) -> bool {
    !person.is_self
        && matches!(person.state, ParticipantState::Connected | ParticipantState::OnHold)
}
