"""Every kind of KMS key through boto3, checked by pyca/cryptography. Prints what agreed, as JSON."""
import hashlib
import hmac
import json

import boto3
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

kms = boto3.client("kms")
MESSAGE = b"a golden image"
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
KEK = bytes(range(32))


def create(spec, usage, **more):
    return kms.create_key(KeySpec=spec, KeyUsage=usage, **more)["KeyMetadata"]["KeyId"]


def public_key(key):
    return serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])


def oaep(chosen):
    return padding.OAEP(mgf=padding.MGF1(chosen), algorithm=chosen, label=None)


def bring(key, material):
    """Imports material wrapped by RSA_AES_KEY_WRAP_SHA_256."""
    given = kms.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSA_AES_KEY_WRAP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    wrapping = serialization.load_der_public_key(given["PublicKey"])
    wrapped = wrapping.encrypt(KEK, oaep(hashes.SHA256())) + aes_key_wrap_with_padding(KEK, material)
    kms.import_key_material(
        KeyId=key,
        ImportToken=given["ImportToken"],
        EncryptedKeyMaterial=wrapped,
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )


def pkcs8(key):
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def padding_of(algorithm, chosen):
    if "PSS" in algorithm:
        return padding.PSS(mgf=padding.MGF1(chosen), salt_length=padding.PSS.DIGEST_LENGTH)
    return padding.PKCS1v15()


def check_signatures():
    """The private keys come from pyca; both sides sign, over messages and digests, and verify the other's."""
    made = {
        "ECC_NIST_P256 ECDSA_SHA_256": ec.generate_private_key(ec.SECP256R1()),
        "ECC_NIST_P384 ECDSA_SHA_384": ec.generate_private_key(ec.SECP384R1()),
        "ECC_NIST_P521 ECDSA_SHA_512": ec.generate_private_key(ec.SECP521R1()),
        "ECC_SECG_P256K1 ECDSA_SHA_256": ec.generate_private_key(ec.SECP256K1()),
        "ECC_NIST_EDWARDS25519 ED25519_SHA_512": ed25519.Ed25519PrivateKey.generate(),
        "RSA_2048 RSASSA_PSS_SHA_384": rsa.generate_private_key(65537, 2048),
    }
    made["RSA_2048 RSASSA_PKCS1_V1_5_SHA_512"] = made["RSA_2048 RSASSA_PSS_SHA_384"]
    for name, private in made.items():
        spec, algorithm = name.split()
        key = create(spec, "SIGN_VERIFY", Origin="EXTERNAL")
        bring(key, pkcs8(private))
        public = public_key(key)
        chosen = HASHES[algorithm[-3:]]
        digest = hashlib.new(chosen.name, MESSAGE).digest()
        common = {"KeyId": key, "SigningAlgorithm": algorithm}
        raw = kms.sign(Message=MESSAGE, MessageType="RAW", **common)["Signature"]
        if spec == "ECC_NIST_EDWARDS25519":
            public.verify(raw, MESSAGE)
            assert raw == private.sign(MESSAGE)
            continue
        signed = kms.sign(Message=digest, MessageType="DIGEST", **common)["Signature"]
        given = utils.Prehashed(chosen)
        if spec.startswith("ECC"):
            for signature in (raw, signed):
                public.verify(signature, digest, ec.ECDSA(given))
            theirs = private.sign(digest, ec.ECDSA(given))
        else:
            for signature in (raw, signed):
                public.verify(signature, digest, padding_of(algorithm, chosen), given)
            theirs = private.sign(digest, padding_of(algorithm, chosen), given)
        assert kms.verify(Message=digest, MessageType="DIGEST", Signature=theirs, **common)["SignatureValid"]
        assert kms.verify(Message=MESSAGE, MessageType="RAW", Signature=theirs, **common)["SignatureValid"]
    return list(made)


def check_lattice():
    """None where this pyca/cryptography, or the OpenSSL under it, has no ML-DSA."""
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa

        mldsa.MLDSA44PrivateKey.generate()
    except (ImportError, UnsupportedAlgorithm):
        return None
    specs = ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"]
    for spec in specs:
        key = create(spec, "SIGN_VERIFY")
        answer = kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm="ML_DSA_SHAKE_256")
        public_key(key).verify(answer["Signature"], MESSAGE)
    return specs


def check_macs():
    names = []
    for bits in ("224", "256", "384", "512"):
        material = bytes(range(64))
        key = create(f"HMAC_{bits}", "GENERATE_VERIFY_MAC", Origin="EXTERNAL")
        bring(key, material)
        name = f"HMAC_SHA_{bits}"
        mac = kms.generate_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=name)["Mac"]
        assert mac == hmac.new(material, MESSAGE, f"sha{bits}").digest()
        names.append(name)
    return names


def check_shared_secrets():
    curves = {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}
    for spec, curve in curves.items():
        key = create(spec, "KEY_AGREEMENT")
        private = ec.generate_private_key(curve)
        spki = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        answer = kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=spki)
        assert answer["SharedSecret"] == private.exchange(ec.ECDH(), public_key(key))
    return list(curves)


def check_oaep():
    key = create("RSA_2048", "ENCRYPT_DECRYPT")
    algorithms = {"RSAES_OAEP_SHA_1": hashes.SHA1(), "RSAES_OAEP_SHA_256": hashes.SHA256()}
    for name, chosen in algorithms.items():
        sealed = public_key(key).encrypt(MESSAGE, oaep(chosen))
        opened = kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionAlgorithm=name)["Plaintext"]
        assert opened == MESSAGE
    return list(algorithms)


def check_key_pairs():
    wrapping = kms.create_key()["KeyMetadata"]["KeyId"]
    specs = ["RSA_2048", "ECC_NIST_P384", "ECC_NIST_EDWARDS25519"]
    for spec in specs:
        made = kms.generate_data_key_pair(KeyId=wrapping, KeyPairSpec=spec)
        private = serialization.load_der_private_key(made["PrivateKeyPlaintext"], None)
        public = serialization.load_der_public_key(made["PublicKey"])
        assert private.public_key() == public
        opened = kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])["Plaintext"]
        assert opened == made["PrivateKeyPlaintext"]
    return specs


def last_use():
    """The event of the last use of a key, as the trail has it."""
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=MESSAGE)
    event = kms.get_key_last_usage(KeyId=key)["KeyLastUsage"]["CloudTrailEventId"]
    attribute = {"AttributeKey": "EventId", "AttributeValue": event}
    found = boto3.client("cloudtrail").lookup_events(LookupAttributes=[attribute])["Events"]
    return [each["EventName"] for each in found]


print(
    json.dumps(
        {
            "signatures": check_signatures(),
            "lattice": check_lattice(),
            "macs": check_macs(),
            "shared_secrets": check_shared_secrets(),
            "oaep": check_oaep(),
            "key_pairs": check_key_pairs(),
            "last_use": last_use(),
        }
    )
)
