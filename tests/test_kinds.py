"""File formats are recognised by their first bytes, and text is never taken for another format."""

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from item2vec import readers
from item2vec.errors import InputError
from item2vec.kinds import HEAD_BYTES, kind_of

TABLE = pa.table({"user_id": ["u"], "item_id": ["i"]})


def zipped(**content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    return file.getvalue()


def written(write, *arguments, **options):
    file = pa.BufferOutputStream()
    write(*arguments, file, **options)
    return file.getvalue().to_pybytes()


def streamed():
    file = pa.BufferOutputStream()
    with pa.ipc.new_stream(file, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return file.getvalue().to_pybytes()


def pickled(protocol):
    return pickle.dumps(pd.DataFrame({"user_id": ["u"]}), protocol=protocol)


def sqlite_file():
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (a)")
    content = database.serialize()
    database.close()
    return content


FILES = {
    "a Parquet file": [written(pq.write_table, TABLE), written(pq.write_table, TABLE.slice(0, 0))],
    "an Arrow IPC file": [written(feather.write_feather, TABLE)],
    "an Arrow IPC stream": [streamed()],
    "an ORC file": [written(orc.write_table, TABLE), written(orc.write_table, TABLE, compression="zstd")],
    "a gzip file": [gzip.compress(b"a"), gzip.compress(b"")],
    "a bzip2 file": [bz2.compress(b"a"), bz2.compress(b""), bz2.compress(b"a", 1)],
    "an xz file": [lzma.compress(b"a")],
    "a zstd file": [pa.Codec("zstd").compress(b"a").to_pybytes()],
    "a zip archive": [zipped(a="a"), zipped()],
    "a pickle": [pickled(protocol) for protocol in range(2, 6)],
    "a NumPy array": [b"\x93NUMPY\x01\0v\0{'descr'"],
    "a SQLite database": [sqlite_file()],
    "a tar archive": [tarred()],
    "an Avro file": [b"Obj\x01\x04\x16avro.schema"],
    "an Excel workbook (.xls)": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"],
    "an HDF5 file": [b"\x89HDF\r\n\x1a\n\0"],
    "an encrypted Parquet file": [b"PARE\x15\x04"],
    "a Feather file of version 1": [b"FEA1\0\0\0\0"],
    "an R data file": [b"RDX3\nX\n", b"X\n\0\0\0\x03\0\x04"],
    "a Stata file": [b"<stata_dta><header>", b"\x72\x02\x01\0"],
    "an SPSS file": [b"$FL2@(#) IBM SPSS"],
    "a SAS file": [b"\0" * 12 + b"\xc2\xea\x81\x60\xb3\x14"],
    "a MATLAB file": [b"MATLAB 5.0 MAT-file, Platform"],
    "a PDF document": [b"%PDF-1.7\n"],
    "a 7-Zip archive": [b"7z\xbc\xaf\x27\x1c\0\x04"],
    "a RAR archive": [b"Rar!\x1a\x07\x01\0"],
    "an lz4 file": [b"\x04\x22\x4d\x18\x64"],
    "a snappy file": [b"\xff\x06\0\0sNaPpY"],
    "a Unix compress file (.Z)": [b"\x1f\x9d\x90"],
    "an image": [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"],
    "an HTML page": [b"<!DOCTYPE html>", b"\xef\xbb\xbf\n <html lang='en'>", b"<!-- x -->\n<!doctype HTML>"],
    "an XML document": [b'<?xml version="1.0"?>', b"\xef\xbb\xbf<?xml version='1.0'?>"],
}


def test_each_format_is_recognised():
    found = {name: [getattr(kind_of(content[:HEAD_BYTES]), "name", None) for content in contents]
             for name, contents in FILES.items()}  # fmt: skip
    assert found == {name: [name] * len(contents) for name, contents in FILES.items()}


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "user_id,item_id\n", "ORCID,item_id\nu,i\n", "ORC\tx\r\n", "Object,id", "BZh,1", "BZh91,x",
        "PK,user", "7z,a", "Rar,a", "PDF,a", "%PDF,a", "<a>,b", "<htmlx>", "GIF,a", "FEA,1", "X\ny", "{}",
        "#EXTM3U", "é,ü", "SQLite format,3", "MATLAB,5", "<xml>", "PARTY,item_id",
    ],
)  # fmt: skip
def test_text_is_of_no_other_format(text):
    for encoding in ("utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-32"):
        assert kind_of(text.encode(encoding)) is None


READ = {"a Parquet file", "an Arrow IPC file", "an Arrow IPC stream"}
COMPRESSED = {"a gzip file", "a bzip2 file", "an xz file", "a zstd file", "a zip archive"}


@pytest.mark.parametrize("name", sorted(FILES.keys() - READ - COMPRESSED))
def test_a_format_that_cannot_be_read_is_named_with_the_next_step(tmp_path, name):
    for content in FILES[name]:
        for path in (tmp_path / "listens.csv", tmp_path / "listens.parquet", tmp_path / "listens.jsonl"):
            path.write_bytes(content)
            with pytest.raises(InputError) as raised:
                readers.read_interactions(path)
            message = str(raised.value)
            assert message.startswith(f"{path} is {name}; ")
            assert "user_id" not in message


@pytest.mark.parametrize("name", sorted(READ))
def test_tables_of_arrow_are_read_whatever_their_suffix(tmp_path, name):
    path = tmp_path / "listens"
    path.write_bytes(FILES[name][0])
    assert list(readers.read_interactions(path, timestamp=None).users.ids) == ["u"]
    items = readers.read_items(path)
    assert items.about("i") == {"user_id": "u"}


def test_an_array_of_numbers_is_written_as_numpy_writes_it(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    assert kind_of((tmp_path / "a.npy").read_bytes()).name == "a NumPy array"
