#!/bin/sh
# Makes the certificates and signatures in this directory with openssl: one certificate a key type, and for each the
# signatures of the file data, in Base64. The private keys are thrown away.
set -eu
cd "$(dirname "$0")"
keys=$(mktemp -d)
trap 'rm -r "$keys"' EXIT

printf 'the bytes of an image\n' >data
openssl genrsa -out "$keys/RSA-PSS" 2048
openssl dsaparam -genkey -out "$keys/DSA" 2048
openssl ecparam -name secp384r1 -genkey -noout -out "$keys/ECC_SECP384R1"
openssl ecparam -name secp521r1 -genkey -noout -out "$keys/ECC_SECP521R1"
for type in RSA-PSS DSA ECC_SECP384R1 ECC_SECP521R1; do
	openssl req -x509 -new -key "$keys/$type" -subj "/CN=$type" -days 36500 -sha256 -out "$type.crt"
	for bits in 224 256 384 512; do
		pss=
		if [ $type = RSA-PSS ]; then pss="-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max"; fi
		openssl dgst -sha$bits -sign "$keys/$type" $pss data | base64 -w0 >"$type.SHA-$bits.sig"
	done
done
# What must not be accepted.
openssl dgst -sha256 -sign "$keys/RSA-PSS" data | base64 -w0 >pkcs1.sig
openssl dgst -sha256 -sign "$keys/RSA-PSS" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest data | base64 -w0 >shortsalt.sig
openssl dgst -sha256 -sign "$keys/RSA-PSS" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max -sigopt rsa_mgf1_md:sha1 data | base64 -w0 >othermgf.sig
