"""Writes the vectors of this folder: a second implementation of docs/formats/, on Python's standard library and pyca/cryptography.

Run it here: python3 generate.py. Everything is derived from labels, so the files come out the same every time.
"""
import hashlib
import json
import struct
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = Path(__file__).parent


def raw(part):
    return part.encode() if isinstance(part, str) else part


def fields(named):
    out = struct.pack(">I", len(named))
    for name, value in named:
        for part in (raw(name), raw(value)):
            out += struct.pack(">I", len(part)) + part
    return out


def seal(key, salt, plaintext, named):
    derived = HKDF(algorithm=hashes.SHA256(), length=44, salt=salt, info=b"ingot sealed message v1").derive(key)
    return b"\x01" + salt + AESGCM(derived[:32]).encrypt(derived[32:], plaintext, fields(named))


def made_up(count, label):
    out, turn = b"", 0
    while len(out) < count:
        out += hashlib.sha256(f"{label}/{turn}".encode()).digest()
        turn += 1
    return out[:count]


def shown(named):
    return [[name, value] if isinstance(value, str) else [name, {"hex": value.hex()}] for name, value in named]


def context_fields(context):
    return fields(sorted((key.encode(), value.encode()) for key, value in context.items()))


def write(name, about, tests):
    text = json.dumps({"about": about, "tests": tests}, indent=1)
    (HERE / f"{name}.json").write_text(text + "\n")


BY = "Made by generate.py, an implementation apart from Ingot."
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-central-1:111122223333:key/{KEY}"

lists = [
    [],
    [("a", "bc")],
    [("ab", "c")],
    [("a", "b"), ("c", "")],
    [("a", "b"), ("", "c")],
    [
        ("purpose", "kms-ciphertext"),
        ("header", bytes(range(8))),
        ("encryption-context", fields([("aws:ebs:id", "snap-0123456789abcdef0")])),
    ],
    [("cl\u00e9", "d\u00e9sert \U0001f3dc")],
    [("n", "v" * 300)],
]
write(
    "fields",
    f'Named fields, docs/formats/key-material.md. A value is text (UTF-8) or {{"hex": bytes}}. {BY}',
    [{"fields": shown(named), "encoded": fields(named).hex()} for named in lists],
)

messages = [
    (b"", []),
    (b"hello", [("purpose", "test")]),
    (made_up(32, "m"), [("purpose", "kms-key-material"), ("key", ARN), ("material", "ab" * 32)]),
    (made_up(4096, "long"), [("a", "bc")]),
]
tests = []
for index, (plaintext, named) in enumerate(messages):
    key, salt = made_up(32, f"key{index}"), made_up(32, f"salt{index}")
    sealed = seal(key, salt, plaintext, named)
    tests.append(
        {
            "key": key.hex(),
            "salt": salt.hex(),
            "fields": shown(named),
            "plaintext": plaintext.hex(),
            "sealed": sealed.hex(),
        }
    )
write("sealed-message", f"Sealed messages version 1, docs/formats/key-material.md. {BY}", tests)

ciphertexts = [
    (KEY, b"hello", {}),
    (KEY, made_up(64, "dk"), {"aws:ebs:id": "vol-0123456789abcdef0"}),
    ("mrk-1234abcd12ab34cd56ef1234567890ab", made_up(32, "dk2"), {"a": "bc"}),
    (
        "00000000-0000-4000-8000-000000000000",
        b"\0",
        {"b": "2", "a": "1", "\u00e4": "3", "A": "4", "\uff5e": "5", "\U0001f511": "6"},
    ),
]
tests = []
for index, (key_id, plaintext, context) in enumerate(ciphertexts):
    material_id, material = made_up(32, f"mid{index}"), made_up(32, f"mat{index}")
    salt = made_up(32, f"ksalt{index}")
    multi_region = key_id.startswith("mrk-")
    digits = key_id.removeprefix("mrk-").replace("-", "")
    header = b"\x01" + (b"\x01" if multi_region else b"\0") + bytes.fromhex(digits) + material_id
    named = [("purpose", "kms-ciphertext"), ("header", header), ("encryption-context", context_fields(context))]
    tests.append(
        {
            "keyId": key_id,
            "materialId": material_id.hex(),
            "material": material.hex(),
            "salt": salt.hex(),
            "context": context,
            "plaintext": plaintext.hex(),
            "ciphertext": (header + seal(material, salt, plaintext, named)).hex(),
        }
    )
write("kms-ciphertext", f"KMS ciphertext version 1, docs/formats/kms-ciphertext.md. {BY}", tests)

def pkcs8(private):
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


materials = [
    ("SYMMETRIC_DEFAULT", made_up(32, "symmetric")),
    ("HMAC_224", made_up(28, "hmac224")),
    ("HMAC_512", made_up(64, "hmac512")),
    ("ECC_NIST_P256", pkcs8(ec.derive_private_key(0x1234567, ec.SECP256R1()))),
    ("ECC_NIST_P521", pkcs8(ec.derive_private_key(0x7654321, ec.SECP521R1()))),
    ("ECC_NIST_EDWARDS25519", pkcs8(ed25519.Ed25519PrivateKey.from_private_bytes(made_up(32, "ed25519")))),
]
tests = []
for index, (spec, plaintext) in enumerate(materials):
    root, salt, material_id = made_up(32, "root"), made_up(32, f"msalt{index}"), made_up(32, f"mmid{index}").hex()
    named = [("purpose", "kms-key-material"), ("key", ARN), ("material", material_id)]
    if spec != "SYMMETRIC_DEFAULT":
        named.append(("spec", spec))
    digest_named = [("purpose", "kms-imported-material-digest"), ("key", ARN), ("material", material_id)]
    digest = hashlib.sha256(plaintext).digest()
    tests.append(
        {
            "rootKey": root.hex(),
            "keyArn": ARN,
            "materialId": material_id,
            "spec": spec,
            "material": plaintext.hex(),
            "sealed": seal(root, salt, plaintext, named).hex(),
            "sealedDigest": seal(root, salt, digest, digest_named).hex(),
        }
    )
write("key-material", f"Key material of each kind under a root key, docs/formats/key-material.md. {BY}", tests)

key = made_up(32, "root")
body = b"ingot root key\n\x01" + key
tests = [{"key": key.hex(), "file": (body + hashlib.sha256(body).digest()[:16]).hex()}]
for kind, cost, secret in [(1, b"\x0e\x08\x01", b"correct horse battery staple"), (2, b"\0\0\0", made_up(32, "kek"))]:
    head = b"ingot root key\n\x02" + bytes([kind]) + cost + made_up(32, f"root-salt{kind}")
    wrapping = secret
    if kind == 1:
        wrapping = hashlib.scrypt(secret, salt=head[-32:], n=2 ** cost[0], r=cost[1], p=cost[2], maxmem=2**28, dklen=32)
    named = [("purpose", "root-key"), ("head", head)]
    body = head + seal(wrapping, made_up(32, f"root-seal{kind}"), key, named)
    name = {1: "passphrase", 2: "command"}[kind]
    tests.append({"key": key.hex(), name: secret.hex(), "file": (body + hashlib.sha256(body).digest()[:16]).hex()})
body = b"ingot root key\n\x02\0\0\0\0" + made_up(32, "root-salt0") + key + made_up(32, "root before")
tests.append({"key": key.hex(), "file": (body + hashlib.sha256(body).digest()[:16]).hex()})
write("root-key", f"The file root.key, docs/formats/key-material.md. {BY}", tests)
