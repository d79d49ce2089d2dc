//! TLS over real sockets: who is believed and who is not (RFC 5922 §7).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use sip_core::{Connect, ConnectionChange, ConnectionId, Transmit, Transport};
use sip_net::{
    BindError, CertificateProblem, Driver, DriverSettings, Received, TlsIdentity, TlsSettings,
};
use tempfile::TempDir;

const DOMAIN: &str = "example.org";
const OURS: ConnectionId = ConnectionId(1 << 63 | 7);

struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these names.
    fn certify(&self, names: Vec<SanType>, expired: bool) -> TlsIdentity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = TlsIdentity {
            certificate: self.folder.path().join("server.pem"),
            key: self.folder.path().join("server.key"),
        };
        std::fs::write(&identity.certificate, certificate.pem()).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

async fn bind(authorities: Option<PathBuf>, identity: Option<TlsIdentity>) -> Driver {
    let tls = TlsSettings { authorities, identity };
    let settings = DriverSettings { tls, ..DriverSettings::default() };
    Driver::bind_with((Ipv4Addr::LOCALHOST, 0).into(), &settings).await.unwrap()
}

async fn next(driver: &mut Driver) -> Received {
    let received = tokio::time::timeout(Duration::from_secs(10), driver.receive());
    received.await.expect("nothing came").expect("the driver ended")
}

fn connect(client: &mut Driver, server: &Driver) {
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, server.tls_port().expect("TLS is taken")));
    client.connect(&Connect {
        connection: OURS,
        transport: Transport::Tls,
        domain: DOMAIN.to_owned(),
        local: client.address(),
        remote,
    });
}

/// What becomes of a connection to a server with this certificate.
async fn attempt(names: Vec<SanType>, expired: bool, believed: bool) -> Option<CertificateProblem> {
    let authority = Authority::new();
    let identity = authority.certify(names, expired);
    let server = bind(None, Some(identity)).await;
    let mut client = bind(believed.then(|| authority.file()), None).await;
    connect(&mut client, &server);
    match next(&mut client).await {
        Received::Connection { change: ConnectionChange::Opened { .. }, .. } => None,
        Received::Untrusted { domain, problem } => {
            assert_eq!(domain, DOMAIN);
            let Received::Connection { connection, change } = next(&mut client).await else {
                panic!()
            };
            let refused = ConnectionChange::Closed { refused: true };
            assert_eq!((connection, change), (OURS, refused));
            Some(problem)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn tp19_a_server_is_who_its_certificate_names_by_sip_uri_or_by_name() {
    assert_eq!(attempt(vec![dns(DOMAIN)], false, true).await, None);
    assert_eq!(attempt(vec![dns("EXAMPLE.org")], false, true).await, None);
    assert_eq!(attempt(vec![uri("sip:example.org")], false, true).await, None);
    // A host that the name system named is not the domain that was meant.
    let host = attempt(vec![dns("sip.example.org")], false, true).await;
    assert_eq!(host, Some(CertificateProblem::WrongDomain));
    let wildcard = attempt(vec![dns("*.org")], false, true).await;
    assert_eq!(wildcard, Some(CertificateProblem::WrongDomain));
    // Where there is a SIP URI, names say nothing; a person's URI is none.
    let other = attempt(vec![uri("sip:example.net"), dns(DOMAIN)], false, true).await;
    assert_eq!(other, Some(CertificateProblem::WrongDomain));
    assert_eq!(attempt(vec![uri("sip:a@example.net"), dns(DOMAIN)], false, true).await, None);
}

#[tokio::test(flavor = "current_thread")]
async fn tp19_a_certificate_that_is_old_or_vouched_for_by_nobody_is_refused_by_its_reason() {
    let expired = attempt(vec![dns(DOMAIN)], true, true).await;
    assert_eq!(expired, Some(CertificateProblem::Expired));
    let unknown = attempt(vec![dns(DOMAIN)], false, false).await;
    assert_eq!(unknown, Some(CertificateProblem::UnknownAuthority));
}

#[tokio::test(flavor = "current_thread")]
async fn bytes_go_both_ways_and_the_end_is_told() {
    let authority = Authority::new();
    let identity = authority.certify(vec![dns(DOMAIN)], false);
    let mut server = bind(None, Some(identity)).await;
    let mut client = bind(Some(authority.file()), None).await;
    connect(&mut client, &server);
    let Received::Connection { change: ConnectionChange::Opened { flow: ours }, .. } =
        next(&mut client).await
    else {
        panic!()
    };
    let Received::Connection { change: ConnectionChange::Opened { flow: theirs }, connection } =
        next(&mut server).await
    else {
        panic!()
    };
    assert_eq!((ours.transport, theirs.transport), (Transport::Tls, Transport::Tls));
    assert_eq!(theirs.local.port(), server.tls_port().unwrap());
    for (from, to, flow) in [(true, false, ours), (false, true, theirs)] {
        let contents = Bytes::from_static(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n");
        let sender = if from { &mut client } else { &mut server };
        sender.send(&Transmit { flow, contents: contents.clone() });
        let receiver = if to { &mut client } else { &mut server };
        let Received::Stream { contents: got, .. } = next(receiver).await else { panic!() };
        assert_eq!(got, contents);
    }
    client.close(OURS);
    let Received::Connection { connection: ended, change: ConnectionChange::Closed { .. } } =
        next(&mut server).await
    else {
        panic!()
    };
    assert_eq!(ended, connection);
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_that_speaks_no_tls_is_not_heard_of() {
    let authority = Authority::new();
    let identity = authority.certify(vec![dns(DOMAIN)], false);
    let mut server = bind(None, Some(identity)).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.tls_port().unwrap()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let text = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, text).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_millis(500), server.receive()).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_file_that_is_no_certificate_is_named() {
    let tls = TlsSettings { authorities: Some("/nowhere/ca.pem".into()), identity: None };
    let settings = DriverSettings { tls, ..DriverSettings::default() };
    let bound = Driver::bind_with((Ipv4Addr::LOCALHOST, 0).into(), &settings).await;
    let Err(error @ BindError::Tls(_)) = bound else { panic!("it was taken") };
    assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
}
