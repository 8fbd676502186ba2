#!/usr/bin/env bash
# Makes ./certificates: a private authority, and identities of the services `web` and `users` of the trust domain shop.example; `stranger`
# is of another one. For trying things out: whoever has ca.key is believed to be anybody.
set -euo pipefail
mkdir -p certificates
cd certificates

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=a private CA" \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem 2>/dev/null

# A SPIFFE ID is the one URI name of a certificate.
identity() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    printf '%s\n' "subjectAltName=URI:$2" basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
        extendedKeyUsage=serverAuth,clientAuth >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.csr" "$1.ext"
}

identity web spiffe://shop.example/ns/shop/sa/web
identity users spiffe://shop.example/ns/shop/sa/users
identity stranger spiffe://elsewhere.example/ns/shop/sa/users
