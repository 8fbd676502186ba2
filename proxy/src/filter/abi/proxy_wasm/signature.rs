//! `verify_signature`, as Envoy offers it: RSA (PKCS #1 v1.5) and ECDSA, with a key as SubjectPublicKeyInfo.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use bytes::Bytes;
use prost::Message;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

/// Envoy's VerifySignatureArguments.
#[derive(Clone, PartialEq, Message)]
struct Arguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "bytes", tag = "2")]
    public_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    signature: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    text: Bytes,
    #[prost(string, tag = "5")]
    public_key_pem: String,
}

/// Envoy's VerifySignatureResult.
#[derive(Clone, PartialEq, Message)]
struct Outcome {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(string, tag = "2")]
    error: String,
}

/// `None`: these are no arguments.
pub fn verify(arguments: &[u8]) -> Option<Vec<u8>> {
    let error = verified(&Arguments::decode(arguments).ok()?).err().unwrap_or_default();
    Some(Outcome { result: error.is_empty(), error }.encode_to_vec())
}

fn verified(given: &Arguments) -> Result<(), String> {
    let algorithms =
        algorithms(&given.hash_function).ok_or_else(|| format!("`{}` is no hash function here", given.hash_function))?;
    let key = match (given.public_key.is_empty(), given.public_key_pem.is_empty()) {
        (false, _) => given.public_key.to_vec(),
        (true, true) => return Err("there is no public key".to_owned()),
        (true, false) => {
            let key = SubjectPublicKeyInfoDer::from_pem_slice(given.public_key_pem.as_bytes());
            key.map_err(|error| format!("the public key is no PEM: {error}"))?.to_vec()
        }
    };
    // The key tells which of them it is for, and is none for the others.
    let fits = |algorithm: &&'static dyn VerificationAlgorithm| {
        UnparsedPublicKey::new(*algorithm, &key).verify(&given.text, &given.signature).is_ok()
    };
    if algorithms.iter().any(fits) { Ok(()) } else { Err("the signature is not that of this key and text".to_owned()) }
}

fn algorithms(hash: &str) -> Option<[&'static dyn VerificationAlgorithm; 3]> {
    Some(match hash {
        "sha256" => {
            [&signature::RSA_PKCS1_2048_8192_SHA256, &signature::ECDSA_P256_SHA256_ASN1, &signature::ECDSA_P384_SHA256_ASN1]
        }
        "sha384" => {
            [&signature::RSA_PKCS1_2048_8192_SHA384, &signature::ECDSA_P256_SHA384_ASN1, &signature::ECDSA_P384_SHA384_ASN1]
        }
        "sha512" => {
            [&signature::RSA_PKCS1_2048_8192_SHA512, &signature::ECDSA_P256_SHA512_ASN1, &signature::ECDSA_P521_SHA512_ASN1]
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

    fn outcome(arguments: &Arguments) -> (bool, String) {
        let outcome = Outcome::decode(&verify(&arguments.encode_to_vec()).expect("they are arguments")[..]).expect("a message");
        (outcome.result, outcome.error)
    }

    #[test]
    fn a_signature_is_of_a_key_and_a_text() {
        let (random, text) = (SystemRandom::new(), Bytes::from_static(b"the text"));
        let elliptic = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let of_elliptic = elliptic.sign(&random, &text).expect("a signature").as_ref().to_vec();
        let elliptic: PublicKeyX509Der<'_> = elliptic.public_key().as_der().expect("a key");
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let mut of_rsa = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, &text, &mut of_rsa).expect("a signature");
        let rsa: PublicKeyX509Der<'_> = rsa.public_key().as_der().expect("a key");
        for (key, signature) in [(elliptic.as_ref(), of_elliptic), (rsa.as_ref(), of_rsa)] {
            let sound = Arguments {
                hash_function: "sha256".to_owned(),
                public_key: Bytes::copy_from_slice(key),
                signature: signature.into(),
                text: text.clone(),
                public_key_pem: String::new(),
            };
            assert_eq!(outcome(&sound), (true, String::new()));
            for wrong in [
                Arguments { text: Bytes::from_static(b"another"), ..sound.clone() },
                Arguments { hash_function: "sha512".to_owned(), ..sound.clone() },
                Arguments { hash_function: "md5".to_owned(), ..sound.clone() },
                Arguments { public_key: Bytes::new(), ..sound.clone() },
                Arguments { public_key: Bytes::new(), public_key_pem: "no key".to_owned(), ..sound.clone() },
            ] {
                let (is_well, error) = outcome(&wrong);
                assert!(!is_well && !error.is_empty(), "{wrong:?}");
            }
        }
        assert!(verify(b"\xff").is_none());
    }
}
