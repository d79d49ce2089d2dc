//! Conference documents as they came over the wire: versions, the content model of RFC 4575, and xmllint, with the
//! schema where `PARLOUR_RFC4575_XSD` names it.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Checks every document of one subscription.
#[track_caller]
pub fn assert_valid(documents: &[String], folder: &Path) {
    assert!(documents.len() >= 4, "only {} documents came", documents.len());
    let mut last_version = None;
    for document in documents {
        match conference::info::check(document.as_bytes()) {
            Ok(breaches) => assert!(breaches.is_empty(), "{breaches:?} in\n{document}"),
            Err(error) => panic!("{error} in\n{document}"),
        }
        let version = version(document);
        let expected = last_version.map_or(version, |last: u32| last + 1);
        assert_eq!(version, expected, "versions go up by one");
        last_version = Some(version);
    }
    let schema = env::var_os("PARLOUR_RFC4575_XSD");
    for (number, document) in documents.iter().enumerate() {
        let path = folder.join(format!("document-{number}.xml"));
        // xmllint's anyURI refuses the brackets of an IPv6 address, which SIP needs: they are escaped in this copy only.
        fs::write(&path, document.replace('[', "%5B").replace(']', "%5D")).unwrap();
        let mut lint = Command::new("xmllint");
        lint.args(["--noout", "--nonet"]);
        if let Some(schema) = &schema {
            lint.arg("--schema").arg(schema);
        }
        let output = lint.arg(&path).output().unwrap_or_else(|error| {
            panic!("xmllint cannot be started ({error}): no document was checked by it")
        });
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}\n{document}");
    }
    let count = documents.len();
    match schema {
        Some(_) => {
            println!("{count} documents pass our own check and xmllint with the schema of RFC 4575")
        }
        None => println!(
            "{count} documents pass our own check and are well-formed to xmllint; NOT checked by the schema of RFC \
             4575: PARLOUR_RFC4575_XSD names none"
        ),
    }
}

fn version(document: &str) -> u32 {
    let text = document.split("version=\"").filter_map(|rest| rest.split('"').next());
    text.filter_map(|text| text.parse().ok()).next().unwrap_or_else(|| panic!("{document}"))
}
