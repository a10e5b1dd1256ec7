"""Make sample_data/: an invented world of music, the same bytes on every run.

Every song belongs to an artist, every artist to one of the three scenes of a genre (an era and its moods),
and a genre's songs are heard as Zipf's law says. Users love one to three genres and drift from the first to
the last over the year; the next song of a session, or of a playlist, depends on the one that plays. The words
are in sample_words.toml. Usage: ``python scripts/make_sample_data.py [FOLDER]``.
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
# A ring: each mood passes into the ones beside it.
MOODS = ("calm", "dreamy", "wistful", "dark", "fierce", "driving", "joyful", "tender")

SECONDS_APART = 45 * 60  # at least so much lies between two sessions of a user
NEXT_TRACK = 0.15  # chance that an album goes on
CHART = 0.05  # chance that a hit comes on, whatever played before
REPEAT = 0.25  # weight of a song that its listener knows, to one that is new
FAVOURITE = 0.06  # chance that a song becomes its listener's favourite ...
FAVOURITE_REPEAT = 4.0  # ... and its weight then
HOUR_OF_WORKDAY = (1, 1, 0, 0, 0, 0, 1, 4, 6, 3, 2, 2, 3, 2, 2, 2, 3, 5, 8, 10, 12, 12, 9, 4)
HOUR_OF_WEEKEND = (5, 3, 2, 1, 0, 0, 0, 1, 2, 4, 6, 7, 7, 7, 7, 8, 8, 8, 9, 11, 12, 12, 11, 8)
WEIGHT_OF_DAY = (1.0, 1.0, 1.0, 1.0, 1.3, 1.6, 1.4)  # Monday first


@dataclass(frozen=True)
class Songs:
    """The catalogue, a row a song, in the order of ids: what people read, and what listening follows."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    artists: tuple[str, ...]
    artist: Ints
    genre: Ints
    scene: Ints
    mood: Ints
    year: Ints
    popularity: Floats
    next_track: Ints  # row of the album's next song, -1 after the last
    nearness: Floats  # songs × songs: how well one follows the other


class Dice:
    """Draws made of a bit generator's raw numbers, which NumPy keeps the same in every release."""

    def __init__(self, seed: int) -> None:
        self.bits = np.random.PCG64(seed)

    def uniform(self) -> float:
        """Return a number from 0 up to, but not including, 1."""
        return (int(self.bits.random_raw()) >> 11) * 2.0**-53

    def pick(self, weights: npt.ArrayLike) -> int:
        """Return a row, drawn in proportion to its weight."""
        cumulative = np.cumsum(weights)
        return int(np.searchsorted(cumulative, self.uniform() * cumulative[-1], side="right"))

    def between(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def length(self, mean: float, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, the more often the smaller."""
        return min(high, low + int(-np.log1p(-self.uniform()) * (mean - low)))


def listed(text: str) -> list[str]:
    """Return the parts of a text between semicolons."""
    return [" ".join(part.split()) for part in text.split(";")]


def slug(title: str) -> str:
    """Return a title as an id: ``"My Father's Boots"`` is ``"my-fathers-boots"``."""
    return re.sub("[^a-z0-9]+", "-", title.lower().replace("'", ""))


def titles_of(words: dict[str, Any]) -> list[str]:
    """Return a genre's titles, the best known first: those written whole, then pairs of words."""
    firsts, seconds = words["firsts"].split(), words["seconds"].split()
    pairs = (
        f"{first} {seconds[(i + 5 * shift) % len(seconds)]}"
        for shift in range(len(seconds) // 2)
        for i, first in enumerate(firsts)
    )
    return [*listed(words["titles"]), *pairs][:SONGS_PER_GENRE]


def kinship(genres: dict[str, Any]) -> Floats:
    """Return how well two genres go together: 1 with itself, some with a related one, else hardly."""
    names = list(genres)
    close = np.full((len(names), len(names)), 0.003)
    np.fill_diagonal(close, 1.0)
    for g, words in enumerate(genres.values()):
        close[g, [names.index(other) for other in words["related"]]] = 0.1
    return close


def mood_steps(moods: Ints, mood: npt.ArrayLike) -> Ints:
    """Return how many steps apart moods are on their ring."""
    steps = np.abs(moods - np.asarray(mood))
    return np.asarray(np.minimum(steps, len(MOODS) - steps))


def songs_of(g: int, words: dict[str, Any], dice: Dice) -> Iterable[tuple[Any, ...]]:
    """Yield a genre's songs: its titles dealt to its artists, whose albums come out every two years."""
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
    """Return different songs, each drawn from those that suit the context and follow the one before."""
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
    """Return a playlist on a theme: a genre's mood, a scene, an artist and the like, a decade, or a mood."""
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
    """Return how likely each hour of the year is to begin a session."""
    weekday = (np.arange(DAYS) + 2) % 7  # the year begins on a Wednesday
    hours = np.where(weekday[:, None] >= 5, HOUR_OF_WEEKEND, HOUR_OF_WORKDAY)
    weights = hours * np.array(WEIGHT_OF_DAY)[weekday, None]
    weights[-1] = 0  # leaves the last session time to end within the year
    return np.asarray(weights.ravel())


def make_tastes(songs: Songs, kin: Floats, dice: Dice) -> list[Floats]:
    """Return a user's one to three tastes as weights of songs: a genre, a scene and mood of it above all."""
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
    """Return a user's year as (second of the year, song), oldest first."""
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
    """Return pairs of users: a few have many friends, and most friends like the same genre best."""
    sociable = np.array([(1 - dice.uniform()) ** -0.6 for _ in favourite])
    friends: set[tuple[int, int]] = set()
    while len(friends) < N_FRIENDSHIPS:
        # The first round gives everyone a friend.
        user = len(friends) if len(friends) < len(favourite) else dice.pick(sociable)
        liking = sociable * (kin[favourite[user]][favourite] + 0.01)
        liking[user] = 0
        other = dice.pick(liking)
        friends.add((min(user, other), max(user, other)))
    return sorted(friends)


def as_csv(*rows: Sequence[Any]) -> bytes:
    """Return rows as CSV with plain line feeds."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def gzipped(content: bytes) -> bytes:
    """Return content compressed, without the name and the time that gzip would put in."""
    file = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as stream:
        stream.write(content)
    return file.getvalue()


def make() -> dict[str, bytes]:
    """Return the files, name by name."""
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
