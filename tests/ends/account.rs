//! `parlour-cli` with an account at the tests' registrar.

use std::fs;
use std::time::Duration;

use super::cli::Cli;
use super::dns::NameServer;
use super::kamailio::{DOMAIN, Kamailio};
use super::process::free_port;

/// Somebody with an account there, whose servers the name system knows.
pub fn with_account(
    kamailio: &Kamailio,
    names: &NameServer,
    user: &str,
    password: &str,
    what: &[&str],
) -> Cli {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{password}\n")).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (account, dns) = (format!("sip:{user}@{DOMAIN}"), names.address.to_string());
    let (authority, file) = (kamailio.authority(), file.to_str().unwrap().to_owned());
    let listen = format!("127.0.0.1:{}", free_port([127, 0, 0, 1].into()));
    // The conference's account is not its host's name.
    let name = if what[0] == "host" { "Host".to_owned() } else { user.to_owned() };
    let mut all = what.to_vec();
    all.extend(["--account", &account, "--password-file", &file, "--dns", &dns]);
    all.extend(["--tls-ca", authority.to_str().unwrap(), "--listen", &listen]);
    all.extend(["--name", &name, "--audio", "silence"]);
    let cli = Cli::start(user, &all);
    cli.expect("registration", Duration::from_secs(8), |event| {
        event["state"] == "registered" || event["state"] == "failed"
    });
    cli
}
