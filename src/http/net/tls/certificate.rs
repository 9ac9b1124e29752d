//! A certificate and its key in files, reloaded when the files change.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Bytes of a file at most. A chain has some 10 KiB; a larger file is the wrong file.
const MAX_BYTES: u64 = 1 << 20;

/// The paths of a certificate and its key, and the pair in use.
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
    /// The contents read last, valid or not. The same contents are not tried again.
    read: Mutex<Texts>,
}

/// The contents of the two files, or the error of reading each.
type Texts = [Result<Vec<u8>, String>; 2];

impl Certificate {
    /// Reads and checks the pair.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, Vec<String>> {
        let texts = [read(chain), read(key)];
        let current = pair(chain, key, &texts)?;
        Ok(Self {
            chain: chain.into(),
            key: key.into(),
            current: ArcSwap::from_pointee(current),
            read: Mutex::new(texts),
        })
    }

    /// See [`TlsServer::reload`](super::TlsServer::reload).
    pub fn reload(&self) -> bool {
        // Before the files are read: of two threads, the one that reads last also decides last.
        let mut last = self.read.lock();
        let texts = [read(&self.chain), read(&self.key)];
        if *last == texts {
            return true;
        }
        let outcome = pair(&self.chain, &self.key, &texts);
        *last = texts;
        match outcome {
            Ok(pair) => {
                self.current.store(Arc::new(pair));
                tracing::info!(chain = %self.chain.display(), "a new certificate is in use");
                true
            }
            Err(problems) => {
                let problems = problems.join("; ");
                tracing::error!(problem = %problems, "the new certificate cannot be used; the old one stays");
                false
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error| format!("{} cannot be read: {error}", path.display());
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(format!("{} has more than {MAX_BYTES} bytes; name a PEM file", path.display()));
    }
    fs::read(path).map_err(failed)
}

fn pair(chain: &Path, key: &Path, texts: &Texts) -> Result<CertifiedKey, Vec<String>> {
    let certificates = texts[0].clone().and_then(|text| certificates(chain, &text));
    // The message has none of the contents, which may be secret.
    let no_key = |_| format!("{} has no private key in PEM", key.display());
    let secret = texts[1].clone().and_then(|text| PrivateKeyDer::from_pem_slice(&text).map_err(no_key));
    let (certificates, secret) = match (certificates, secret) {
        (Ok(certificates), Ok(secret)) => (certificates, secret),
        (certificates, secret) => return Err(certificates.err().into_iter().chain(secret.err()).collect()),
    };
    CertifiedKey::from_der(certificates, secret, &super::provider::provider())
        .map_err(|error| vec![format!("{} is not the key of {}: {error}", key.display(), chain.display())])
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(format!("{} has no certificate in PEM", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, process::Command, sync::mpsc::channel, thread, time::Duration};

    use tempfile::TempDir;

    use super::*;

    /// Writes a new pair to the same two files.
    fn write(directory: &TempDir) -> (PathBuf, PathBuf) {
        let generated = rcgen::generate_simple_self_signed(["hub.example".into()]).expect("valid");
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        fs::write(&chain, generated.cert.pem()).expect("writable");
        fs::write(&key, generated.signing_key.serialize_pem()).expect("writable");
        (chain, key)
    }

    fn in_use(certificate: &Certificate) -> Vec<u8> {
        certificate.current.load().cert[0].to_vec()
    }

    #[test]
    fn a_new_pair_replaces_the_old_one_and_an_invalid_one_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let (chain, key) = write(&directory);
        let certificate = Certificate::load(&chain, &key).expect("sound");
        let first = in_use(&certificate);
        assert!(certificate.reload() && in_use(&certificate) == first, "nothing is new");
        write(&directory);
        assert!(certificate.reload());
        let second = in_use(&certificate);
        assert_ne!(first, second);
        for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            fs::write(&chain, broken).expect("writable");
            assert!(!certificate.reload(), "{broken:?}");
            assert_eq!(in_use(&certificate), second);
        }
        fs::remove_file(&chain).expect("there");
        assert!(!certificate.reload());
        assert_eq!(in_use(&certificate), second);
    }

    #[test]
    fn of_two_checks_the_one_that_reads_last_decides() {
        let directory = tempfile::tempdir().expect("a directory");
        let (chain, key) = write(&directory);
        let certificate = Arc::new(Certificate::load(&chain, &key).expect("sound"));
        let (first, first_key) = (in_use(&certificate), fs::read(&key).expect("readable"));
        let check = || {
            let (certificate, (ended, end)) = (Arc::clone(&certificate), channel());
            let thread = thread::spawn(move || {
                certificate.reload();
                ended.send(()).expect("the test waits");
            });
            (thread, end)
        };
        // A slow disk: the read of a FIFO waits for its writer.
        fs::remove_file(&key).expect("there");
        assert!(Command::new("mkfifo").arg(&key).status().expect("mkfifo").success());
        let (slow, _end) = check();
        let mut disk = fs::OpenOptions::new().write(true).open(&key).expect("a reader");
        fs::remove_file(&key).expect("there");
        write(&directory);
        let (other, end) = check();
        // Without the order it ends now.
        let _ = end.recv_timeout(Duration::from_millis(100));
        disk.write_all(&first_key).expect("a reader");
        drop(disk);
        slow.join().expect("no panic");
        other.join().expect("no panic");
        assert_ne!(in_use(&certificate), first);
    }

    #[test]
    fn every_error_of_a_pair_is_reported_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let nothing = directory.path().join("nothing.pem");
        let problems = Certificate::load(&nothing, &nothing).expect_err("there is none");
        assert_eq!(problems.len(), 2, "{problems:?}");
        let (chain, key) = write(&directory);
        let other = directory.path().join("other.pem");
        fs::copy(&chain, &other).expect("writable");
        write(&directory);
        let problems = Certificate::load(&other, &key).expect_err("a key of another");
        assert!(problems[0].contains("is not the key of"), "{problems:?}");
        let problems = Certificate::load(&chain, &chain).expect_err("no key");
        assert!(problems[0].contains("no private key"), "{problems:?}");
    }
}
