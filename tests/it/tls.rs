//! TLS towards Flowroute and AWS.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use test_support::{
    TN,
    binary::{Binary, eventually},
    dynamodb::{Table, engine_url},
    flowroute_standin::FlowrouteStandin,
    pair,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

/// A TLS server that forwards to this address, and a file with its certificate.
async fn before(plain_url: &str, folder: &Path, name: &str) -> (String, PathBuf) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = folder.join(format!("{name}.pem"));
    std::fs::write(&file, cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![cert.into()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let plain = plain_url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            tokio::spawn(async move {
                // A client that does not trust the certificate disconnects.
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(plain).await.unwrap();
                let _ = copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    });
    (url, file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_and_texts_are_sent_only_to_servers_with_a_trusted_certificate() {
    let folder = TempDir::new().unwrap();
    let (table, standin) = (Table::create(&engine_url()).await, FlowrouteStandin::start().await);
    let (aws, aws_pem) = before(&engine_url(), folder.path(), "aws").await;
    let (flowroute, flowroute_pem) = before(standin.url(), folder.path(), "flowroute").await;
    let both_pem = folder.path().join("both.pem");
    let pems = [&aws_pem, &flowroute_pem].map(|pem| std::fs::read_to_string(pem).unwrap());
    std::fs::write(&both_pem, pems.concat()).unwrap();
    let trusting = async |pem: &Path| {
        let mut settings = standin.settings(&table.settings(&aws));
        settings.extend([
            ("STORAGE", "dynamodb"),
            ("FLOWROUTE_API_URL", flowroute.as_str()),
            ("SSL_CERT_FILE", pem.to_str().unwrap()),
            ("MAINTENANCE_INTERVAL", "1"),
        ]);
        Binary::serve(folder.path(), &settings).await
    };
    let tn = || Some(json!({"value": TN}));

    let server = trusting(&flowroute_pem).await;
    assert_eq!(server.call("POST", "/tn", tn()).await.status, 503);
    server.stop().await;

    let server = trusting(&aws_pem).await;
    server.ok("POST", "/tn", tn()).await;
    server.ok("POST", "/session", Some(pair())).await;
    server.stop().await;
    assert_eq!(standin.requests(), 0);

    let server = trusting(&both_pem).await;
    eventually("what waited goes out", || (standin.taken().len() == 2).then_some(())).await;
    server.stop().await;
}
