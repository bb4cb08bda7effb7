"""Opens what Ingot sealed, by docs/formats/ alone.

python3 open.py vectors                            every vector of this folder
python3 open.py decrypt DIR CIPHERTEXT CONTEXT     a KMS ciphertext (base64) under a key of a data directory; context as JSON
python3 open.py block DIR SNAPSHOT INDEX           SHA-256 of one block of a snapshot in a data directory

The server that owns the directory has stopped, and its root key lies plain in its file.
"""
import base64
import hashlib
import json
import sys
from pathlib import Path

import ingot_formats as ingot

HERE = Path(__file__).parent


def tests(name):
    return json.loads((HERE / f"{name}.json").read_text())["tests"]


def read(named):
    return [(name, value if isinstance(value, str) else bytes.fromhex(value["hex"])) for name, value in named]


def same(found, expected):
    if found != expected:
        raise SystemExit(f"{found!r} is not {expected!r}")


def vectors():
    unhex = bytes.fromhex
    count = 0
    for one in tests("sealed-message"):
        same(ingot.open_message(unhex(one["key"]), unhex(one["sealed"]), read(one["fields"])).hex(), one["plaintext"])
        count += 1
    for one in tests("kms-ciphertext"):
        sealed = unhex(one["ciphertext"])
        same(ingot.read_header(sealed), (one["keyId"], one["materialId"]))
        same(ingot.open_ciphertext(unhex(one["material"]), sealed, one["context"]).hex(), one["plaintext"])
        count += 1
    for one in tests("key-material"):
        place = [("key", one["keyArn"]), ("material", one["materialId"])]
        kind = [] if one["spec"] == "SYMMETRIC_DEFAULT" else [("spec", one["spec"])]
        named = [("purpose", "kms-key-material"), *place, *kind]
        material = ingot.open_message(unhex(one["rootKey"]), unhex(one["sealed"]), named)
        same(material.hex(), one["material"])
        named = [("purpose", "kms-imported-material-digest"), *place]
        digest = ingot.open_message(unhex(one["rootKey"]), unhex(one["sealedDigest"]), named)
        same(digest, hashlib.sha256(material).digest())
        count += 1
    for one in tests("root-key"):
        passphrase, command_key = (unhex(one[kind]) if kind in one else None for kind in ("passphrase", "command"))
        same(ingot.root_keys(unhex(one["file"]), passphrase, command_key)[0].hex(), one["key"])
        count += 1
    for one in tests("segment"):
        plaintext = unhex(one["pattern"]) * (ingot.BLOCK_BYTES // 32)
        place = (unhex(one["dataKey"]), one["dataKeyId"], unhex(one["segment"]), one["slot"])
        ciphertext, tag = ingot.seal_block(*place, plaintext)
        same((hashlib.sha256(ciphertext).hexdigest(), tag.hex()), (one["ciphertextSha256"], one["tag"]))
        same(ingot.open_block(*place, ciphertext, tag), plaintext)
        count += 1
    for one in tests("overlay"):
        place = (unhex(one["dataKey"]), unhex(one["overlay"]), one["sector"])
        same(ingot.decrypt_sector(*place, unhex(one["ciphertext"])), unhex(one["pattern"]) * 128)
        count += 1
    for one in tests("block-map"):
        pages = {unhex(page["id"]): unhex(page["bytes"]) for page in one["pages"]}
        for index, entry in one["blocks"]:
            found = ingot.find_block(pages.get, unhex(one["root"]), index)
            same(found and found.hex(), entry)
            count += 1
    print(json.dumps({"opened": count}))


def main(command, *rest):
    if command == "vectors":
        vectors()
    elif command == "decrypt":
        directory, ciphertext, context = rest
        opened = ingot.DataDirectory(directory).decrypt(base64.b64decode(ciphertext), json.loads(context))
        print(json.dumps({"plaintext": base64.b64encode(opened).decode()}))
    elif command == "block":
        directory, snapshot, index = rest
        block = ingot.DataDirectory(directory).block(snapshot, int(index))
        print(json.dumps({"sha256": block and hashlib.sha256(block).hexdigest()}))


main(*sys.argv[1:])
