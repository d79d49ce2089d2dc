//! What the check of a document lets pass, and what it does not.

use super::*;

fn breaches(users: &str) -> Vec<String> {
    let document = format!(
        "<conference-info xmlns=\"{NAMESPACE}\" entity=\"sip:c@d\" state=\"full\" version=\"1\">\
         <conference-description/><users>{users}</users></conference-info>"
    );
    check(document.as_bytes()).unwrap().into_iter().map(|breach| breach.what).collect()
}

#[test]
fn a_breach_says_where_it_is() {
    let document = format!(
        "<conference-info xmlns=\"{NAMESPACE}\" entity=\"sip:c@d\" version=\"1\"><conference-description/>\
         <users><user entity=\"a\"><endpoint entity=\"b\"><status>gone</status></endpoint></user></users>\
         </conference-info>"
    );
    let path = "conference-info/users/user/endpoint/status".to_owned();
    let what = "value \"gone\"".to_owned();
    assert_eq!(check(document.as_bytes()), Ok(vec![Breach { path, what }]));
}

#[test]
fn what_the_schema_does_not_see_is_found_too() {
    assert!(breaches("").is_empty());
    assert_eq!(breaches("<user entity=\"a\"/><user entity=\"a\"/>"), ["user a twice"]);
    assert_eq!(breaches("<user/>"), ["no entity"]);
    assert_eq!(breaches("<user entity=\"a\" state=\"partial\"/>"), ["partial below what is full"]);
    let deleted = "<user entity=\"a\" state=\"deleted\"><languages>en</languages></user>";
    assert_eq!(breaches(deleted), ["deleted below what is full", "something in what is deleted"]);
    let endpoint = |inner: &str| {
        breaches(&format!("<user entity=\"a\"><endpoint entity=\"b\">{inner}</endpoint></user>"))
    };
    let when = |text: &str| endpoint(&format!("<joining-info><when>{text}</when></joining-info>"));
    assert!(when("2026-11-22T10:00:00Z").is_empty());
    assert_eq!(when("2026-11-22T10:00:00+01:00").len(), 1);
    let source = |text: &str| endpoint(&format!("<media id=\"1\"><src-id>{text}</src-id></media>"));
    assert!(source("4294967295").is_empty());
    assert_eq!((source("0x1234").len(), source("4294967296").len(), source("+1").len()), (1, 1, 1));
}
