#!/usr/bin/env bash
# Makes keys.json: key files as openssl writes them, good and bad, each with what reading it ends in.
#
#   test/vectors/make-keys.sh > test/vectors/keys.json
#
# Needs openssl 3 with its legacy provider, and python3. The keys are throwaways made here.
set -euo pipefail
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT; cd "$W"
P='a pass$"word'; export P
old=(-provider legacy -provider default)
make() { local name=$1 expect=$2 pass=$3; printf '%s\t%s\t%s\t%s\n' "$name" "$expect" "$pass" "$(base64 -w0 < out.pem)" >> list; rm -f out.pem; }
openssl genrsa -traditional -out one.pem 2048 2>/dev/null
openssl rsa -in one.pem -pubout -outform DER 2>/dev/null | sha256sum | cut -d' ' -f1 > id
cp one.pem out.pem; make 'PKCS#1 in clear' ok ''
cp one.pem out.pem; make 'PKCS#1 in clear, passphrase ignored' ok 'needless'
openssl pkcs8 -topk8 -nocrypt -in one.pem -out out.pem; make 'PKCS#8 in clear' ok ''
openssl pkcs8 -topk8 -nocrypt -in one.pem | sed 's/$/\r/' > out.pem; make 'PKCS#8 in clear, CRLF' ok ''
{ echo 'Bag Attributes'; echo '  friendlyName: x'; cat one.pem; echo trailing; } > out.pem; make 'text around the block' ok ''
for c in aes128 aes192 aes256 des3; do
  openssl rsa -in one.pem -traditional -$c -passout env:P -out out.pem 2>/dev/null; cp out.pem legacy-$c.pem; make "legacy PEM $c" ok "$P"
done
for c in aes-128-cbc aes-256-cbc des3; do
  openssl pkcs8 -topk8 -in one.pem -v2 $c -passout env:P -out out.pem; cp out.pem p8-$c.pem; make "PKCS#8 $c" ok "$P"
done
openssl pkcs8 -topk8 -in one.pem -v2 aes-256-cbc -v2prf hmacWithSHA1 -passout env:P -out out.pem; make 'PKCS#8 PBKDF2 with SHA-1' ok "$P"
openssl pkcs8 -topk8 -in one.pem -scrypt -passout env:P -out out.pem; make 'PKCS#8 scrypt' ok "$P"
openssl pkcs8 -topk8 -in one.pem -v1 PBE-SHA1-3DES -passout env:P -out out.pem; make 'PKCS#8 PBES1 triple DES' ok "$P"

for f in legacy-aes256 p8-aes-256-cbc; do
  cp $f.pem out.pem; make "$f, no passphrase" passphrase-required ''
  cp $f.pem out.pem; make "$f, wrong passphrase" wrong-passphrase 'wrong'
  cp $f.pem out.pem; make "$f, passphrase with a space after it" wrong-passphrase "$P "
done
python3 - <<'PY'
import re
text = open("legacy-aes256.pem").read()
open("legacy-cut.pem", "w").write(re.sub(r"\n[^\n]+\n(-----END)", r"\n\1", text))
PY
cp legacy-cut.pem out.pem; make 'legacy PEM with its last line missing' wrong-passphrase "$P"
openssl rsa -in one.pem "${old[@]}" -traditional -des -passout env:P -out out.pem 2>/dev/null; make 'legacy PEM single DES' unsupported "$P"
openssl pkcs8 -topk8 -in one.pem "${old[@]}" -v1 PBE-MD5-DES -passout env:P -out out.pem; make 'PKCS#8 PBES1 single DES' unsupported "$P"
openssl pkcs8 -topk8 -in one.pem "${old[@]}" -v2 des-cbc -passout env:P -out out.pem; make 'PKCS#8 PBES2 single DES' unsupported "$P"
openssl pkcs8 -topk8 -in one.pem "${old[@]}" -v2 rc2 -passout env:P -out out.pem; make 'PKCS#8 RC2' unsupported "$P"
openssl rsa -in one.pem -traditional -camellia256 -passout env:P -out out.pem 2>/dev/null; make 'legacy PEM Camellia' unsupported "$P"

openssl genrsa -traditional -out out.pem 1024 2>/dev/null; make 'RSA-1024' ok-short ''
openssl genrsa -traditional -out out.pem 512 2>/dev/null; make 'RSA-512' damaged-key ''
openssl ecparam -name prime256v1 -genkey -out out.pem; make 'EC with parameters' damaged-key ''
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out out.pem; make 'EC PKCS#8' damaged-key ''
openssl genpkey -algorithm ED25519 -out out.pem; make 'Ed25519' damaged-key ''
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out out.pem 2>/dev/null; make 'RSA-PSS' damaged-key ''
openssl rsa -in one.pem -pubout -out out.pem 2>/dev/null; make 'public key' damaged-key ''
: > out.pem; make 'empty file' damaged-key ''
echo 'not a key' > out.pem; make 'text' damaged-key ''
head -c 300 /dev/zero | tr '\0' '\377' > out.pem; make 'bytes' damaged-key ''
openssl rsa -in one.pem -traditional -outform DER -out out.pem 2>/dev/null; make 'DER' damaged-key ''
head -5 one.pem > out.pem; make 'cut off' damaged-key ''
sed '3s/^/!/' one.pem > out.pem; make 'not base64' damaged-key ''
sed '5d' one.pem > out.pem; make 'a line missing' damaged-key ''
printf -- '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n' > out.pem; make 'empty block' damaged-key ''
printf -- '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' > out.pem; make 'nonsense in a block' damaged-key ''
printf -- '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAMCAQA=\n-----END ENCRYPTED PRIVATE KEY-----\n' > out.pem; make 'nonsense in a sealed block' damaged-key "$P"
sed '/^DEK-Info/d' legacy-aes256.pem > out.pem; make 'legacy PEM without DEK-Info' damaged-key "$P"
printf -- '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' > out.pem; make 'certificate' damaged-key ''
python3 - list id <<'PY'
import json, sys
cases = [dict(zip(("name", "expect", "passphrase", "pem"), line.rstrip("\n").split("\t"))) for line in open(sys.argv[1])]
print(json.dumps({"note": "made by make-keys.sh; the keys are throwaways", "keyId": open(sys.argv[2]).read().strip(), "cases": cases}, indent=1))
PY
