use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

use super::*;

/// What `openssl x509 -req` signs where it is not told of extensions.
pub(crate) const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBJDCBzAIUTf9CJfNnLDITwBqC8ZNGfYJ7YeQwCgYIKoZIzj0EAwIwHjEcMBoG
A1UEAwwTdHJhaWxnYXRlIGF1dGhvcml0eTAeFw0yNjExMjcxMzQxNDNaFw0zNjEx
MjQxMzQxNDNaMA0xCzAJBgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAEYza6OJOsw1eYXMpcnPz9dwVfFHX8UrP7clKzN/DxH3a7xjAz1uTByJm9Ohsn
oLJe9RDhRwsGEmuNMjaowtkPaTAKBggqhkjOPQQDAgNHADBEAiAv2IBFBopZR1f1
Xi2XB/7gr1GwYauz+wG9dC+mbfv+rQIgIULaAT8msb3TO/w4m1xocZfqnBpd/Sz6
13AOca3TyXQ=
-----END CERTIFICATE-----
";

/// An authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for these names, and its key.
    fn issue(&self, names: Vec<SanType>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn write(dir: &Path, pair: &(String, String)) {
    std::fs::write(dir.join("cert.pem"), &pair.0).unwrap();
    std::fs::write(dir.join("key.pem"), &pair.1).unwrap();
}

fn files(dir: &Path, client_ca: bool) -> Files {
    Files {
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
        client_ca: client_ca.then(|| dir.join("ca.pem")),
    }
}

/// Shakes hands with who shows a certificate; who it was, and the serial number of
/// the server's certificate.
async fn shake(
    tls: &Tls,
    authority: &Authority,
    shown: Option<&(String, String)>,
) -> io::Result<(Option<String>, Vec<u8>)> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        Some((cert, key)) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from("gateway").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let connect = async {
        let mut stream = connector.connect(name, client).await?;
        stream.flush().await?;
        let (_, connection) = stream.get_ref();
        let cert = connection.peer_certificates().unwrap().first().unwrap();
        let cert = webpki::EndEntityCert::try_from(cert).unwrap();
        Ok::<_, io::Error>((cert.serial().to_vec(), stream))
    };
    let (accepted, connected) = tokio::join!(tls.accept(Port::Grpc, server), connect);
    let (_, identity) = accepted?;
    let (serial, _) = connected?;
    Ok((identity.map(|who| who.name().to_string()), serial))
}

#[tokio::test]
async fn who_shows_a_certificate_is_known_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new(), Authority::new());
    write(dir.path(), &authority.issue(vec![dns("gateway")]));
    std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
    let tls = Tls::load(files(dir.path(), true)).unwrap();
    assert!(tls.asks_who());
    let spiffe = "spiffe://example.org/ns/security/sa/alerts";
    for (names, known) in [
        (vec![dns("alerts"), uri(spiffe)], Some(spiffe)),
        (vec![dns("alerts"), dns("b")], Some("alerts")),
    ] {
        let shown = authority.issue(names);
        let (who, _) = shake(&tls, &authority, Some(&shown)).await.unwrap();
        assert_eq!(who.as_deref(), known);
    }
    let (who, _) = shake(&tls, &authority, None).await.unwrap();
    assert_eq!(who, None, "probes show none");
    // of nobody, and of another authority
    let nobody = authority.issue(Vec::new());
    assert!(shake(&tls, &authority, Some(&nobody)).await.is_err());
    let stranger = other.issue(vec![dns("alerts")]);
    assert!(shake(&tls, &authority, Some(&stranger)).await.is_err());
}

#[tokio::test]
async fn new_files_are_in_force_once_they_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let first = authority.issue(vec![dns("gateway")]);
    write(dir.path(), &first);
    let tls = Tls::load(files(dir.path(), false)).unwrap();
    assert!(!tls.asks_who() && !tls.reload().unwrap());
    let (_, before) = shake(&tls, &authority, None).await.unwrap();
    // one of a pair comes first
    let second = authority.issue(vec![dns("gateway")]);
    write(dir.path(), &(second.0.clone(), first.1));
    let error = tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("--tls-key") && error.contains("not the key"),
        "{error}"
    );
    assert_eq!(tls.reload().unwrap_err().to_string(), error, "as before");
    assert_eq!(shake(&tls, &authority, None).await.unwrap().1, before);
    write(dir.path(), &second);
    assert!(tls.reload().unwrap());
    assert_ne!(shake(&tls, &authority, None).await.unwrap().1, before);
    std::fs::remove_file(dir.path().join("key.pem")).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("--tls-key") && error.contains("key.pem"),
        "{error}"
    );
    shake(&tls, &authority, None).await.unwrap();
}

#[test]
fn files_that_are_none_are_named_with_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Authority::new().issue(vec![dns("gateway")]);
    let refused = || Tls::load(files(dir.path(), true)).unwrap_err().to_string();
    assert!(refused().contains("--tls-cert"));
    write(dir.path(), &(pair.1.clone(), pair.1.clone()));
    std::fs::write(dir.path().join("ca.pem"), "none").unwrap();
    assert!(refused().contains("BEGIN CERTIFICATE"));
    write(dir.path(), &(pair.0.clone(), pair.0.clone()));
    assert!(refused().contains("BEGIN PRIVATE KEY"));
    write(dir.path(), &pair);
    let error = refused();
    assert!(
        error.contains("--tls-client-ca") && error.contains("ca.pem"),
        "{error}"
    );
    assert!(!error.contains("none\n"));
    write(dir.path(), &(VERSION_1.to_owned(), pair.1.clone()));
    let error = refused();
    assert!(
        error.contains("--tls-cert") && error.contains("version 1"),
        "{error}"
    );
    let encrypted = pair.1.replace("PRIVATE", "ENCRYPTED PRIVATE");
    write(dir.path(), &(pair.0.clone(), encrypted));
    let error = refused();
    assert!(
        error.contains("--tls-key") && error.contains("is encrypted"),
        "{error}"
    );
}

#[test]
fn what_clients_do_not_take_of_a_server_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let doubt = || Tls::load(files(dir.path(), false)).unwrap().doubt();
    write(dir.path(), &authority.issue(vec![dns("gateway")]));
    assert_eq!(doubt(), None);
    let own = (
        authority.pem.clone(),
        authority.issuer.key().serialize_pem(),
    );
    write(dir.path(), &own);
    let told = doubt().unwrap();
    assert!(
        told.contains("--tls-cert") && told.contains("CA:FALSE"),
        "{told}"
    );
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["gateway".into()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let of_a_caller = params.signed_by(&key, &authority.issuer).unwrap();
    write(dir.path(), &(of_a_caller.pem(), key.serialize_pem()));
    let told = doubt().unwrap();
    assert!(told.contains("serverAuth"), "{told}");
}

/// How the second of two handshakes of one client goes.
async fn again(
    tls: &Tls,
    authority: &Authority,
    shown: &(String, String),
    version: &'static SupportedProtocolVersion,
) -> HandshakeKind {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(shown.0.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(shown.1.as_bytes()).unwrap(),
        )
        .unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut kind = None;
    for _ in 0..2 {
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let name = ServerName::try_from("gateway").unwrap();
        let (server, client) = tokio::join!(
            tls.accept(Port::Grpc, accepted.unwrap().0),
            connector.connect(name, client.unwrap())
        );
        let (mut server, mut client) = (server.unwrap().0, client.unwrap());
        // tickets come with the first bytes
        server.write_all(b"x").await.unwrap();
        server.flush().await.unwrap();
        client.read_u8().await.unwrap();
        kind = server.get_ref().1.handshake_kind();
    }
    kind.unwrap()
}

#[tokio::test]
async fn where_certificates_are_asked_for_each_handshake_shows_one() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    write(dir.path(), &authority.issue(vec![dns("gateway")]));
    std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
    let shown = authority.issue(vec![dns("alerts")]);
    for version in [&TLS12, &TLS13] {
        let asking = Tls::load(files(dir.path(), true)).unwrap();
        let kind = again(&asking, &authority, &shown, version).await;
        assert_eq!(kind, HandshakeKind::Full, "{version:?}");
        // this test can tell
        let open = Tls::load(files(dir.path(), false)).unwrap();
        let kind = again(&open, &authority, &shown, version).await;
        assert_eq!(kind, HandshakeKind::Resumed, "{version:?}");
    }
}
