"""Damage files in one position at a time; loading must detect each damage. Runs in a child process."""

import os
import random

import item2vec
from item2vec import bundle
from item2vec.errors import BundleNotFoundError, CorruptBundleError


def refused(path):
    """Require that loading raises ``CorruptBundleError``, or ``BundleNotFoundError`` without ``CURRENT``."""
    unpublished = (path / "versions").is_dir() and not os.path.lexists(path / "CURRENT")
    expected = BundleNotFoundError if unpublished else CorruptBundleError
    try:
        model = item2vec.load(path)
    except expected as error:
        message = str(error)
    else:
        raise AssertionError(f"loaded {model} despite the damage")
    assert str(path) in message, f"{message} does not name the path"


def refused_unverified(path):
    """Require that reading without checksums detects the damage by the structure alone."""
    try:
        bundle.read(path, verify=False)
    except CorruptBundleError:
        return
    raise AssertionError(f"{path} was read despite the damage")


def flip_bytes(file, load, *, every, seed=0):
    """Change one byte of a file at each ``every``-th position, and load after each change."""
    draw = random.Random(seed)
    whole = file.read_bytes()
    file.chmod(0o644)
    for position in range(draw.randrange(min(every, len(whole))), len(whole), every):
        changed = bytearray(whole)
        changed[position] ^= draw.randrange(1, 256)
        file.write_bytes(changed)
        refused(load)
    file.write_bytes(whole)
    item2vec.load(load)


def cut(file, load, *, every):
    """Truncate a file to each ``every``-th length, extend it, and load after each change."""
    whole = file.read_bytes()
    file.chmod(0o644)
    for length in range(0, len(whole), every):
        file.write_bytes(whole[:length])
        refused(load)
    for suffix in (b"\0", b"\n", b" ", whole):
        file.write_bytes(whole + suffix)
        refused(load)
    file.write_bytes(whole)
    item2vec.load(load)


def put_in_place_of(file, load, *, elsewhere):
    """Replace a file by each kind of path other than the regular file, and load after each change."""
    as_long_as_the_file = str(elsewhere).rjust(min(file.stat().st_size, 4000), "/")
    file.rename(elsewhere)
    refused(load)
    for make in (
        file.touch,
        file.mkdir,
        lambda: os.mkfifo(file),
        lambda: file.symlink_to(elsewhere),
        lambda: file.symlink_to(elsewhere.with_name("nothing")),
        lambda: file.symlink_to("/dev/zero"),
        lambda: os.symlink(as_long_as_the_file, file),  # noqa: PTH211 - a Path would lose slashes
    ):
        make()
        refused(load)
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)
    elsewhere.rename(file)
    item2vec.load(load)


def with_header(file, load, header):
    """Replace the header of an array file, and load."""
    whole = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + whole[128:])
    refused(load)
    refused_unverified(load)
    file.write_bytes(whole)
