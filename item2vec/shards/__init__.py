"""Files of sentences: a folder without shards, or a sharded corpus, which may be larger than the memory.

``folder.py`` reads and writes folders without shards. A sharded corpus is a folder that contains shards, one
vocabulary and a manifest::

    corpus.json          format, sizes, and SHA-256 of every other file
    vocabulary.arrow     Arrow IPC file, one row per code: id (string), count (int64)
    00000/tokens.npy     item codes (int32) of the sentences of a shard
    00000/offsets.npy    sentence i of a shard is tokens[offsets[i]:offsets[i + 1]] (int64)
    00000/weights.npy    one weight (float32) per token; optional
    00000/timestamps.npy one time (int64, microseconds) per token; optional
    00000/users.arrow    the user of each sentence: id (string); optional
    00001/ …

A vocabulary of more than ``arrow.LARGEST_TUPLE`` ids also has ``vocabulary.hashes.npy`` and
``vocabulary.codes.npy``, by which ids are looked up. Serving a model needs no pyarrow: only ``arrow.py``,
``hashing.py`` and ``users.py`` import it, and these modules are imported when a corpus is opened or written.
"""
