"""Input files are decompressed and decoded by content; each failure is a typed error with the path."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from item2vec import readers
from item2vec.errors import InputError
from item2vec.opening import content_name, open_bytes, open_text, reading

TEXT = "user_id,item_id\nZoé,日\nbob,y\n" * 40


def zipped(content, name="listens.csv", **further):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr("__MACOSX/._listens.csv", "x")
        archive.writestr("folder/.DS_Store", "x")
        archive.writestr(name, content)
        for other, text in further.items():
            archive.writestr(other, text)
    return file.getvalue()


def zstd(content):
    file = pa.BufferOutputStream()
    with pa.CompressedOutputStream(file, "zstd") as stream:
        stream.write(content)
    return file.getvalue().to_pybytes()


def read_all(path):
    with open_bytes(path) as file:
        return file.read()


COMPRESSIONS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd, "zip": zipped}
MARKED = {
    "utf-8": TEXT.encode(),
    "utf-8-sig": TEXT.encode("utf-8-sig"),
    "utf-16-le": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "utf-32-le": codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
    "utf-32-be": codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"),
}


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("compression", ["", *COMPRESSIONS])
def test_content_is_decompressed_and_decoded(tmp_path, compression, encoding):
    compress = COMPRESSIONS.get(compression, bytes)
    path = write(tmp_path / "listens.csv", compress(MARKED[encoding]))
    with open_text(path, "utf-8", newline="") as file:
        assert file.read() == TEXT
    with open_bytes(path) as file:  # readers rewind
        assert len(file.read(10)) == 10
        file.seek(0)
        assert file.read().decode("utf-8-sig") == TEXT
    assert len(readers.read_interactions(path, timestamp=None, on_error="skip")) == 119


def test_two_layers_are_opened_and_four_are_not(tmp_path):
    path = write(tmp_path / "listens.zip", zipped(gzip.compress(TEXT.encode()), "listens.csv.gz"))
    with open_text(path, "utf-8", newline="") as file:
        assert file.read() == TEXT
    content = TEXT.encode()
    for _ in range(4):
        content = gzip.compress(content)
    with pytest.raises(InputError, match="contains a gzip file"):
        open_bytes(write(tmp_path / "listens.gz", content))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_truncated_file_is_an_error(tmp_path, compression):
    content = COMPRESSIONS[compression](TEXT.encode())
    for size in {12, len(content) // 2, len(content) - 5, len(content) - 1}:
        path = write(tmp_path / f"listens.{compression}", content[:size])
        with pytest.raises(InputError, match=r"truncated or damaged: .*; use another copy"), reading(path):
            read_all(path)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz", "zip"])
def test_an_altered_file_is_an_error_or_is_read_in_full(tmp_path, compression):
    content = COMPRESSIONS[compression](TEXT.encode())
    for position in range(20, len(content), 7):
        altered = bytearray(content)
        altered[position] ^= 0x55
        path = write(tmp_path / "listens", altered)
        try:
            with reading(path):
                assert read_all(path) == TEXT.encode()
        except InputError:
            continue


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped("a", more="b"), r"zip archive of 2 files \(listens.csv, more\); expected one file: extract"),
        (zipped("a", "__MACOSX/x"), "zip archive of 0 files; expected one file"),
        (zipped("a", **{"[Content_Types].xml": "", "xl/workbook.xml": ""}), "an Excel workbook or Office"),
        (
            zipped("a", mimetype="application/vnd.oasis.opendocument.spreadsheet"),
            "an OpenDocument file; save",
        ),
        (gzip.compress(b"SQLite format 3\0", mtime=0), "contains a SQLite database; export"),
        (zipped(b"<!DOCTYPE html>"), "contains an HTML page; download"),
        ("u,i\n".encode("utf-16-le") * 9, "is text in utf-16-le, not in UTF-8; pass encoding='utf-16-le'"),
        ("u,i\n".encode("utf-16-be") * 9, "is text in utf-16-be, not in UTF-8; pass encoding='utf-16-be'"),
    ],
)
def test_content_that_is_not_one_text_is_named(tmp_path, content, message):
    path = write(tmp_path / "listens.csv", content)
    for read in (readers.read_interactions, readers.read_items, readers.read_edges):
        with pytest.raises(InputError, match=message):
            read(path)


def test_an_encrypted_archive_is_named(tmp_path):
    content = bytearray(zipped("a"))
    for position in (content.rfind(b"PK\x03\x04") + 6, content.rfind(b"PK\x01\x02") + 8):
        content[position] |= 1
    with pytest.raises(InputError, match="an encrypted zip archive; extract it"):
        readers.read_interactions(write(tmp_path / "a.zip", content))


def test_an_explicit_encoding_is_used_as_it_stands(tmp_path):
    path = write(tmp_path / "listens.csv", TEXT.encode("utf-16"))
    for encoding in ("utf-16", "UTF16"):
        with open_text(path, encoding, newline="") as file:
            assert file.read() == TEXT
    unmarked = write(tmp_path / "unmarked.csv", TEXT.encode("utf-16-le"))
    assert readers.read_interactions(unmarked, timestamp=None, encoding="utf-16-le", on_error="skip")


@pytest.mark.parametrize("encoding", ["klingon", "hex", None, "utf-8\0"])
def test_an_unknown_encoding_is_an_error(tmp_path, encoding):
    path = write(tmp_path / "listens.csv", TEXT.encode())
    with pytest.raises(InputError, match="expected an encoding such as 'utf-8' or 'latin-1'"):
        readers.read_interactions(path, encoding=encoding)


def refuse(monkeypatch, path):
    """Let the system refuse to open a file, even to root."""
    for name in ("open", "io.open"):
        opened = Path.open if name == "open" else io.open

        def guarded(file, *arguments, opened=opened, **options):
            if os.fspath(file) == str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return opened(file, *arguments, **options)

        monkeypatch.setattr(Path if name == "open" else io, "open", guarded)


@pytest.mark.parametrize("name", ["listens.csv", "listens.jsonl", "listens.parquet", "listens.csv.gz"])
def test_a_file_that_may_not_be_read_is_an_error(tmp_path, monkeypatch, name):
    path = write(tmp_path / name, b"x")
    refuse(monkeypatch, path)
    for read in (readers.read_interactions, readers.read_items, readers.read_edges):
        with pytest.raises(InputError, match=r"cannot be read.*Permission denied.*check that"):
            read(path)


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(InputError, match="Permission denied; check that this user may read the file"):
        readers.read_interactions(tmp_path)
    monkeypatch.setattr(Path, "is_dir", refused)
    with pytest.raises(InputError, match="Permission denied; check that this user may read the file"):
        readers.read_interactions(tmp_path)


def test_paths_that_are_not_files_are_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    file = write(tmp_path / "listens.csv", b"x")
    for path, message in (
        (
            tmp_path / "pipe",
            "is a pipe or a device, which can be read only once; write its content to a file",
        ),
        (Path("/dev/null"), "is a pipe or a device"),
        (tmp_path, "is a folder; expected a file"),
        (tmp_path / "listen.csv", r"no file .*; did you mean '.*listens\.csv'\?"),
        (file / "more.csv", "Not a directory; check the path"),
        (tmp_path / ("x" * 5000), "File name too long; check the path"),
        (Path("a\0b"), "is not a path: embedded null byte"),
    ):
        with pytest.raises(InputError, match=message), reading(path):
            open_bytes(path)


def test_the_name_of_the_content(tmp_path):
    path = write(tmp_path / "events.zip", zipped("{}", "folder/Events.JSONL"))
    assert content_name(path) == "events.jsonl"
    names = ("a.csv", "A.JSONL.gz", "a.jsonl.zst", "a.tsv.bz2", "a.json.xz", "a.gz")
    assert [content_name(Path(name)) for name in names] == [
        "a.csv", "a.jsonl", "a.jsonl", "a.tsv", "a.json", "a",
    ]  # fmt: skip
    write(path, zipped('{"user_id": "u", "item_id": 7}\n', "events.jsonl"))
    assert readers.read_interactions(path, timestamp=None).items.ids == ("7",)
