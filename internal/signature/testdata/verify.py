"""Verifies signatures of the file data with cursive: reads "certificate key-type hash-method signature" lines, and
answers each with True or False."""
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cursive import exception, signature_utils as utils

data = open(sys.argv[1], "rb").read()
for line in sys.stdin:
    path, key_type, method, signature = line.split()
    certificate = x509.load_pem_x509_certificate(open(path, "rb").read())
    try:
        kind = utils.SignatureKeyType.lookup(key_type)
        key = certificate.public_key()
        if not isinstance(key, kind.public_key_type):
            raise exception.SignatureVerificationError(reason="key type")
        verifier = kind.create_verifier(utils.get_signature(signature), utils.get_hash_method(method), key)
        verifier.update(data)
        verifier.verify()
        print(True)
    except (InvalidSignature, exception.SignatureVerificationError):
        print(False)
