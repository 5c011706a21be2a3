//! Certificates of an authority that the tests make, for servers on loopback.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, as a file of roots has it.
    pub(crate) pem: String,
    /// The same in DER.
    pub(crate) der: Vec<u8>,
}

impl Authority {
    /// Makes one.
    pub(crate) fn new() -> Self {
        Self::named("Test Authority")
    }

    /// Makes one of another name.
    pub(crate) fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let own = params.self_signed(&key).unwrap();
        Self { pem: own.pem(), der: own.der().to_vec(), issuer: Issuer::new(params, key) }
    }

    /// A server's certificate for some names, valid in some years; the chain sent has the authority's too.
    pub(crate) fn issue(&self, names: &[&str], years: (i32, i32)) -> Identity {
        let (params, key) = own(names, years);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::of(vec![certificate.der().clone(), CertificateDer::from(self.der.clone())], &key)
    }
}

/// A key and what its certificate shall say.
fn own(names: &[&str], (from, until): (i32, i32)) -> (CertificateParams, KeyPair) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    (params, KeyPair::generate().unwrap())
}

/// What a server shows.
#[derive(Clone)]
pub(crate) struct Identity {
    /// For its handshakes.
    pub(crate) config: Arc<ServerConfig>,
    /// Its own certificate first.
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Identity {
    /// A certificate that is its own authority.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let (params, key) = own(names, (2020, 2099));
        let certificate = params.self_signed(&key).unwrap();
        Self::of(vec![certificate.der().clone()], &key)
    }

    fn of(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let der = chain.iter().map(|certificate| certificate.to_vec()).collect();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .unwrap();
        Self { config: Arc::new(config), chain: der }
    }
}
