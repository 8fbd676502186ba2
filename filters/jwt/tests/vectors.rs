//! The examples of the RFCs: what others have signed is found to be so, and nothing else is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt::algorithm::Algorithm;
use jwt::jwk;
use jwt::key::Key;
use serde_json::{Value, json};

struct Vector {
    source: String,
    key: Key,
    algorithm: Algorithm,
    signed: String,
    signature: Vec<u8>,
}

fn key(jwk: &Value) -> Key {
    let (mut keys, left_out) = jwk::set(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    assert_eq!(left_out, [""; 0]);
    keys.remove(0)
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let vector = |vector: &Value| {
        let (signed, signature) = vector["token"].as_str().unwrap().rsplit_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        Vector {
            source: vector["source"].as_str().unwrap().to_owned(),
            key: key(&vector["key"]),
            algorithm: Algorithm::named(header["alg"].as_str().unwrap()).unwrap(),
            signed: signed.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).unwrap(),
        }
    };
    all.iter().map(vector).collect()
}

#[test]
fn what_the_rfcs_signed_is_verified() {
    assert_eq!(vectors().len(), 7);
    for Vector { source, key, algorithm, signed, signature } in vectors() {
        assert!(key.verifies(algorithm, signed.as_bytes(), &signature), "{source}");
    }
}

#[test]
fn one_bit_more_or_less_is_seen() {
    for Vector { source, key, algorithm, signed, signature } in vectors() {
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut wrong = signature.clone();
            wrong[at] ^= 1;
            assert!(!key.verifies(algorithm, signed.as_bytes(), &wrong), "{source}, byte {at}");
        }
        assert!(!key.verifies(algorithm, format!("{signed}A").as_bytes(), &signature), "{source}");
        assert!(!key.verifies(algorithm, signed.as_bytes(), &signature[1..]), "{source}");
        assert!(!key.verifies(algorithm, signed.as_bytes(), &[]), "{source}");
    }
}

#[test]
fn a_key_is_of_its_kind_alone() {
    use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let all = [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, EdDsa, Hs256, Hs384, Hs512];
    for Vector { source, key, algorithm, signed, signature } in vectors() {
        for other in all.into_iter().filter(|other| *other != algorithm) {
            assert!(!key.verifies(other, signed.as_bytes(), &signature), "{source} as {other:?}");
        }
    }
}

#[test]
fn keys_for_something_else_are_left_out() {
    let rsa: Value = serde_json::from_str(include_str!("rsa.json")).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = rsa.clone();
        key[name] = value;
        key
    };
    for (key, why) in [
        (with("use", json!("enc")), "expected `use` to be \"sig\", found \"enc\""),
        (with("key_ops", json!(["encrypt"])), "expected `key_ops` with \"verify\", found [\"encrypt\"]"),
        (with("alg", json!("RSA-OAEP")), "expected an algorithm of signatures, found `alg` \"RSA-OAEP\""),
        (with("alg", json!("ES256")), "expected a key for the `alg` \"ES256\", found one of another kind or too short"),
        (with("n", json!("AQAB")), "expected an RSA key of 2048 to 4096 bits, found 17"),
        (with("e", json!("AA")), "expected an RSA key, found: "),
        (with("e", json!("!")), "expected `e` in base64url, found something else"),
        (with("kty", json!("AKP")), "expected `kty` RSA, EC, OKP or oct, found \"AKP\""),
        (json!({ "kty": "EC", "crv": "secp256k1" }), "expected P-256, P-384 or Ed25519, found the curve \"secp256k1\""),
        (json!({ "kty": "EC", "crv": "P-256", "x": "AA" }), "expected `x` of 32 bytes, found 1"),
        (
            json!({ "kty": "EC", "crv": "P-256", "x": "A".repeat(43), "y": "A".repeat(43) }),
            "expected a point of P-256, found another one",
        ),
        (json!({ "kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43) }), "expected a point of Ed25519, found another one"),
        (json!({ "kty": "oct" }), "missing member `k`"),
        (json!({ "kty": "oct", "alg": "HS256", "k": "AAAA" }), "expected a key for the `alg` \"HS256\""),
    ] {
        let (keys, left_out) = jwk::set(json!({ "keys": [key, rsa] }).to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 1, "the other key of the set is still there");
        assert!(left_out[0].starts_with(&format!("keys[0]: {why}")), "{left_out:?}");
    }
}

#[test]
fn a_set_is_a_set() {
    assert!(jwk::set(b"{}").unwrap_err().starts_with("expected a JSON Web Key Set, found missing field `keys`"));
    assert!(jwk::set(b"<html>").unwrap_err().starts_with("expected a JSON Web Key Set, found "));
    let many = json!({ "keys": vec![json!({ "kty": "oct", "k": "AAAA" }); 101] });
    assert_eq!(jwk::set(many.to_string().as_bytes()).unwrap_err(), "expected at most 100 keys, found 101");
    assert_eq!(jwk::set(b" \n").unwrap().0.len(), 0);
}
