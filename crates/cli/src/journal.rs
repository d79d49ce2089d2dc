//! `parlour-cli journal`: what was kept of conferences, read, searched, exported, kept and deleted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use engine::json::{contact_line, found_line, transcript_line};
use engine::{Archive, ArchiveError, Contact, Format, Private, export};

/// What is done with a journal.
#[derive(Subcommand)]
pub enum JournalAction {
    /// List the conferences whose texts are there, newest first
    List,
    /// Print one conference
    Export {
        /// Its number in the list
        id: i64,
        /// txt, html or json
        #[arg(long, default_value = "txt", value_name = "FORMAT", value_parser = format)]
        format: Format,
        /// Lines to one person alone too
        #[arg(long)]
        private: bool,
    },
    /// Print the lines in which all these words stand; from:NAME, has:link, has:key and has:ip narrow it
    Search {
        /// The words
        words: Vec<String>,
    },
    /// Keep a conference that would be deleted
    Keep {
        /// Its number in the list
        id: i64,
    },
    /// Delete a conference with its texts
    Delete {
        /// Its number in the list
        id: i64,
    },
    /// List the contacts
    Contacts,
    /// Save a contact
    AddContact {
        /// The address
        uri: String,
        /// The name
        name: String,
    },
    /// Delete a contact
    DeleteContact {
        /// The address
        uri: String,
    },
}

/// Does it; the program's exit status says whether there was something.
pub fn run(folder: &Path, action: JournalAction) -> ExitCode {
    match act(folder, action) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parlour-cli: the journal in {} cannot be read: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn act(folder: &Path, action: JournalAction) -> Result<bool, ArchiveError> {
    let mut archive = Archive::open(folder)?;
    match action {
        JournalAction::List => {
            let all = archive.transcripts()?;
            all.iter().for_each(|info| println!("{}", transcript_line(info)));
            Ok(!all.is_empty())
        }
        JournalAction::Export { id, format, private } => {
            let private = if private { Private::Included } else { Private::LeftOut };
            let transcript = archive.transcript(id)?;
            if let Some(transcript) = &transcript {
                print!("{}", export(transcript, format, private));
            }
            Ok(transcript.is_some())
        }
        JournalAction::Search { words } => {
            let found = archive.search(&words.join(" "))?;
            found.iter().for_each(|found| println!("{}", found_line(found)));
            Ok(!found.is_empty())
        }
        JournalAction::Keep { id } => archive.keep(id),
        JournalAction::Delete { id } => archive.delete(id),
        JournalAction::Contacts => {
            let all = archive.contacts()?;
            all.iter().for_each(|contact| println!("{}", contact_line(contact)));
            Ok(!all.is_empty())
        }
        JournalAction::AddContact { uri, name } => {
            archive.save_contact(&Contact { uri, name }).map(|()| true)
        }
        JournalAction::DeleteContact { uri } => archive.delete_contact(&uri),
    }
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "html" => Ok(Format::Html),
        "json" => Ok(Format::Json),
        "txt" => Ok(Format::Text),
        _ => Err("txt, html or json".to_owned()),
    }
}

/// Where the journal is that `host --data-folder` writes.
#[derive(clap::Args)]
pub struct JournalArguments {
    /// The folder given to host or join
    #[arg(long, value_name = "FOLDER")]
    pub data_folder: PathBuf,
    #[command(subcommand)]
    pub action: JournalAction,
}
