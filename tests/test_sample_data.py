"""The sample data match their README, and reference models predict them far better than popularity."""

from __future__ import annotations

import csv
import gzip
import json
import re
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "sample_data"
FILES = ("items.csv", "playlists.jsonl", "listens.csv.gz", "friends.csv")
MOODS = {"calm", "dreamy", "wistful", "dark", "fierce", "driving", "joyful", "tender"}
K = 10


def text_of(path):
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def rows_of(name):
    return list(csv.DictReader(text_of(FOLDER / name).splitlines()))


@pytest.fixture(scope="module")
def items():
    return rows_of("items.csv")


@pytest.fixture(scope="module")
def playlists():
    return [json.loads(line) for line in text_of(FOLDER / "playlists.jsonl").splitlines()]


@pytest.fixture(scope="module")
def listens():
    return rows_of("listens.csv.gz")


@pytest.fixture(scope="module")
def friends():
    return [(row["source"], row["target"]) for row in rows_of("friends.csv")]


@pytest.fixture(scope="module")
def code(items):
    return {row["item_id"]: code for code, row in enumerate(items)}


@pytest.fixture(scope="module")
def genre(items):
    return np.array([row["genre"] for row in items])


@pytest.fixture(scope="module")
def histories(listens, code):
    """Return each user's item codes, oldest first."""
    by_user = defaultdict(list)
    for row in listens:
        by_user[row["user_id"]].append(code[row["item_id"]])
    return dict(by_user)


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample_data")
    subprocess.run([sys.executable, ROOT / "scripts" / "make_sample_data.py", folder], check=True)
    return folder


# --- files


@pytest.mark.slow
def test_the_script_writes_the_committed_data(regenerated):
    assert sorted(path.name for path in regenerated.iterdir()) == sorted(FILES)
    for name in FILES:
        assert text_of(regenerated / name) == text_of(FOLDER / name), name


@pytest.mark.slow
@pytest.mark.skipif("zlib-ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng compresses to other bytes")
def test_the_script_writes_the_committed_bytes(regenerated):
    for name in FILES:
        assert (regenerated / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_the_gzip_header_has_neither_name_nor_time():
    header = (FOLDER / "listens.csv.gz").read_bytes()[:10]
    assert header == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"


def test_the_folder_is_small_and_has_no_other_file():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted([*FILES, "README.md"])
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_the_readme_states_the_sizes(items, playlists, listens, friends):
    readme = text_of(FOLDER / "README.md")
    artists, users = {row["artist"] for row in items}, {row["user_id"] for row in listens}
    for statement in (
        f"{len(items):,} songs by {len(artists)} artists in {len({row['genre'] for row in items})} genres",
        f"{len(playlists):,} playlists, {np.mean([len(p['items']) for p in playlists]):.0f} songs each",
        f"{len(listens):,} listens of {len(users)} users",
        f"{len(friends):,} friendships",
    ):
        assert statement in readme


# --- items, playlists, friends


def test_items_are_distinct_songs_with_readable_ids(items):
    assert set(items[0]) == {"item_id", "title", "artist", "genre", "mood", "year"}
    assert len(items) == 1500
    assert len({row["item_id"] for row in items}) == len({row["title"] for row in items}) == len(items)
    for row in items:
        assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", row["item_id"])
        assert row["title"].replace("'", "").replace(" ", "-").lower() == row["item_id"]
        assert row["artist"].strip() == row["artist"] != ""
        assert row["mood"] in MOODS
        assert 1950 <= int(row["year"]) <= 2025


def test_an_artist_has_one_genre_and_at_least_three_songs(items):
    genres = defaultdict(set)
    for row in items:
        genres[row["artist"]].add(row["genre"])
    assert 190 <= len(genres) <= 210
    assert all(len(of_artist) == 1 for of_artist in genres.values())
    assert min(Counter(row["artist"] for row in items).values()) >= 3


def test_playlists_contain_known_songs_once(playlists, code):
    assert [playlist["playlist_id"] for playlist in playlists] == [f"p{n:04}" for n in range(1, 4001)]
    lengths = [len(playlist["items"]) for playlist in playlists]
    assert min(lengths) >= 5
    assert max(lengths) <= 30
    assert 11 <= np.mean(lengths) <= 13
    for playlist in playlists:
        assert set(playlist) == {"playlist_id", "items"}
        assert len(set(playlist["items"])) == len(playlist["items"])
    assert {item for playlist in playlists for item in playlist["items"]} == set(code)


def test_most_songs_of_a_playlist_share_a_genre(playlists, code, genre):
    shares = [
        max(Counter(genre[[code[i] for i in p["items"]]]).values()) / len(p["items"]) for p in playlists
    ]
    assert 0.75 < np.mean(shares) < 0.98


def assortativity(pairs, label):
    """Return Newman's assortativity by label (Phys. Rev. E 67, 2003): 1 = equal labels only, 0 = random."""
    names = sorted(set(label.values()))
    mixing = np.zeros((len(names), len(names)))
    for source, target in pairs:
        row, column = names.index(label[source]), names.index(label[target])
        mixing[row, column] += 1
        mixing[column, row] += 1
    mixing /= mixing.sum()
    expected = (mixing.sum(axis=0) ** 2).sum()
    return (np.trace(mixing) - expected) / (1 - expected)


def test_friendships_are_distinct_pairs_of_listeners(friends, histories):
    assert len(friends) == len({frozenset(pair) for pair in friends}) == 3000
    assert all(source != target for source, target in friends)
    assert {user for pair in friends for user in pair} == set(histories)


def test_the_degree_distribution_is_skewed(friends):
    degrees = np.sort(list(Counter(user for pair in friends for user in pair).values()))
    assert degrees[-1] > 5 * degrees.mean()
    assert np.median(degrees) < degrees.mean()


def test_friends_prefer_the_same_genre(friends, histories, genre):
    favourite = {user: Counter(genre[history]).most_common(1)[0][0] for user, history in histories.items()}
    assert assortativity(friends, favourite) > 0.5
    shuffled = np.random.default_rng(1).permutation(list(favourite.values()))
    assert abs(assortativity(friends, dict(zip(favourite, shuffled, strict=True)))) < 0.1


# --- listens


def sessions_of(listens):
    """Return (user, times) of each session: a user's listens, split at pauses over 30 minutes."""
    by_user = defaultdict(list)
    for row in listens:
        by_user[row["user_id"]].append(np.datetime64(row["timestamp"].removesuffix("Z"), "s"))
    sessions = []
    for user, times in by_user.items():
        cuts = np.flatnonzero(np.diff(times) > np.timedelta64(30, "m")) + 1
        sessions.extend((user, session) for session in np.split(np.array(times), cuts))
    return sessions


def test_listens_are_sorted_by_time_within_the_year(listens, code):
    times = [row["timestamp"] for row in listens]
    assert all(re.fullmatch(r"2025-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times)
    assert times == sorted(times)
    assert times[0] < "2025-01-03"
    assert times[-1] > "2025-12-29"
    assert 57_000 <= len(listens) <= 63_000
    assert {row["user_id"] for row in listens} == {f"u{n}" for n in range(1, 801)}
    assert {row["item_id"] for row in listens} == set(code)


def test_sessions_have_realistic_lengths_pauses_and_hours(listens):
    sessions = [times for _, times in sessions_of(listens)]
    lengths = np.array([len(session) for session in sessions])
    assert lengths.min() >= 3
    assert lengths.max() <= 25
    pauses = np.concatenate([np.diff(session) for session in sessions]).astype(int)
    assert pauses.min() >= 120
    assert np.median(pauses) < 360
    starts = np.array([session[0] for session in sessions])
    hour = starts.astype("datetime64[h]").astype(int) % 24
    weekday = (starts.astype("datetime64[D]").astype(int) + 3) % 7
    assert np.mean((hour >= 18) & (hour < 23)) > 0.35
    assert np.mean((hour >= 1) & (hour < 6)) < 0.05
    assert np.mean(weekday >= 5) > 1.2 * 2 / 7


def test_activity_is_skewed_and_listens_repeat(histories, listens):
    lengths = np.sort([len(history) for history in histories.values()])
    assert lengths[0] >= 6
    assert lengths[-80:].sum() > 0.25 * lengths.sum()
    repeated = 1 - sum(len(set(history)) for history in histories.values()) / len(listens)
    assert 0.15 < repeated < 0.35


def test_popularity_has_a_long_tail_in_every_genre(histories, genre):
    plays = np.bincount(np.concatenate(list(histories.values())), minlength=len(genre))
    for name in set(genre):
        ranked = np.sort(plays[genre == name])[::-1]
        head = len(ranked) // 10
        assert ranked[:head].sum() > 0.25 * ranked.sum()
        assert ranked[len(ranked) // 2 :].sum() < 0.35 * ranked.sum()


# --- predictability, by reference models of a few lines of NumPy


def last(history):
    return history[:-1], history[-1]


def last_new(history):
    """Split at the last item that is new in the history."""
    first = max(history.index(item) for item in set(history))
    return history[:first], history[first]


class Trial:
    """Leave-last-out over all items outside the history; a target inside it is a miss."""

    def __init__(self, histories, split, n_items):
        self.known, self.target = zip(*map(split, histories), strict=True)
        self.n_items = n_items

    def hit_rate(self, score):
        hits = 0
        for history, target in zip(self.known, self.target, strict=True):
            scores = np.array(score(history), dtype=float)
            target_score = scores[target]
            scores[history] = -np.inf
            # Ties count against the model; the comparison includes the target itself.
            hits += target not in history and np.count_nonzero(scores >= target_score) <= K
        return hits / len(self.target)

    def popularity(self):
        return np.bincount(np.concatenate(self.known), minlength=self.n_items)

    def cosine(self, known=None):
        """Return item–item cosines of the items' sets of users."""
        has = np.zeros((len(self.known), self.n_items))
        for user, history in enumerate(known or self.known):
            has[user, history] = 1
        has /= np.maximum(np.sqrt(has.sum(axis=0)), 1)
        cosine = has.T @ has
        np.fill_diagonal(cosine, 0)
        return cosine

    def transitions(self):
        """Return the number of transitions between items; popularity breaks ties."""
        follows = np.zeros((self.n_items, self.n_items))
        for history in self.known:
            np.add.at(follows, (history[:-1], history[1:]), 1)
        return follows + 1e-6 * self.popularity()


@pytest.fixture(scope="module", params=[last, last_new])
def trial(request, histories, items):
    return Trial(list(histories.values()), request.param, len(items))


@pytest.fixture(scope="module")
def popular(trial):
    plays = trial.popularity()
    return trial.hit_rate(lambda history: plays)


def test_popularity_has_a_low_hit_rate(popular):
    assert 0.02 < popular < 0.06


def test_co_occurrence_is_far_better_than_popularity(trial, popular):
    cosine = trial.cosine()
    assert trial.hit_rate(lambda history: cosine[history].sum(axis=0)) > 4 * popular


def test_transitions_are_far_better_than_popularity(trial, popular):
    follows = trial.transitions()
    assert trial.hit_rate(lambda history: follows[history[-1]]) > 5 * popular


def test_recent_items_are_more_predictive(trial):
    cosine = trial.cosine()

    def recent(history):
        return 0.9 ** np.arange(len(history))[::-1] @ cosine[history]

    assert trial.hit_rate(recent) > 1.15 * trial.hit_rate(lambda history: cosine[history].sum(axis=0))


def test_co_occurrence_of_shuffled_listens_is_no_better_than_popularity(trial, popular):
    shuffled = np.random.default_rng(1).permutation(np.concatenate(trial.known))
    ends = np.cumsum([len(history) for history in trial.known])[:-1]
    cosine = trial.cosine(np.split(shuffled, ends))
    assert trial.hit_rate(lambda history: cosine[history].sum(axis=0)) < 1.2 * popular


def test_nearest_items_by_playlists_share_a_genre(playlists, code, genre, items):
    has = np.zeros((len(playlists), len(items)))
    for playlist, row in zip(playlists, has, strict=True):
        row[[code[item] for item in playlist["items"]]] = 1
    has /= np.sqrt(has.sum(axis=0))
    cosine = has.T @ has
    np.fill_diagonal(cosine, -1)
    nearest = np.argsort(-cosine, axis=1)[:, :K]
    assert np.mean(genre[nearest] == genre[:, None]) > 0.8


def test_users_favourite_genre_changes_over_the_year(listens, code, genre):
    """Halves of a year differ more often than odd and even sessions, which differ by chance only."""

    def differ(parts):
        first, second = (Counter(genre[np.concatenate(part)]) for part in parts)
        return first.most_common(1)[0][0] != second.most_common(1)[0][0]

    heard = defaultdict(list)
    for row in listens:
        heard[row["user_id"]].append(code[row["item_id"]])
    by_user = defaultdict(list)
    for user, times in sessions_of(listens):
        by_user[user].append(heard[user][: len(times)])
        del heard[user][: len(times)]
    users = [sessions for sessions in by_user.values() if len(sessions) >= 8]
    halves = np.mean([differ((s[: len(s) // 2], s[len(s) // 2 :])) for s in users])
    alternating = np.mean([differ((s[::2], s[1::2])) for s in users])
    assert halves > 1.3 * alternating
