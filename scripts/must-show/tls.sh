#!/usr/bin/env bash
# What others say of the TLS that is spoken: openssl, curl with and without ALPN, and sslyze against Mozilla's intermediate
# configuration, which finds nothing but the private authority.
source "$(dirname "$0")/lib.sh"

sslyze=.venv/bin/python
if ! "$sslyze" -c 'import sslyze' 2>/dev/null; then
    python3 -m venv "$work/venv"
    sslyze="$work/venv/bin/python"
    "$sslyze" -m pip install --quiet --disable-pip-version-check sslyze
fi
build
make_authority
sign_certificate edge
cat "$work/ca.pem" >>"$work/edge.pem"
start_tls_edge

handshake() {
    openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$work/ca.pem" -verify_return_error "$@" \
        </dev/null 2>&1 || true
}
says() { grep -q "$1" "$work/handshake.txt"; }

handshake -alpn h2,http/1.1 >"$work/handshake.txt"
must "openssl verifies the chain" says 'Verify return code: 0 (ok)'
must "TLS 1.3 is spoken" says 'TLSv1.3'
must "HTTP/2 is agreed on" says 'ALPN protocol: h2'
handshake -tls1_2 >"$work/handshake.txt"
must "TLS 1.2 is spoken, with forward secrecy" says 'Cipher is ECDHE-ECDSA-'
for old in -tls1 -tls1_1; do
    handshake "$old" -cipher 'ALL:@SECLEVEL=0' >"$work/handshake.txt"
    must "$old is refused" test -z "$(grep 'Cipher is [A-Z]*-' "$work/handshake.txt" || true)"
done

ask() { curl --silent --cacert "$work/ca.pem" --output /dev/null --write-out '%{http_version} %{http_code}' "$@" "https://localhost:$port/"; }
must "curl with ALPN speaks HTTP/2" test "$(ask)" = "2 200"
must "curl that offers HTTP/1.1 alone gets it" test "$(ask --http1.1)" = "1.1 200"
must "curl without ALPN gets HTTP/1.1" test "$(ask --no-alpn)" = "1.1 200"

"$sslyze" -m sslyze --mozilla_config=intermediate "127.0.0.1:$port" >"$work/sslyze.txt" || true
sed -n '/COMPLIANCE/,$p' "$work/sslyze.txt"
found="$(sed -n 's/^ *\* \([a-z_]*\): .*/\1/p' <(sed -n '/COMPLIANCE/,$p' "$work/sslyze.txt") | sort -u | tr '\n' ' ')"
must "sslyze has compared" grep -q "Mozilla's \"intermediate\" configuration" "$work/sslyze.txt"
must "it finds nothing but the private authority" test "$found" = "certificate_path_validation "
for group in X25519MLKEM768 X25519 P-256; do
    handshake -tls1_3 -groups "$group" >"$work/handshake.txt"
    if grep -q 'Call to SSL_CONF_cmd\|unsupported\|Error with command' "$work/handshake.txt"; then
        say "  this openssl does not know $group"
    else
        must "$group is agreed on" says 'Verify return code: 0 (ok)'
    fi
done
