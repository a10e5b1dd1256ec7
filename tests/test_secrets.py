"""Secrets: no output of any command contains them, whether it succeeds or fails."""

import logging
import pickle
import re
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import empty_schema
from nights import TOML, InProcessWorker, fill, made_listens

from item2vec import TasteConfig, adapters, fit, publish
from item2vec.cli.app import tree
from item2vec.cli.logs import _Lines
from item2vec.conditions import parse
from item2vec.errors import ConfigError, InputError, Item2VecError, StoreError, masked, short_repr
from item2vec.store import Store
from item2vec.store.connect import parse_url, shown

SECRET = "Hunter2S3cret"
TYPO = "postgresql://ann:Hunter2S3cret@db/shop"
STORES = [
    "postgresql://ann:{}@127.0.0.1:1/shop",
    "postgresql://ann:a@b{}@127.0.0.1:1/shop",
    "postgresql://ann:a/{}?b#c@127.0.0.1:1/shop",
    "postgresql://ann:a {}@127.0.0.1:1/shop",
    "postgresql://:{}@127.0.0.1:1/shop",
    "postgresql://ann:{}@127.0.0.1:port/shop",
    "postgresql://ann:{}",
    "postgresql://ann:{}/shop",
    "postgresql://ann%3A{}@127.0.0.1:1/shop",
    "postgresql:ann:{}@db/shop",
    "postgresql//ann:{}@db/shop",
    "ann:{}@db/shop",
    "://ann:{}@db/shop",
    "mysql://ann:{}@db/shop",
    "postgresql://127.0.0.1:1/shop?password={}",
    "postgresql://127.0.0.1:1/shop?PASSWORD={}",
    "postgresql://127.0.0.1:1/shop?token={}",
    "postgresql://127.0.0.1:1/shop?colour={}",
    "postgresql://127.0.0.1:1/shop?={}",
    "postgresql://127.0.0.1:1/shop?password={}&port=abc",
    "postgresql://127.0.0.1:1/shop?sslmode=never&password={}",
    "postgresql://127.0.0.1:1/shop?autocommit=x&row_factory={}",
    "postgresql://127.0.0.1:1/shop?options=-cmy.password%3D{}",
    "postgresql://127.0.0.1:1/shop?dbname=password%3D{}",
    "postgresql://127.0.0.1:1/shop?host=ann:{}@db",
    "postgresql://127.0.0.1:1/shop;password={}",
    "postgresql://127.0.0.1:1/shop#token={}",
    "sqlite:///a.db?key={}",
    "sqlite:///a.db?PASSWORD={}",
    "sqlite:///a.db?timeout=1&apikey={}",
    "sqlite://ann:{}@/a.db",
    "sqlite://ann:{}@host/a.db",
    "item2vec.db?key={}",
    "host=127.0.0.1 port=1 user=ann password={}",
    "host=127.0.0.1 password = 'a {} b'",
    'host=127.0.0.1 password="{}',
    "password={}",
]
SETTINGS = [
    'store = ["postgresql://ann:{}@db/shop"]',
    '[store]\nurl = "postgresql://ann:{}@db/shop"',
    '[store]\npassword = "{}"',
    'password = "{}"',
    '"postgresql://ann:{}@db/shop" = 1',
    'models = {{token = "{}"}}',
    'train = "postgresql://ann:{}@db/shop"',
    '[train]\npassword = "{}"',
    '[train]\nepochs = "postgresql://ann:{}@db/shop"',
    '[train]\nepochs = {{password = "{}"}}',
    '[adapter]\nevents = {{password = "{}"}}',
    'index = "postgresql://ann:{}@db/shop"',
    'store = "postgresql://ann:{}@db/shop',
    'store = "host=db password={}"',
    'store = "postgresql://ann:{}@127.0.0.1:1/shop"',
]
WITH_STORE = {
    "item2vec ingest": ["listens.csv"],
    "item2vec train": [],
    "item2vec evaluate": [],
    "item2vec tune": [],
    "item2vec retrain": [],
    "item2vec recommend": ["--user", "u1"],
    "item2vec similar": ["a", "--where", "genre=jazz"],
    "item2vec analogy": ["--positive", "a", "--where", "genre=jazz"],
    "item2vec models rollback": ["--reason", "test"],
    "item2vec runs show": ["1"],
    "item2vec db upgrade": [],
    "item2vec db current": [],
    "item2vec db copy": ["sqlite:///copy.db"],
}
COMMANDS = {words: command for words, command in tree() if not hasattr(command, "commands")}
FLAGS = {
    flag: words
    for words, command in COMMANDS.items()
    for parameter in command.params
    for flag in parameter.opts[:1]
    if flag.startswith("--")
}
"""Maps each flag to one of the commands that have it."""


def reveals(text):
    """Whether a text contains the secret, or a long part of it."""
    return any(SECRET[start : start + 6] in text for start in range(len(SECRET) - 5))


def written(folder):
    """The content of all files in a folder, except inputs of the test, and their names."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "item2vec.toml"]
    return "\n".join(str(path.relative_to(folder)) + path.read_bytes().decode("latin-1") for path in files)


def rows(url):
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        text = repr([connection.execute(sa.select(table)).all() for table in tables.sorted_tables])
    engine.dispose()
    return text


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]), vector_size=12)
    for _ in range(2):
        publish(model, folder)
    return folder


@pytest.fixture
def secretive(item2vec, tmp_path, caplog):
    """Run a command, check that nothing contains the secret, and return the exit code and the output."""
    caplog.set_level(logging.INFO)

    def run(*words):
        code, out, err = item2vec(*words)
        assert not reveals(out + err), (words, out, err)
        lines = [_Lines().format(record) for record in caplog.records]
        assert not reveals("\n".join(lines)), (words, lines)
        assert not reveals(written(tmp_path)), words
        return code, out + err

    return run


def test_commands_with_a_store_are_known():
    flags = {words for words, command in COMMANDS.items() for p in command.params if "--store" in p.opts}
    assert flags == {*WITH_STORE, "item2vec serve"}  # a service starts before its store is opened


@pytest.mark.parametrize("store", STORES)
def test_no_message_of_a_store_contains_a_secret(secretive, store, tmp_path, monkeypatch):
    url = store.format(SECRET)
    assert secretive("db", "upgrade", "--store", url)[0]
    assert secretive("recommend", "--user", "u1", "--store", url)[0]
    with Store(f"sqlite:///{tmp_path}/item2vec.db") as good:
        good.upgrade()
    assert secretive("db", "copy", url)[0]
    monkeypatch.setenv("ITEM2VEC_STORE", url)
    assert secretive("db", "current")[0]


@pytest.mark.parametrize(
    "store", ["postgresql://ann:{}@127.0.0.1:1/shop", "postgresql:ann:{}@db/shop", "sqlite:///a.db?key={}"]
)
def test_no_message_of_a_command_contains_the_secret_of_its_store(secretive, store, models, tmp_path):
    shutil.copytree(models, tmp_path / "models")  # a rollback changes them
    (tmp_path / "listens.csv").write_text("user_id,item_id,timestamp\nu1,a,1\n")
    for words, arguments in WITH_STORE.items():
        code, _ = secretive(*words.split()[1:], *arguments, "--store", store.format(SECRET))
        assert (code == 0) == (words == "item2vec models rollback"), words


@pytest.mark.parametrize("store", STORES)
def test_no_exception_of_a_store_contains_a_secret(store):
    def use():
        opened = Store(store.format(SECRET))
        assert not reveals(repr(opened) + repr(vars(opened)["_schema"]))
        opened.upgrade()

    with pytest.raises((ConfigError, StoreError)) as raised:
        use()
    error = raised.value
    while error is not None:
        assert not reveals(repr(error) + str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize("toml", SETTINGS)
def test_no_message_of_the_settings_file_contains_a_secret(secretive, toml, tmp_path):
    (tmp_path / "item2vec.toml").write_text(toml.format(SECRET))
    for words in (["train"], ["retrain"], ["db", "current"], ["recommend", "--user", "u1"]):
        secretive(*words)


@pytest.mark.parametrize("words", sorted(set(COMMANDS) - {"item2vec demo", "item2vec playground"}))
def test_no_argument_is_repeated_with_its_secret(secretive, words):
    given = words.split()[1:]
    for flag in (flag for flag, first in FLAGS.items() if first == words):
        secretive(*given, f"{flag}={TYPO}", *["x"] * (words == "item2vec ingest"))
    secretive(*given, TYPO, TYPO, TYPO)
    secretive(*given, f"--stroe={TYPO}")
    secretive(*given, "--stroe", f"password={SECRET}")
    secretive(TYPO, *given)


@pytest.mark.slow
def test_no_output_of_a_successful_command_contains_a_secret(secretive, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    schema = empty_schema(cluster)
    url = f"{schema.replace('postgres@', f'postgres:{SECRET}@')}&sslpassword={SECRET}"
    fill(schema, made_listens(60))
    monkeypatch.setenv("ITEM2VEC_STORE", url)
    (tmp_path / "item2vec.toml").write_text(TOML.replace("pages = false", "pages = true"))
    (tmp_path / "listens.csv").write_text("user_id,item_id,timestamp\nu1,a,1\n")
    for words in ("ingest listens.csv", "db upgrade", "db current --json", "evaluate", "train", "train"):
        code, output = secretive(*words.split())
        assert code == 0, output
    assert secretive("recommend", "--user", "u1")[0] == 0
    assert secretive("retrain", "--force", "--reason", "test", "--json")[0] in {0, 3}
    assert secretive("models", "rollback", "--reason", "test")[0] == 0
    assert secretive("retrain")[0] == 3
    assert secretive("models", "show", "--json")[0] == 0
    assert secretive("db", "copy", "sqlite:///copy.db")[0] == 0
    report, *_ = Path("models/runs").glob("*.json")
    assert "postgres:***@" in report.read_text()
    assert list(Path("models/runs").glob("*.html"))
    assert not reveals(rows(schema))


def test_a_failed_run_records_no_secret(secretive, tmp_path, monkeypatch):
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)

    def fail(*_arguments, **_options):
        raise RuntimeError(f"connection to {TYPO} with password={SECRET} failed")

    monkeypatch.setattr("item2vec.retraining.jobs.Jobs.snapshot", fail)
    fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens(60))
    (tmp_path / "item2vec.toml").write_text(TOML)
    code, message = secretive("retrain")
    assert code == 1
    assert "Traceback" in message
    assert "***" in rows(f"sqlite:///{tmp_path}/item2vec.db")


def test_the_traceback_of_an_unexpected_error_contains_no_secret(secretive, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError(f"connection to {TYPO} failed")

    monkeypatch.setattr("item2vec.versions.overview", fail)
    code, message = secretive("models", "list")
    assert code == 1
    assert message.rstrip().endswith("RuntimeError: connection to postgresql://ann:***@db/shop failed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ann:pw@db/shop", "postgresql://ann:***@db/shop"),
        ("two: a://b:pw@c and d://e:pw@f", "two: a://b:***@f"),
        ("{'password': 'pw', 'user': 'ann'}", "{'password': ***, 'user': 'ann'}"),
        ('{"token": "p\\"w", "user": "ann"}', '{"token": ***, "user": "ann"}'),
        ("PGPASSWORD=pw item2vec train", "PGPASSWORD=*** item2vec train"),
        ("postgresql://ann:***@db: password=*** failed for a@b", None),
        ("postgresql://ann@db:5432/shop: see a@b", None),
        ("http://localhost:8000/x?k=3", None),
        ("pass sep='|', or max_tokens=5; key='a' occurs twice", None),
        ("'a:b@c' is unknown; did you mean 'a:b@d'?", None),
        ("the password is empty: expected text", None),
    ],
)
def test_masked(text, expected):
    assert masked(text) == (text if expected is None else expected)
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize("value", [["a"] * 10**5, "a" * 10**6, {"a" * 1000: "b" * 10**6}], ids=type)
@pytest.mark.parametrize(
    "call",
    [
        lambda value: TasteConfig(decay=value),
        lambda value: fit(adapters.playlists([["a", "b"]]), vector_size=value),
        Store,
        parse,
    ],
)
def test_no_message_contains_a_large_argument(call, value):
    message = ""
    try:
        call(value)
    except Item2VecError as error:
        message = str(error)
    assert len(message) < 5_000


def test_a_long_message_is_shortened():
    assert len(str(InputError("a" * 10**6))) < 5_000


def test_messages_are_masked_however_they_are_made():
    error = ConfigError(f"{TYPO} is unknown", 3)
    assert not reveals(repr(error) + str(error) + repr(error.args))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert not reveals(short_repr([{"url": TYPO}]))
    with pytest.raises(ConfigError) as raised:
        TasteConfig(decay=TYPO)
    assert not reveals(str(raised.value))


def test_a_shown_url_keeps_only_known_parameters():
    url = parse_url("postgresql://ann:x@h/d?connect_timeout=3&sslmode=require&sslrootkey=x&Unknown=x")
    assert shown(url) == "postgresql+psycopg://ann:***@h/d?connect_timeout=3&sslmode=require"


def test_the_pattern_of_a_secret_takes_linear_time():
    for text in (
        "x" * 10**6,
        "token" * 10**5,
        ":/" * 10**5,
        "a:/b:" * 10**5,
        "'" * 10**6,
        "password='\\" * 10**5,
    ):
        assert len(str(ConfigError(text))) < 5_000
        assert len(short_repr(text)) <= 80


def test_a_text_that_may_contain_a_password_is_not_part_of_the_message():
    for store in (
        "ann:pw@db",
        "host=db password=pw",
        "db key2=pw",
        "postgresql//ann:pw@db",
        b"postgresql://a:pw@b",
        ["pw"],
    ):
        with pytest.raises(ConfigError) as raised:
            parse_url(store)
        assert not re.search("pw|ann", str(raised.value))


def test_log_lines_are_masked():
    record = logging.LogRecord("item2vec", logging.ERROR, "x.py", 1, "from %s", (TYPO,), None)
    record.facts = {"error": TYPO}
    assert not reveals(_Lines().format(record))


@pytest.mark.parametrize(
    ("toml", "found"), [('["pw1"]', "an array"), ('{a = "pw1"}', "a table"), ("7", "type int")]
)
def test_a_setting_of_the_wrong_type_is_not_printed(item2vec, tmp_path, toml, found):
    (tmp_path / "item2vec.toml").write_text(f"store = {toml}")
    code, _, err = item2vec("db", "current")
    assert code == 2
    assert found in err
    assert "pw1" not in err
