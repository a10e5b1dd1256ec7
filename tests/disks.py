"""A disk that is full when one of the files is written."""

import errno

from item2vec import files


def fill_at(patch, name):
    """Let only the first half of a file fit on the disk if the name of the file contains ``name``."""
    write = files.write_bytes

    def write_half(path, content, mode=None):
        if name not in path.name:
            return write(path, content, mode)
        write(path, content[: len(content) // 2], mode)
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(files, "write_bytes", write_half)
