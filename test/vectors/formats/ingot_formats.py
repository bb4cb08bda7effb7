"""docs/formats/ a second time, on Python's standard library and pyca/cryptography: sealing and opening, and nothing of Ingot's own code."""
import hashlib
import sqlite3
import struct
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BLOCK_BYTES = 524_288
SECTOR_BYTES = 4096
HEADER_BYTES = 50
ROOT_MAGIC = b"ingot root key\n"


def raw(part):
    return part.encode() if isinstance(part, str) else part


def fields(named):
    out = struct.pack(">I", len(named))
    for name, value in named:
        for part in (raw(name), raw(value)):
            out += struct.pack(">I", len(part)) + part
    return out


def context_fields(context):
    return fields(sorted((key.encode(), value.encode()) for key, value in context.items()))


def hkdf(key, salt, info, length):
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


# Sealed messages, key-material.md


def seal(key, salt, plaintext, named):
    derived = hkdf(key, salt, b"ingot sealed message v1", 44)
    return b"\x01" + salt + AESGCM(derived[:32]).encrypt(derived[32:], plaintext, fields(named))


def open_message(key, sealed, named):
    if len(sealed) < 49 or sealed[0] != 1:
        raise ValueError("no sealed message of version 1")
    derived = hkdf(key, sealed[1:33], b"ingot sealed message v1", 44)
    return AESGCM(derived[:32]).decrypt(derived[32:], sealed[33:], fields(named))


def root_keys(file, passphrase=None, command_key=None):
    """The keys of a root.key file, the newest first."""
    body, digest = file[:-16], file[-16:]
    if hashlib.sha256(body).digest()[:16] != digest or body[:15] != ROOT_MAGIC:
        raise ValueError("no root.key")
    if body[15] == 1:
        return [body[16:48]]
    head, rest = body[:52], body[52:]
    kind = head[16]
    if kind == 1:
        log_n, r, p = head[17:20]
        wrapping = hashlib.scrypt(passphrase, salt=head[20:52], n=2**log_n, r=r, p=p, maxmem=2**28, dklen=32)
    elif kind == 2:
        wrapping = command_key
    keys = open_message(wrapping, rest, [("purpose", "root-key"), ("head", head)]) if kind else rest
    return [keys[at : at + 32] for at in range(0, len(keys), 32)]


def open_under_any(keys, sealed, named):
    for key in keys:
        try:
            return open_message(key, sealed, named)
        except Exception:  # the next key, or none
            continue
    raise ValueError("no root key opens it")


# KMS ciphertext, kms-ciphertext.md


def ciphertext_header(key_id, material_id):
    digits = key_id.removeprefix("mrk-").replace("-", "")
    return b"\x01" + (b"\x01" if key_id.startswith("mrk-") else b"\0") + bytes.fromhex(digits) + material_id


def ciphertext_fields(header, context):
    return [("purpose", "kms-ciphertext"), ("header", header), ("encryption-context", context_fields(context))]


def read_header(ciphertext):
    """Key id and material id in hex."""
    if ciphertext[0] != 1 or ciphertext[1] > 1:
        raise ValueError("no KMS ciphertext of version 1")
    digits = ciphertext[2:18].hex()
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return (f"mrk-{digits}" if ciphertext[1] else uuid), ciphertext[18:50].hex()


def open_ciphertext(material, ciphertext, context):
    header = ciphertext[:HEADER_BYTES]
    return open_message(material, ciphertext[HEADER_BYTES:], ciphertext_fields(header, context))


# Blocks, segment.md


def segment_header(segment, data_key_id):
    name = data_key_id.encode()
    head = b"INGOTSEG" + struct.pack(">II", 1, 256) + segment + struct.pack(">H", len(name)) + name
    return head.ljust(4096, b"\0")


def block_cipher(data_key, data_key_id, segment, slot):
    key = hkdf(data_key, b"", b"ingot block v1" + segment, 32)
    number = struct.pack(">I", slot)
    aad = fields(
        [("format", struct.pack(">I", 1)), ("data-key", data_key_id), ("segment", segment), ("slot", number)]
    )
    return AESGCM(key), b"\0" * 8 + number, aad


def seal_block(data_key, data_key_id, segment, slot, plaintext):
    """Ciphertext and tag."""
    cipher, nonce, aad = block_cipher(data_key, data_key_id, segment, slot)
    sealed = cipher.encrypt(nonce, plaintext, aad)
    return sealed[:-16], sealed[-16:]


def open_block(data_key, data_key_id, segment, slot, ciphertext, tag):
    cipher, nonce, aad = block_cipher(data_key, data_key_id, segment, slot)
    return cipher.decrypt(nonce, ciphertext + tag, aad)


# Sectors, overlay.md


def sector_cipher(data_key, overlay, sector):
    key = hkdf(data_key, b"", b"ingot overlay v1" + overlay, 64)
    return Cipher(algorithms.AES(key), modes.XTS(struct.pack("<QQ", sector, 0)))


def encrypt_sector(data_key, overlay, sector, plaintext):
    return sector_cipher(data_key, overlay, sector).encryptor().update(plaintext)


def decrypt_sector(data_key, overlay, sector, ciphertext):
    return sector_cipher(data_key, overlay, sector).decryptor().update(ciphertext)


# Maps, block-map.md


def page(level, entries):
    """Entries are (position, bytes), ascending."""
    body = b"".join(bytes([position]) + entry for position, entry in entries)
    return b"IMP1" + bytes([level, 0]) + struct.pack(">H", len(entries)) + body


def data_entry(segment, slot, tag):
    return b"\x01" + segment + struct.pack(">I", slot) + tag


def page_entries(page_bytes):
    if page_bytes[:4] != b"IMP1":
        raise ValueError("no page of a map")
    size = 38 if page_bytes[4] == 0 else 37
    for at in range(struct.unpack(">H", page_bytes[6:8])[0]):
        entry = page_bytes[8 + at * size : 8 + (at + 1) * size]
        yield entry[0], entry[1:]


def find_block(page_of, root, index):
    """The 37 bytes of a block's entry, or None; `page_of` gives the bytes of a page by its id."""
    page_bytes = page_of(root)
    for level in (3, 2, 1, 0):
        if page_bytes is None or page_bytes[4] != level:
            return None
        entry = dict(page_entries(page_bytes)).get((index >> (8 * level)) & 255)
        if entry is None or level == 0:
            return entry
        page_bytes = page_of(entry[:32])


class DataDirectory:
    """A data directory of a server that has stopped."""

    def __init__(self, path):
        self.path = Path(path)
        self.db = sqlite3.connect(f"file:{self.path / 'ingot.db'}?mode=ro", uri=True)
        self.root = root_keys((self.path / "root.key").read_bytes())

    def material(self, key_id, material_id):
        query = """select key_arn, spec, sealed from keys_material join keys_key on keys_key.arn = key_arn
                   where key_id = ? and material_id = ?"""
        arn, spec, sealed = self.db.execute(query, (key_id, material_id)).fetchone()
        named = [("purpose", "kms-key-material"), ("key", arn), ("material", material_id)]
        return open_under_any(self.root, sealed, named + ([] if spec == "SYMMETRIC_DEFAULT" else [("spec", spec)]))

    def decrypt(self, ciphertext, context):
        return open_ciphertext(self.material(*read_header(ciphertext)), ciphertext, context)

    def data_key(self, wrapped, context_id, is_under_kms):
        context = {"aws:ebs:id": context_id}
        if is_under_kms:
            return self.decrypt(wrapped, context)
        named = [("purpose", "installation-data-key"), ("encryption-context", context_fields(context))]
        return open_under_any(self.root, wrapped, named)

    def block(self, snapshot, index):
        """Plaintext of one block, or None where the snapshot has none there."""
        query = "select data_key_id, wrapped_key, context_id, kms_key_arn, map_root from snapshots where id = ?"
        key_id, wrapped, context_id, kms_key, root = self.db.execute(query, (snapshot,)).fetchone()
        entry = find_block(self.page, bytes.fromhex(root), index)
        if entry is None:
            return None
        if entry[0] == 2:
            return b"\0" * BLOCK_BYTES
        segment, slot, tag = entry[1:17], struct.unpack(">I", entry[17:21])[0], entry[21:37]
        file = (self.path / "segments" / f"{segment.hex()}.seg").read_bytes()
        if file[:4096] != segment_header(segment, key_id):
            raise ValueError("another segment")
        at = 4096 + slot * BLOCK_BYTES
        data_key = self.data_key(wrapped, context_id, kms_key is not None)
        return open_block(data_key, key_id, segment, slot, file[at : at + BLOCK_BYTES], tag)

    def page(self, page_id):
        row = self.db.execute("select bytes from storage_pages where id = ?", (page_id,)).fetchone()
        if row and hashlib.sha256(row[0]).digest() != page_id:
            raise ValueError("a page is not what its name says")
        return row and row[0]
