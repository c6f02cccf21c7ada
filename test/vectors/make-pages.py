# Makes pages.json: keys, ledger rows and objects, good and bad, by code that shares nothing with src/.
#
#   python3 test/vectors/make-pages.py > test/vectors/pages.json
#
# Needs the Python package cryptography. The key is a throwaway made here; nonces and keys differ on every run.
import base64, hashlib, hmac, json, os, struct, uuid as uuids
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=b"keys")
UUID = "6f0c1a52-3c1e-4b7d-9b0a-2f6f6f1f9d11"
SALT = uuids.UUID(UUID).bytes
b64 = lambda data: base64.b64encode(data).decode()

def hkdf(ikm, salt, info, length=32):
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:length]

M = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
spki = M.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
numbers = M.private_numbers()
root = hkdf(max(numbers.p, numbers.q).to_bytes(128, "big"), SALT, b"pageseal ledger root v1")
L = os.urandom(32)

def seal_key(under, epoch, key, aad):
    nonce = os.urandom(12)
    return bytes([epoch]) + nonce + AESGCM(under).encrypt(nonce, key, aad)

def page_key(place, tag, S, epoch=1):
    group = hkdf(L, SALT, b"page key v1" + struct.pack(">Q", place["sliceId"] >> 20))
    aad = SALT + struct.pack(">QII", place["sliceId"], place["indx"], place["length"]) + tag
    return seal_key(group, epoch, S, aad)

def envelope(payload, key=M, cipher=AESGCM, S=None, nonce=None):
    S, nonce = S or os.urandom(32), nonce or os.urandom(12)
    wrapped = key.public_key().encrypt(S, OAEP)
    sealed = cipher(S).encrypt(nonce, payload, b"")
    return struct.pack(">HB", len(wrapped), 12) + wrapped + nonce + sealed, S, sealed[-16:]

def zstd_raw(plain, size=None, rle=0):
    """A frame without compression, by hand; `size` None writes the true content size, False none."""
    size = len(plain) if size is None else size
    header = bytes([0x60]) + struct.pack("<H", size - 256) if size is not False else bytes([0x00, 0x00])
    blocks = b""
    if rle: blocks += struct.pack("<I", (rle << 3) | 2 | (0 if plain else 1))[:3] + b"A"
    if plain: blocks += struct.pack("<I", (len(plain) << 3) | 1)[:3] + plain
    return bytes.fromhex("28b52ffd") + header + blocks

def lz4_raw(plain):
    """One sequence of literals."""
    n = len(plain) - 15
    return bytes([0xF0]) + b"\xff" * (n // 255) + bytes([n % 255]) + plain

PLAIN = bytes((i * 7 + i // 256) % 256 for i in range(1000))
OTHER = bytes(255 - b for b in PLAIN)
place = lambda id=4096, indx=3, length=1000: {"sliceId": id, "indx": indx, "length": length}
cases = []

def case(name, expect, object, row, *, at=None, algo="aes256gcm-rsa", compression="none", mode="strict", plain=PLAIN):
    """row: (tag, page_key) or None. expect: 'ok' or the code of the failure."""
    cases.append({
        "name": name, "expect": expect, "algo": algo, "compression": compression, "mode": mode,
        "place": {**(at or place()), "sliceId": str((at or place())["sliceId"])},
        "object": b64(object), "plain": b64(plain) if expect == "ok" else None,
        "tag": row and b64(row[0]), "pageKey": row and b64(row[1]),
    })

def rowed(S, tag, at=None): return tag, page_key(at or place(), tag, S)

obj, S, tag = envelope(PLAIN)
row = rowed(S, tag)
case("aes", "ok", obj, row)
case("aes, no row, lenient", "ok", obj, None, mode="lenient")
case("aes, no row, strict", "page-unledgered", obj, None)
o2, S2, t2 = envelope(PLAIN, cipher=ChaCha20Poly1305)
case("chacha", "ok", o2, rowed(S2, t2), algo="chacha20-rsa")
case("chacha, no row, lenient", "ok", o2, None, algo="chacha20-rsa", mode="lenient")
case("chacha object in an aes volume", "page-damaged", o2, None, mode="lenient")
far = {"sliceId": (1 << 63) - 1, "indx": 1023, "length": 1000}
case("largest slice id", "ok", obj, rowed(S, tag, far), at=far)
for name, payload in (("zstd", zstd_raw(PLAIN)), ("zstd without content size", zstd_raw(PLAIN, False))):
    o, s, t = envelope(payload)
    case(name, "ok", o, rowed(s, t), compression="zstd")
o, s, t = envelope(lz4_raw(PLAIN))
case("lz4", "ok", o, rowed(s, t), compression="lz4")

flip = lambda data, at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
case("wrapped key flipped: the row's S counts", "ok", flip(obj, 10), row)
case("wrapped key flipped, no row", "page-damaged", flip(obj, 10), None, mode="lenient")
case("wrapped with a stranger's key: the row's S counts", "ok", envelope(PLAIN, STRANGER, S=S, nonce=obj[259:271])[0], row)
case("wrapped with a stranger's key, no row", "page-damaged", envelope(PLAIN, STRANGER)[0], None, mode="lenient")
case("empty object", "page-damaged", b"", row)
case("only the header", "page-damaged", obj[:271], row)
case("last byte missing", "page-damaged", obj[:-1], row)
case("half missing", "page-damaged", obj[:700], row)
case("a byte more", "page-damaged", obj + b"\0", row)
case("a kilobyte more", "page-damaged", obj + bytes(1024), row)
case("ciphertext flipped", "page-damaged", flip(obj, 500), row)
case("ciphertext flipped, no row", "page-damaged", flip(obj, 500), None, mode="lenient")
case("nonce flipped", "page-damaged", flip(obj, 260), row)
case("tag flipped", "page-damaged", flip(obj, len(obj) - 1), row)
case("length of the wrapped key flipped", "page-damaged", flip(obj, 1), row)
case("length of the nonce flipped", "page-damaged", flip(obj, 2), row)
case("not an envelope", "page-damaged", PLAIN * 2, row)
case("plain bytes in an encrypted volume", "page-damaged", PLAIN, row)
other, S3, t3 = envelope(OTHER)
case("another page of the same length (swapped, replayed)", "page-mismatch", other, row)
case("the same bytes sealed again (forged with the public key)", "page-mismatch", envelope(PLAIN)[0], row)
case("the right tag behind another ciphertext", "page-damaged", other[:-16] + tag, row)
o, s, t = envelope(PLAIN[:-1])
case("one byte too short inside", "page-damaged", o, rowed(s, t))
o, s, t = envelope(PLAIN + b"!")
case("one byte too long inside", "page-damaged", o, rowed(s, t))
for name, payload in (
    ("zstd: more content than the page", zstd_raw(PLAIN + b"!", len(PLAIN))),
    ("zstd: content size and content too large", zstd_raw(PLAIN + b"!")),
    ("zstd: less content than the page", zstd_raw(PLAIN[:-1])),
    ("zstd: a small frame that grows", zstd_raw(b"", 1000, rle=100000)),
    ("zstd: cut off", zstd_raw(PLAIN)[:-3]),
    ("zstd: bytes after the frame", zstd_raw(PLAIN[:400] * 2 + PLAIN[:200])[:-1] + b"\0\0"),
    ("zstd: not a frame", PLAIN),
    ("zstd: nothing", b""),
):
    o, s, t = envelope(payload)
    case(name, "page-damaged", o, rowed(s, t), compression="zstd")
o, s, t = envelope(zstd_raw(PLAIN[:996]) + b"tail")
case("zstd: bytes after a shorter frame", "page-damaged", o, rowed(s, t), compression="zstd")
o, s, t = envelope(zstd_raw(PLAIN) + b"x")
case("zstd: a byte after the frame", "page-damaged", o, rowed(s, t), compression="zstd")
for name, payload in (("lz4: too short", lz4_raw(PLAIN[:-1])), ("lz4: too long", lz4_raw(PLAIN + b"!")),
                      ("lz4: cut off", lz4_raw(PLAIN)[:-1]), ("lz4: nothing", b""), ("lz4: not a block", b"\x0f\xff\xff\xff")):
    o, s, t = envelope(payload)
    case(name, "page-damaged", o, rowed(s, t), compression="lz4")

case("row of another index", "metadata-damaged", obj, rowed(S, tag, place(indx=2)))
case("row of another slice", "metadata-damaged", obj, rowed(S, tag, place(id=4097)))
case("row of another length", "metadata-damaged", obj, rowed(S, tag, place(length=999)))
case("row with an altered key", "metadata-damaged", obj, (tag, flip(row[1], 20)))
case("row with a key cut off", "metadata-damaged", obj, (tag, row[1][:-1]))
case("row with the tag of another page", "page-damaged", obj[:-16] + t3, (t3, page_key(place(), t3, S)))
case("row of an epoch to come", "newer-format", obj, (tag, page_key(place(), tag, S, epoch=2)))

print(json.dumps({
    "note": "made by make-pages.py; the keys are throwaways",
    "uuid": UUID, "keyId": hashlib.sha256(spki).hexdigest(),
    "keyDer": b64(M.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())),
    "strangerDer": b64(STRANGER.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())),
    "ledger": b64(seal_key(root, 1, L, SALT + b"\x01")),
    "cases": cases,
}, indent=1))
