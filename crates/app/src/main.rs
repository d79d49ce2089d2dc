//! `parlour`: the desktop application.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use app::window::{Options, Wanted};

const USAGE: &str = "parlour [ADDRESS] [--name NAME] [--listen ADDR:PORT] [--theme light|dark|system]
        [--host SUBJECT] [--conference USER] [--invite URI]... [--audio KIND] [--data-folder DIR] [--json]

ADDRESS fills the call bar; nobody is called without being asked. KIND: device, silence, tone:HZ, file:IN.wav.
--invite hosts a conference, of a subject of its own without --host.
--json prints events and takes commands as parlour-cli does.";

fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PARLOUR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Some(options) = options(std::env::args().skip(1))? else { return Ok(()) };
    app::run(options).context("the window could not be opened")
}

fn options(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<Options>> {
    let data = directories::ProjectDirs::from("", "", "parlour")
        .map(|folders| folders.data_dir().to_owned());
    let mut options = Options {
        name: std::env::var("USER")
            .ok()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "Parlour".to_owned()),
        listen: SocketAddr::from(([0, 0, 0, 0], 5060)),
        audio: engine::AudioKind::Device,
        host: None,
        conference: None,
        invite: Vec::new(),
        address: None,
        data_folder: data,
        theme: Wanted::System,
        json: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--name" => options.name = value()?,
            "--listen" => {
                options.listen = value()?.parse().context("--listen takes an address and a port")?
            }
            "--theme" => {
                options.theme = match value()?.as_str() {
                    "light" => Wanted::Light,
                    "dark" => Wanted::Dark,
                    "system" => Wanted::System,
                    other => bail!("--theme is light, dark or system, not {other}"),
                }
            }
            "--host" => options.host = Some(value()?),
            "--conference" => options.conference = Some(value()?),
            "--invite" => options.invite.push(value()?),
            "--audio" => options.audio = value()?.parse()?,
            "--data-folder" => options.data_folder = Some(PathBuf::from(value()?)),
            "--json" => options.json = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(None);
            }
            "--version" => {
                println!("parlour {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            address if !address.starts_with("--") => options.address = Some(address.to_owned()),
            other => bail!("unknown option {other}\n{USAGE}"),
        }
    }
    for uri in &options.invite {
        if let Err(fault) = engine::parse_target(uri) {
            bail!("--invite {uri}: {fault}");
        }
    }
    // Whoever is invited is invited into a conference: one of ours, "NAME's conference" where it has no subject.
    if !options.invite.is_empty() && options.host.is_none() {
        options.host = Some(String::new());
    }
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> anyhow::Result<Option<Options>> {
        options(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn who_is_invited_is_called_into_a_conference_of_ours() {
        let options = read(&["--invite", "sip:bob@example.org"]).unwrap().unwrap();
        assert_eq!(options.host.as_deref(), Some(""));
        assert_eq!(options.invite, ["sip:bob@example.org"]);
        let options = read(&["--host", "Weekly", "--invite", "bob@x.y"]).unwrap().unwrap();
        assert_eq!(options.host.as_deref(), Some("Weekly"));
        assert_eq!(read(&[]).unwrap().unwrap().host, None);
    }

    #[test]
    fn an_invitation_that_cannot_be_called_is_an_error_in_words() {
        let error = read(&["--invite", "dave@@x.y"]).unwrap_err().to_string();
        assert_eq!(error, "--invite dave@@x.y: has two @ signs");
    }
}
