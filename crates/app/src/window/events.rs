//! What the engine tells.

use super::*;

impl Window {
    pub(super) fn engine(&mut self, event: Event) -> Task<Message> {
        if let Some((writer, output)) = &mut self.json
            && let Some(line) = writer.line(&event)
        {
            output.line(line);
        }
        match event {
            Event::Accepted { reference, .. } => {
                self.with(|session| session.screen.accepted(&reference))
            }
            Event::Audio { microphone, speaker } => self.sound(Audio { microphone, speaker }),
            Event::Conference(standing) => self.with(|session| session.screen.standing(&standing)),
            Event::Delivery(delivery) => self.with(|session| session.screen.delivery(delivery)),
            Event::Ended { reason } => {
                self.question = None;
                match self.sessions.running_mut() {
                    Some(session) => session.screen.end(reason),
                    None => self.home.tell(&reason),
                }
            }
            Event::Fatal { text } => {
                self.phase = home::Phase::Failed;
                self.home.tell(&text);
            }
            Event::History(history) => self.home.history = history,
            Event::Invitation { text } => return self.invitation(text),
            Event::Incoming { incoming, name, uri } => {
                self.incoming.rings(incoming, &name, uri.clone(), Instant::now());
                if !self.focused {
                    let name = if name.is_empty() { uri.clone() } else { name };
                    self.notifier.tell(Order::Rings { incoming, name, uri });
                }
            }
            Event::IncomingGone { incoming, missed, .. } => {
                self.incoming.gone(incoming, Instant::now());
                self.notifier.tell(Order::RingsNoMore { incoming, missed });
                let asked = |question: &Question| question.intent == Intent::Answer(incoming);
                if self.question.as_ref().is_some_and(asked) {
                    self.question = None;
                }
            }
            Event::Interrupted(found) => self.tell(crate::text::interrupted(&found)),
            Event::Line(line) => self.line(line),
            Event::Lobby(waiting) => self.waits(waiting),
            Event::PersonalText(line) => self.personal(line),
            Event::Typing { entity, name, on } => {
                self.with(|session| session.screen.typing(&entity, &name, on));
            }
            Event::Muted { on } => self.with(|session| {
                session.muted = on;
                session.screen.muted(on);
            }),
            Event::Notice { text } => self.tell(text),
            Event::Participant(participant) => {
                self.with(|session| session.screen.participant(participant));
                self.ask_again();
            }
            Event::Ready { uri, hint } => {
                self.address = uri;
                self.phase = home::Phase::Ready;
                if let Some(hint) = hint {
                    self.home.tell(&hint);
                }
                if let Some(command) = self.begin.take() {
                    self.send(command);
                }
            }
            Event::Referred { refer, name, to, .. } => match self.sessions.running_mut() {
                Some(session) => session.screen.wish(refer, &name, &to),
                None => {
                    self.send(Command::RefuseRefer { refer });
                }
            },
            Event::ReferredGone { refer } => {
                self.with(|session| session.screen.wish_gone(refer));
            }
            // A failure comes as a notice too; what keys are for is a script's business.
            Event::Digit { .. } | Event::Registration { .. } => {}
            Event::Refused { reference, reason } => {
                self.with(|session| session.screen.refused(&reference, reason))
            }
            Event::Session { kind, subject, conference } => {
                if self.sessions.begin(kind, subject, conference) {
                    self.fit();
                    if let Some(words) = self.no_sound.take() {
                        self.tell(words);
                    }
                    return iced::widget::operation::focus(conference::COMPOSER);
                }
            }
        }
        Task::none()
    }

    fn with(&mut self, act: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.latest_mut() {
            act(session);
        }
    }

    /// The invitation was asked for to be pasted somewhere.
    fn invitation(&mut self, text: String) -> Task<Message> {
        self.with(|session| session.screen.say("Copied the invitation".to_owned()));
        iced::clipboard::write(text)
    }

    /// Who waits wants to be heard of: the people are not always in sight.
    fn waits(&mut self, waiting: engine::Waiting) {
        if waiting.state == engine::WaitingState::Waiting {
            let name = crate::clean::one_line(&waiting.name, 60);
            self.tell(format!("{name} waits to be let in. People shows the lobby."));
        }
        self.with(|session| session.screen.waits(waiting));
    }

    fn line(&mut self, line: engine::Line) {
        let seen = self.focused && self.sessions.shows_latest();
        let Some(session) = self.sessions.latest_mut() else { return self.home.text(line) };
        if !line.is_own && !seen {
            self.notifier.tell(Order::Line {
                group: group(session.id),
                title: session.screen.subject.clone(),
                name: line.name.clone(),
                text: line.text.clone(),
            });
        }
        session.lines += 1;
        session.screen.line(line, seen);
    }

    /// From outside of any session: it stands on the home screen, whatever is shown now.
    fn personal(&mut self, line: engine::Line) {
        if !self.focused || self.sessions.shown().is_some() {
            self.notifier.tell(Order::Line {
                group: format!("text-{}", line.from),
                title: line.name.clone(),
                name: line.name.clone(),
                text: line.text.clone(),
            });
        }
        if let Some(session) = self.sessions.shown_mut() {
            let name = crate::clean::one_line(&line.name, 60);
            let words = format!("{name} wrote to you alone. The text is on the home screen.");
            session.screen.notice(words);
        }
        self.home.text(line);
    }

    /// A session's sound is told before the session itself: what is wrong with it waits for its screen.
    fn sound(&mut self, audio: Audio) {
        let words = match (audio.microphone.as_ref().err(), audio.speaker.as_ref().err()) {
            (Some(one), Some(two)) if one == two => {
                Some(format!("No sound from microphone and speaker: {one}"))
            }
            (Some(one), Some(two)) => {
                Some(format!("No sound from the microphone: {one} None from the speaker: {two}"))
            }
            (Some(one), None) => Some(format!("No sound from the microphone: {one}")),
            (None, Some(two)) => Some(format!("No sound from the speaker: {two}")),
            (None, None) => None,
        };
        self.audio = Some(audio);
        match (words, self.sessions.running()) {
            (Some(words), Some(_)) => self.tell(words),
            (words, _) => self.no_sound = words,
        }
    }
}
