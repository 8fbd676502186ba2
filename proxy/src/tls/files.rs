//! The files that a part is made of, each read once: what is checked is what is used, and a digest tells whether it is still
//! what is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::pem::{self, PemObject};

use crate::config::Step;

/// Bytes of one file: bundles of every authority there is have a hundredth of it, revocation lists of large ones are megabytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why something cannot be used, and which key named it.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct TlsError {
    /// Below `tls`.
    pub place: Vec<Step<'static>>,
    why: Wrong,
}

#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    #[error("cannot read the {what} `{}`: {source}", path.display())]
    Read { what: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot read the {what} `{}`: {source}", path.display())]
    Pem { what: &'static str, path: PathBuf, source: pem::Error },
    #[error("expected a PEM file with at least one {what}, found none in `{}`", path.display())]
    Empty { what: &'static str, path: PathBuf },
    #[error("the private key `{}` cannot be used: {source}", path.display())]
    Key { path: PathBuf, source: rustls::Error },
    #[error("the private key does not belong to the certificate `{}`", path.display())]
    Mismatch { path: PathBuf },
    #[error("the certificate `{}` cannot be used: {message}", path.display())]
    Certificate { path: PathBuf, message: String },
    #[error("a certificate in `{}` cannot be an authority: {message}", path.display())]
    Authority { path: PathBuf, message: String },
    #[error("a revocation list in `{}` cannot be used: {message}", path.display())]
    Revocations { path: PathBuf, message: String },
    #[error("expected a successful OCSP response in DER in `{}`", path.display())]
    Staple { path: PathBuf },
    #[error("no authority is known that could vouch for anybody: the system has no certificates{0}")]
    Nobody(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

impl Wrong {
    pub fn at(self, place: impl Into<Vec<Step<'static>>>) -> TlsError {
        TlsError { place: place.into(), why: self }
    }
}

pub type Digest = [u8; 32];

/// See the module.
pub struct Files(BTreeMap<PathBuf, Result<Vec<u8>, io::Error>>);

impl Files {
    pub fn read<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Self {
        Self(paths.map(|path| (path.clone(), read(path))).collect())
    }

    /// Of all of them; a file that cannot be read differs from each that can.
    pub fn digest(&self) -> Digest {
        Self::digest_of(self.0.iter())
    }

    /// Of some of them.
    pub fn digest_among<'a>(&self, paths: impl Iterator<Item = &'a PathBuf>) -> Digest {
        Self::digest_of(paths.filter_map(|path| self.0.get_key_value(path)))
    }

    fn digest_of<'a>(files: impl Iterator<Item = (&'a PathBuf, &'a Result<Vec<u8>, io::Error>)>) -> Digest {
        let mut context = Context::new(&SHA256);
        for (path, content) in files {
            context.update(path.as_os_str().as_encoded_bytes());
            match content {
                Ok(bytes) => {
                    context.update(&[1]);
                    context.update(&(bytes.len() as u64).to_be_bytes());
                    context.update(bytes);
                }
                Err(_) => context.update(&[0]),
            }
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    pub fn bytes(&self, what: &'static str, path: &Path) -> Result<&[u8], Wrong> {
        match self.0.get(path) {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(error)) => Err(read_error(what, path, io::Error::new(error.kind(), error.to_string()))),
            None => Err(read_error(what, path, io::ErrorKind::NotFound.into())),
        }
    }

    /// Every item of one kind in a PEM file, at least one.
    pub fn items<T: PemObject>(&self, what: &'static str, path: &Path) -> Result<Vec<T>, Wrong> {
        let read = T::pem_slice_iter(self.bytes(what, path)?).collect::<Result<Vec<_>, _>>();
        match read {
            Ok(items) if items.is_empty() => Err(Wrong::Empty { what, path: path.to_owned() }),
            Ok(items) => Ok(items),
            Err(source) => Err(Wrong::Pem { what, path: path.to_owned(), source }),
        }
    }

    /// The first item of one kind.
    pub fn item<T: PemObject>(&self, what: &'static str, path: &Path) -> Result<T, Wrong> {
        let read = T::from_pem_slice(self.bytes(what, path)?);
        read.map_err(|source| Wrong::Pem { what, path: path.to_owned(), source })
    }
}

fn read_error(what: &'static str, path: &Path, source: io::Error) -> Wrong {
    Wrong::Read { what, path: path.to_owned(), source }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_what_has_changed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let digest = || Files::read([&one, &two].into_iter()).digest();
        let neither = digest();
        std::fs::write(&one, "a").expect("written");
        let first = digest();
        std::fs::write(&two, "").expect("written");
        let both = digest();
        assert!(neither != first && first != both && neither != both);
        std::fs::write(&one, "a").expect("written");
        assert_eq!(digest(), both, "the same bytes again");
    }
}
