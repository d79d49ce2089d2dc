//! The texts of a conference that ended: they are kept, or written into a file of the user's choice. Each says in words what
//! came of it.

use std::path::{Path, PathBuf};

use engine::{Archive, Format, Private, Transcript, export};

const GONE: &str = "These texts are not in the journal any more.";

/// Keeps them.
pub(super) async fn keep(folder: PathBuf, conference: String, subject: String) -> String {
    let kept = find(&folder, &conference, &subject).and_then(|found| {
        let archive = Archive::open(&folder).map_err(|error| error.to_string())?;
        archive.keep(found.info.id).map_err(|error| error.to_string())
    });
    match kept {
        Ok(_) => "The texts of this conference are kept.".to_owned(),
        Err(error) => error,
    }
}

/// Writes them; what was to one person alone is left out. Empty where the user chose no file.
pub(super) async fn write(folder: PathBuf, conference: String, subject: String) -> String {
    let found = match find(&folder, &conference, &subject) {
        Ok(found) => found,
        Err(error) => return error,
    };
    let dialog = rfd::AsyncFileDialog::new()
        .set_title("Export the conference: .txt, .html or .json")
        .set_file_name("conference.txt");
    let Some(file) = dialog.save_file().await else { return String::new() };
    let text = export(&found, format_of(&file.file_name()), Private::LeftOut);
    match file.write(text.as_bytes()).await {
        Ok(()) => "The conference was exported, without private lines.".to_owned(),
        Err(error) => format!("The conference could not be exported: {error}"),
    }
}

/// The latest of that address, or for a call of that name.
fn find(folder: &Path, conference: &str, subject: &str) -> Result<Transcript, String> {
    let words = |error: engine::ArchiveError| error.to_string();
    let archive = Archive::open(folder).map_err(words)?;
    let mut all = archive.transcripts().map_err(words)?.into_iter();
    let found = all.find(|one| match conference {
        "" => one.subject == subject,
        uri => one.uri == uri,
    });
    let found = found.ok_or_else(|| GONE.to_owned())?;
    archive.transcript(found.id).map_err(words)?.ok_or_else(|| GONE.to_owned())
}

fn format_of(name: &str) -> Format {
    match name.rsplit('.').next() {
        Some("html" | "htm") => Format::Html,
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_its_form() {
        let forms = ["a.txt", "a.html", "b.x.json", "a"].map(format_of);
        assert_eq!(forms, [Format::Text, Format::Html, Format::Json, Format::Text]);
    }

    #[test]
    fn where_nothing_was_kept_that_is_said() {
        let told = find(Path::new("/nowhere/at/all"), "sip:a@b", "").unwrap_err();
        assert!(!told.is_empty());
    }
}
