"""Reads the manifest out of a shim: a small ELF section reader.

Used by wc-run before the program is exec'd, so it imports only os and struct, and reads the few bytes that it needs.
Rules: the file may be anything; every offset is checked against the file before it is used; what is not a shim is a
UserError saying so.

Absent on purpose: decoding of the JSON (manifest.py does it, later), anything about code or symbols.
"""

from __future__ import annotations

import os
import struct

from wc_intercept.generator.errors import UserError

from . import abi_fields as abi

SECTION = b".wc_manifest"
MOST_SECTIONS = 65536
_ELF = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_HEAD = struct.Struct("<QIIQII")


class ManifestHead:
    """struct wci_manifest_head: what the shim, the session and its segments must agree on."""

    __slots__ = ("abi", "hash", "json_size", "targets")

    def __init__(self, version: int, targets: int, hash_: int, json_size: int) -> None:
        self.abi, self.targets, self.hash, self.json_size = version, targets, hash_, json_size

    def __repr__(self) -> str:
        return f"ManifestHead(abi={self.abi}, targets={self.targets}, hash={self.hash:#x}, json_size={self.json_size})"


def read_manifest(path: str | os.PathLike[str]) -> tuple[ManifestHead, list[int], bytes]:
    """Return head, default control words and JSON of the shim at *path*. Raises UserError when it is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"cannot open the shim: {error.strerror}", at=os.fspath(path)) from error
    try:
        section = _find_section(descriptor, os.fspath(path))
    except OSError as error:
        raise UserError(f"cannot read the shim: {error.strerror}", at=os.fspath(path)) from error
    finally:
        os.close(descriptor)
    return parse_manifest(section, os.fspath(path))


def parse_manifest(section: bytes, path: str) -> tuple[ManifestHead, list[int], bytes]:
    """Take apart the bytes of section .wc_manifest, which also stand in the session's file ``manifest``."""
    if len(section) < _HEAD.size:
        raise _not_a_shim(path, "its manifest is cut short")
    magic, version, targets, hash_, json_size, _ = _HEAD.unpack_from(section)
    if magic != abi.MANIFEST_MAGIC:
        raise _not_a_shim(path, "its section .wc_manifest does not begin as a manifest does")
    if version != abi.ABI_VERSION:
        raise UserError(
            "this shim was generated for another version of wc-intercept",
            at=path,
            why=f"its ABI is {version}, this wc-run reads {abi.ABI_VERSION}",
            try_="generate it again with wc-gen",
        )
    text = _HEAD.size + 8 * targets
    if len(section) < text + json_size:
        raise _not_a_shim(path, "its manifest is cut short")
    words = list(struct.unpack_from(f"<{targets}Q", section, _HEAD.size))
    return ManifestHead(version, targets, hash_, json_size), words, section[text : text + json_size]


def pack_manifest(head: ManifestHead, words: list[int], json: bytes) -> bytes:
    """The bytes that parse_manifest takes apart."""
    start = _HEAD.pack(abi.MANIFEST_MAGIC, head.abi, len(words), head.hash, len(json), 0)
    return start + struct.pack(f"<{len(words)}Q", *words) + json


def _not_a_shim(path: str, why: str) -> UserError:
    return UserError(
        "this file is not a shim of wc-intercept",
        at=path,
        why=why,
        try_="make one with wc-gen config.json -o hooks.so; hand-written libraries go into the config's ld_preload",
    )


def _find_section(descriptor: int, path: str) -> bytes:
    start = os.pread(descriptor, _ELF.size, 0)
    if len(start) < _ELF.size or start[:6] != b"\x7fELF\x02\x01":
        raise _not_a_shim(path, "it is not a 64-bit little-endian ELF file")
    fields = _ELF.unpack(start)
    offset, entry, count, names = fields[6], fields[11], fields[12], fields[13]
    if entry != _SECTION.size or not 0 < count < MOST_SECTIONS or names >= count or offset >= 1 << 62:
        raise _not_a_shim(path, "it has no section .wc_manifest (no usable section table)")
    table = os.pread(descriptor, entry * count, offset)
    if len(table) < entry * count:
        raise _not_a_shim(path, "it is cut short")
    sections = [_SECTION.unpack_from(table, i * entry) for i in range(count)]
    texts = _read_section(descriptor, sections[names], path)
    for section in sections:
        if texts.startswith(SECTION + b"\0", section[0]):
            return _read_section(descriptor, section, path)
    raise _not_a_shim(path, "it has no section .wc_manifest")


def _read_section(descriptor: int, section: tuple[int, ...], path: str) -> bytes:
    offset, size = section[4], section[5]
    if section[1] == 8 or offset + size > os.fstat(descriptor).st_size:  # 8: SHT_NOBITS, no bytes in the file
        raise _not_a_shim(path, "it is cut short")
    return os.pread(descriptor, size, offset)
