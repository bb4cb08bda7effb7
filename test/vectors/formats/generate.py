"""Writes the vectors of this folder: a second implementation of docs/formats/, in ingot_formats.py.

Run it here: python3 generate.py. Everything is derived from labels, so the files come out the same every time.
"""
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ingot_formats import (
    BLOCK_BYTES,
    ciphertext_fields,
    ciphertext_header,
    context_fields,
    data_entry,
    encrypt_sector,
    fields,
    page,
    seal,
    seal_block,
    segment_header,
)

HERE = Path(__file__).parent


def made_up(count, label):
    out, turn = b"", 0
    while len(out) < count:
        out += hashlib.sha256(f"{label}/{turn}".encode()).digest()
        turn += 1
    return out[:count]


def shown(named):
    return [[name, value] if isinstance(value, str) else [name, {"hex": value.hex()}] for name, value in named]


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
    header = ciphertext_header(key_id, material_id)
    named = ciphertext_fields(header, context)
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

DATA_KEY_ID = "0b5e6a52-0000-4000-8000-000000000001"
tests = []
for index, slot in enumerate([0, 255]):
    data_key, segment, pattern = made_up(64, "data key"), made_up(16, f"segment{index}"), made_up(32, f"block{index}")
    ciphertext, tag = seal_block(data_key, DATA_KEY_ID, segment, slot, pattern * (BLOCK_BYTES // 32))
    tests.append(
        {
            "dataKey": data_key.hex(),
            "dataKeyId": DATA_KEY_ID,
            "segment": segment.hex(),
            "slot": slot,
            "header": segment_header(segment, DATA_KEY_ID).rstrip(b"\0").hex(),
            "pattern": pattern.hex(),
            "ciphertextSha256": hashlib.sha256(ciphertext).hexdigest(),
            "tag": tag.hex(),
        }
    )
about = "Blocks of segments, docs/formats/segment.md: the plaintext is the pattern again and again, the header goes on in zeros."
write("segment", f"{about} {BY}", tests)

tests = []
for index, sector in enumerate([0, 1, 2**32 + 5]):
    data_key, overlay, pattern = made_up(64, "data key"), made_up(16, f"overlay{index}"), made_up(32, f"sector{index}")
    ciphertext = encrypt_sector(data_key, overlay, sector, pattern * 128)
    tests.append(
        {
            "dataKey": data_key.hex(),
            "overlay": overlay.hex(),
            "sector": sector,
            "pattern": pattern.hex(),
            "ciphertext": ciphertext.hex(),
        }
    )
write("overlay", f"Sectors of overlays, docs/formats/overlay.md: the plaintext is the pattern 128 times. {BY}", tests)

entries = {
    index: data_entry(made_up(16, f"of{index}"), index % 256, made_up(16, f"tag{index}"))
    for index in (0, 1, 255, 256, 65_536, 33_554_431)
}


def map_pages(level, wanted):
    """The page over these blocks, after all pages below it."""
    groups = {}
    for index in sorted(wanted):
        groups.setdefault((index >> (8 * level)) & 255, []).append(index)
    if level == 0:
        return [page(0, [(position, entries[index]) for position, [index] in groups.items()])]
    below, children = [], []
    for position, inside in groups.items():
        pages = map_pages(level - 1, inside)
        below += pages
        children.append((position, hashlib.sha256(pages[-1]).digest() + len(inside).to_bytes(4, "big")))
    return below + [page(level, children)]


tests = []
for wanted in ([0], list(entries)):
    pages = map_pages(3, wanted)
    ids = [hashlib.sha256(one).hexdigest() for one in pages]
    asked = [*entries, 2, 257, 4_294_967_295]
    tests.append(
        {
            "root": ids[-1],
            "pages": [{"id": name, "bytes": one.hex()} for name, one in zip(ids, pages)],
            "blocks": [[index, entries[index].hex() if index in wanted else None] for index in asked],
        }
    )
write("block-map", f"Maps of blocks, docs/formats/block-map.md: what each index names, or nothing. {BY}", tests)
