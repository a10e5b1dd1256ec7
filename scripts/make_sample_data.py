"""Generate sample_data/: songs, playlists, listens and friendships. The files are deterministic.

Each song has an artist, and each artist belongs to one of the three scenes of a genre (an era and its moods).
The popularity of the songs of a genre follows Zipf's law. A user prefers one to three genres, and drifts from
the first to the last during the year. The next song of a session or playlist depends on the current song.
Names are combinations of the words in sample_words.toml.

Usage: ``python scripts/make_sample_data.py [FOLDER]``.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROOT = Path(__file__).resolve().parents[1]
WORDS = Path(__file__).with_name("sample_words.toml")
SEED = 7
SONGS_PER_GENRE = 125
SONGS_PER_ALBUM = 5
N_PLAYLISTS = 4000
N_USERS = 800
N_FRIENDSHIPS = 3000
YEAR_START = np.datetime64("2025-01-01T00:00:00", "s")
DAYS = 365
# Moods form a ring: adjacent moods are similar, and the last mood is adjacent to the first.
MOODS = ("calm", "dreamy", "wistful", "dark", "fierce", "driving", "joyful", "tender")

SECONDS_APART = 45 * 60  # minimum pause between two sessions of a user
NEXT_TRACK = 0.15  # probability of the album's next song
CHART = 0.05  # probability of a hit, independent of the current song
REPEAT = 0.25  # weight of a song that the user has heard, relative to a new song
FAVOURITE = 0.06  # probability that a song becomes a favourite of the user
FAVOURITE_REPEAT = 4.0  # weight of a favourite, relative to a new song
HOUR_OF_WORKDAY = (1, 1, 0, 0, 0, 0, 1, 4, 6, 3, 2, 2, 3, 2, 2, 2, 3, 5, 8, 10, 12, 12, 9, 4)
HOUR_OF_WEEKEND = (5, 3, 2, 1, 0, 0, 0, 1, 2, 4, 6, 7, 7, 7, 7, 8, 8, 8, 9, 11, 12, 12, 11, 8)
WEIGHT_OF_DAY = (1.0, 1.0, 1.0, 1.0, 1.3, 1.6, 1.4)  # Monday first


@dataclass(frozen=True)
class Songs:
    """The catalogue, one row per song, in ascending order of id."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    artists: tuple[str, ...]
    artist: Ints
    genre: Ints
    scene: Ints
    mood: Ints
    year: Ints
    popularity: Floats
    next_track: Ints  # row of the next song on the album; -1 for the last song
    nearness: Floats  # songs × songs: relative probability that the column follows the row


class Dice:
    """Random numbers from the raw output of a bit generator, which does not depend on the NumPy release."""

    def __init__(self, seed: int) -> None:
        self.bits = np.random.PCG64(seed)

    def uniform(self) -> float:
        """Return a uniform float in [0, 1)."""
        return (int(self.bits.random_raw()) >> 11) * 2.0**-53

    def pick(self, weights: npt.ArrayLike) -> int:
        """Return a random index with probability proportional to its weight."""
        cumulative = np.cumsum(weights)
        return int(np.searchsorted(cumulative, self.uniform() * cumulative[-1], side="right"))

    def between(self, low: int, high: int) -> int:
        """Return a uniform integer from ``low`` to ``high``, inclusive."""
        return low + int(self.uniform() * (high - low + 1))

    def length(self, mean: float, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, drawn from a truncated exponential distribution."""
        return min(high, low + int(-np.log1p(-self.uniform()) * (mean - low)))


def listed(text: str) -> list[str]:
    """Split a text at semicolons, and normalise the white space of the parts."""
    return [" ".join(part.split()) for part in text.split(";")]


def slug(title: str) -> str:
    """Convert a title to an id: ``"My Father's Boots"`` becomes ``"my-fathers-boots"``."""
    return re.sub("[^a-z0-9]+", "-", title.lower().replace("'", ""))


def titles_of(words: dict[str, Any]) -> list[str]:
    """Return the titles of a genre, most popular first: complete titles, then combinations of two words."""
    firsts, seconds = words["firsts"].split(), words["seconds"].split()
    pairs = (
        f"{first} {seconds[(i + 5 * shift) % len(seconds)]}"
        for shift in range(len(seconds) // 2)
        for i, first in enumerate(firsts)
    )
    return [*listed(words["titles"]), *pairs][:SONGS_PER_GENRE]


def kinship(genres: dict[str, Any]) -> Floats:
    """Return the affinity of each pair of genres: 1 for equal, 0.1 for related, 0.003 for other genres."""
    names = list(genres)
    close = np.full((len(names), len(names)), 0.003)
    np.fill_diagonal(close, 1.0)
    for g, words in enumerate(genres.values()):
        close[g, [names.index(other) for other in words["related"]]] = 0.1
    return close


def mood_steps(moods: Ints, mood: npt.ArrayLike) -> Ints:
    """Return the distances of moods on their ring."""
    steps = np.abs(moods - np.asarray(mood))
    return np.asarray(np.minimum(steps, len(MOODS) - steps))


def songs_of(g: int, words: dict[str, Any], dice: Dice) -> Iterable[tuple[Any, ...]]:
    """Yield the songs of a genre: titles are assigned to artists, who release an album every two years."""
    artists = listed(words["artists"])
    scenes = [scene.split() for scene in listed(words["scenes"])]
    spans = [tuple(map(int, scenes[a % 3][0].split("-"))) for a in range(len(artists))]
    debuts = [dice.between(first, last - 4) for first, last in spans]
    fame = np.arange(1, len(artists) + 1) ** -0.5
    released = [0] * len(artists)
    for rank, title in enumerate(titles_of(words)):
        a = rank % len(artists) if rank < 3 * len(artists) else dice.pick(fame)
        mood = MOODS.index(scenes[a % 3][1 + dice.pick([5, 3, 2])])
        year = min(debuts[a] + 2 * (released[a] // SONGS_PER_ALBUM), spans[a][1])
        popularity = words["popularity"] * (rank + 3) ** -1.0
        yield (
            slug(title),
            title,
            artists[a],
            100 * g + a,
            g,
            3 * g + a % 3,
            mood,
            year,
            released[a],
            popularity,
        )
        released[a] += 1


def make_songs(genres: dict[str, Any], kin: Floats, dice: Dice) -> Songs:
    """Return the catalogue."""
    rows = sorted(row for g, words in enumerate(genres.values()) for row in songs_of(g, words, dice))
    ids, titles, artists, *numbers, popularity = zip(*rows, strict=True)
    artist, genre, scene, mood, year, release = (np.array(column, dtype=np.int64) for column in numbers)
    row_of = {key: row for row, key in enumerate(zip(artist, release, strict=True))}
    following = np.array([row_of.get(key, -1) for key in zip(artist, release + 1, strict=True)])
    following[(release + 1) % SONGS_PER_ALBUM == 0] = -1
    nearness = (
        kin[genre][:, genre]
        * (1 + 2 * (scene[:, None] == scene) + 5 * (artist[:, None] == artist))
        * np.exp(-0.6 * mood_steps(mood[:, None], mood) - np.abs(year[:, None] - year) / 12)
    )
    return Songs(
        ids, titles, artists, artist, genre, scene, mood, year, np.array(popularity), following, nearness
    )


def walk(songs: Songs, context: Floats, length: int, dice: Dice) -> list[int]:
    """Return ``length`` distinct songs, drawn by the context and by the nearness to the previous song."""
    weights = songs.popularity * context
    path = [dice.pick(weights)]
    while len(path) < length:
        weights[path[-1]] = 0
        following = int(songs.next_track[path[-1]])
        if dice.uniform() < CHART:
            following = dice.pick(songs.popularity**2.5 * (weights > 0))
        elif following < 0 or weights[following] == 0 or dice.uniform() > NEXT_TRACK:
            following = dice.pick(weights * songs.nearness[path[-1]])
        path.append(following)
    return path


def make_playlist(songs: Songs, kin: Floats, dice: Dice) -> list[int]:
    """Return a playlist with a random theme: a mood of a genre, a scene, an artist, a decade, or a mood."""
    seed = dice.pick(songs.popularity)
    genre = kin[songs.genre[seed]][songs.genre]
    mood = 0.2 ** mood_steps(songs.mood, songs.mood[seed])
    themes = (
        genre * mood,
        genre * np.where(songs.scene == songs.scene[seed], 1, 0.02),
        genre * np.where(songs.artist == songs.artist[seed], 1, 0.05),
        np.sqrt(genre) * np.where(songs.year // 10 == songs.year[seed] // 10, 1, 0.02),
        np.sqrt(genre) * mood,
    )
    theme = themes[dice.pick([4, 3, 2, 1, 1])]
    return walk(songs, theme, dice.length(12.3, 5, 30), dice)


def rhythm() -> Floats:
    """Return the relative probability that a session starts, for each hour of the year."""
    weekday = (np.arange(DAYS) + 2) % 7  # the year begins on a Wednesday
    hours = np.where(weekday[:, None] >= 5, HOUR_OF_WEEKEND, HOUR_OF_WORKDAY)
    weights = hours * np.array(WEIGHT_OF_DAY)[weekday, None]
    weights[-1] = 0  # so that the last session ends within the year
    return np.asarray(weights.ravel())


def make_tastes(songs: Songs, kin: Floats, dice: Dice) -> list[Floats]:
    """Return one to three tastes of a user, as weights of songs; each favours a scene and mood of a genre."""
    tastes: list[Floats] = []
    liked = np.ones(len(kin))
    for _ in range(1 + dice.pick([35, 45, 20])):
        song = dice.pick(songs.popularity * liked[songs.genre])
        genre = songs.genre[song]
        liked = np.sqrt(kin[genre]) * (np.arange(len(kin)) != genre)
        scene = np.where(songs.scene == songs.scene[song], 1, 0.2)
        tastes.append(kin[genre][songs.genre] * scene * 0.6 ** mood_steps(songs.mood, songs.mood[song]))
    return tastes


def listen(songs: Songs, kin: Floats, hours: Floats, dice: Dice) -> list[tuple[int, int]]:
    """Return the listens of a user as (second of the year, song), oldest first."""
    tastes = make_tastes(songs, kin, dice)
    early = 0.15 ** np.arange(len(tastes))
    known = np.ones(len(songs.ids))
    starts = sorted(3600 * dice.pick(hours) + dice.between(0, 3599) for _ in range(dice.length(8.1, 2, 40)))
    listens: list[tuple[int, int]] = []
    second = 0
    for start in starts:
        drift = np.clip(1.5 * start / (3600 * len(hours)) - 0.25, 0, 1)
        taste = tastes[dice.pick((1 - drift) * early + drift * early[::-1])]
        second = max(start, second + SECONDS_APART)
        for song in walk(songs, taste * known, dice.length(10.5, 3, 25), dice):
            listens.append((second, song))
            favourite = known[song] > 1 or dice.uniform() < FAVOURITE
            known[song] = FAVOURITE_REPEAT if favourite else REPEAT
            second += dice.between(150, 330)
            if dice.uniform() < 0.03:
                second += dice.between(300, 1200)
    return listens


def make_friends(favourite: Ints, kin: Floats, dice: Dice) -> list[tuple[int, int]]:
    """Return pairs of users: degrees are heavy-tailed, and most friends have the same favourite genre."""
    sociable = np.array([(1 - dice.uniform()) ** -0.6 for _ in favourite])
    friends: set[tuple[int, int]] = set()
    while len(friends) < N_FRIENDSHIPS:
        # The first round ensures that every user has a friend.
        user = len(friends) if len(friends) < len(favourite) else dice.pick(sociable)
        liking = sociable * (kin[favourite[user]][favourite] + 0.01)
        liking[user] = 0
        other = dice.pick(liking)
        friends.add((min(user, other), max(user, other)))
    return sorted(friends)


def as_csv(*rows: Sequence[Any]) -> bytes:
    """Return rows as CSV with LF line endings."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def gzipped(content: bytes) -> bytes:
    """Compress content with gzip, without file name and timestamp."""
    file = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as stream:
        stream.write(content)
    return file.getvalue()


def make() -> dict[str, bytes]:
    """Return the contents of all files by name."""
    genres = tomllib.loads(WORDS.read_text("utf-8"))
    kin = kinship(genres)
    dice = Dice(SEED)
    songs = make_songs(genres, kin, dice)
    playlists = [make_playlist(songs, kin, dice) for _ in range(N_PLAYLISTS)]
    hours = rhythm()
    years = [listen(songs, kin, hours, dice) for _ in range(N_USERS)]
    best = [np.bincount(songs.genre[[song for _, song in year]]).argmax() for year in years]
    friends = make_friends(np.array(best), kin, dice)

    genre = np.array(list(genres))[songs.genre]
    mood = np.array(MOODS)[songs.mood]
    items = zip(songs.ids, songs.titles, songs.artists, genre, mood, songs.year, strict=True)
    lines = (
        json.dumps(
            {"playlist_id": f"p{p:04}", "items": [songs.ids[song] for song in playlist]},
            separators=(",", ":"),
        )
        for p, playlist in enumerate(playlists, 1)
    )
    listens = sorted((second, u, song) for u, year in enumerate(years, 1) for second, song in year)
    rows = ((f"u{u}", songs.ids[song], f"{YEAR_START + second}Z") for second, u, song in listens)
    pairs = ((f"u{one + 1}", f"u{other + 1}") for one, other in friends)
    return {
        "items.csv": as_csv(("item_id", "title", "artist", "genre", "mood", "year"), *items),
        "playlists.jsonl": "".join(line + "\n" for line in lines).encode(),
        "listens.csv.gz": gzipped(as_csv(("user_id", "item_id", "timestamp"), *rows)),
        "friends.csv": as_csv(("source", "target"), *pairs),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "sample_data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in make().items():
        (folder / name).write_bytes(content)
