"""The data sets of the quality benchmarks, read through the public API."""

import argparse
import os
from pathlib import Path

from item2vec import Graph, Interactions, Sentences, adapters, readers

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample_data"


def arguments(doc: str) -> argparse.ArgumentParser:
    """Return a parser with the options --data and --json."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("ITEM2VEC_BENCH_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=data,
        required=not data,
        help="folder of the data sets; default: ITEM2VEC_BENCH_DATA",
    )
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    return parser


def folder_of(name: str, data: Path) -> Path:
    """Return the folder of a set: sample_data in the repository, the others in ``data``."""
    return SAMPLE_DATA if name == SAMPLE_DATA.name else data / name


def sequences(folder: Path) -> Sentences:
    """Return histories, oldest first (amazon-beauty, lastfm-sequences)."""
    return adapters.playlists(folder / "sequences.txt", skip_fields=1)


def purchases(folder: Path) -> Sentences:
    """Return purchase histories, including repeats (online-retail)."""
    return adapters.playlists(folder / "histories.txt")


def sessions(folder: Path) -> Sentences:
    """Return training sessions (diginetica)."""
    return adapters.playlists(folder / "train_sessions.txt")


def session_queries(folder: Path) -> tuple[Sentences, Sentences]:
    """Return prefixes of test sessions, and the next click of each (diginetica)."""
    pairs = [line.split("\t") for line in (folder / "test_pairs.txt").read_text().splitlines()]
    return Sentences.of([prefix.split() for prefix, _ in pairs]), Sentences.of([[t] for _, t in pairs])


def clicks(folder: Path, part: str) -> Sentences:
    """Return the sessions of a part, "train_full" or "test" (yoochoose-100k)."""
    clicked = readers.read_interactions(
        folder / f"{part}.tsv", user="SessionId", item="ItemId", timestamp="Time", sep="\t"
    )
    return adapters.histories(clicked)


def places(folder: Path, part: str) -> tuple[list[str], Sentences]:
    """Return the users of a part, "train" or "test", and the places of each user, unordered (gowalla)."""
    path = folder / f"{part}.txt"
    users = [line.split(maxsplit=1)[0] for line in path.read_text().splitlines()]
    return users, adapters.playlists(path, skip_fields=1, ordered=False)


def plays(folder: Path) -> Sentences:
    """Return the artists that each user played, unordered (lastfm-2k)."""
    played = readers.read_interactions(
        folder / "user_artists.dat", user="userID", item="artistID", timestamp=None, sep="\t"
    )
    return adapters.histories(played, ordered=False)


def playlists(folder: Path) -> Sentences:
    """Return radio playlists with at least two songs (yes-small)."""
    return adapters.playlists(folder / "train.txt", skip_lines=2, min_length=2)


def ratings(folder: Path) -> Interactions:
    """Return ratings of films with timestamps (movielens-100k)."""
    return readers.read_interactions(
        folder / "ml-100k.inter", user="user_id", item="item_id", timestamp="timestamp", sep="\t"
    )


def listens(folder: Path) -> Interactions:
    """Return listens with timestamps (sample_data)."""
    return readers.read_interactions(folder / "listens.csv.gz")


def friends(folder: Path) -> Graph:
    """Return the graph of friendships (sample_data, lastfm-2k)."""
    if (folder / "friends.csv").is_file():
        return readers.read_edges(folder / "friends.csv")
    return readers.read_edges(
        folder / "user_friends.dat", source_column="userID", target_column="friendID", sep="\t"
    )


def adjacency(folder: Path) -> Graph:
    """Return a graph from an adjacency list (karate, blogcatalog)."""
    return readers.read_edges(next(folder.glob("*adjlist*")), format="adjacency")
