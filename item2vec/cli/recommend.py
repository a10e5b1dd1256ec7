"""The commands ``recommend``, ``similar`` and ``analogy``, which query the served model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from item2vec.cli import options
from item2vec.cli.output import as_rows, show, show_rows
from item2vec.cli.parameters import ItemsFile, items_file_with_encoding
from item2vec.cli.remedies import remedies_for
from item2vec.cli.rules import RuleOptions, rule_options
from item2vec.cli.settings import location
from item2vec.errors import ConfigError, listed, short_repr
from item2vec.items import Items
from item2vec.types import check_ids

__all__ = ["analogy", "recommend", "similar"]


@rule_options
@items_file_with_encoding
def recommend(
    *,
    history: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM…", help="Item ids of a history, oldest first.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Id of a user of the store.")] = None,
    k: options.K = 10,
    every_user: Annotated[
        bool,
        typer.Option("--all", help="Recommend for all users; requires --out, or --to-store."),
    ] = False,
    corpus: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --all: recommend for the users of this sharded corpus, instead of those of the store.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --all: folder of the Parquet files to write.")
    ] = None,
    to_store: Annotated[
        bool, typer.Option("--to-store", help="With --all: write to the table recommendation of the store.")
    ] = False,
    similar_users: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="With --all and --out: also write the K most similar users of each user, by cosine of the "
            "user embeddings, to the folder _similar_users in DIR.",
        ),
    ] = None,
    rules: RuleOptions,
    log: Annotated[
        bool, typer.Option("--log", help="Record the items in the store as impressions (shown to --user).")
    ] = False,
    exclude_shown: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Exclude items shown to --user (recorded by --log) in the last DURATION, such as 7d.",
        ),
    ] = None,
    items: ItemsFile | None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """Recommend items for a user, for a history, or for all users.

    The store is read for --user, --where, --at-most and conditions in --boost. Other requests use the model
    only, and may recommend inactive items. Titles and attributes are read from the first of these sources
    that has them: the file --items, the store (if it is read), and the model, which stores those known at
    training time.

    With --all, the command writes files or rows in blocks of users. With --corpus, it writes one file per
    shard, reads attributes from the model instead of the store, and may recommend inactive items. After an
    interruption, run the same command again: finished blocks and files are kept. Remaining users are served
    from the catalogue at the time of the restart.

    Example: item2vec recommend --user u42 --where genre=jazz --where 'year>=1990'
    """
    from item2vec import Engine, load

    if every_user:
        if user is not None or history:
            raise ConfigError("got --all together with --user or item ids; expected one of them")
        only_one = {"--log": log, "--exclude-shown": exclude_shown is not None, "--items": items is not None}
        if flags := _flags_of(only_one):
            raise ConfigError(f"got {flags} with --all; omit {flags}, or recommend for one user with --user")
        request = _EveryUser(out, to_store, corpus, k, similar_users, rules)
        show(request.run(location("models", models), location("store", store)), as_json=as_json)
        return
    only_all = {
        "--out": out is not None,
        "--to-store": to_store,
        "--corpus": corpus is not None,
        "--similar-users": similar_users is not None,
    }
    if flags := _flags_of(only_all):
        raise ConfigError(f"got {flags} without --all; add --all, or omit {flags}")
    if (user is None) == (not history):
        got = "neither item ids nor --user" if user is None else "both item ids and --user"
        raise ConfigError(f"got {got}; expected one of them, or --all: see item2vec recommend --help")
    if user is None and (log or exclude_shown is not None):
        flag = "--log" if log else "--exclude-shown"
        raise ConfigError(
            f"got {flag} with item ids; expected --user, because impressions are recorded per user"
        )
    check_ids(history or [])
    if user is None and not rules.read_attributes:
        # No events and no attributes are needed, so the store is not opened.
        model = load(location("models", models))
        recommendations = model.recommend(history or [], k=k, **rules.arguments())
    else:
        with Engine(models=location("models", models), store=location("store", store)) as engine:
            view = engine.view()
            model = view.model
            recommendations = view.recommend(
                user,
                history=history or None,
                k=k,
                log=log,
                exclude_shown=exclude_shown,
                **rules.arguments(view.items),
            )
            if user is not None and not engine.store.histories([user])[0]:
                _note(f"user {short_repr(user)} is unknown: the store has no interactions of this user")
    if history and not any(id_ in model.vocabulary for id_ in history):
        _note(f"no item of the history is known to the model: {listed(history)}")
    rows = as_rows(recommendations, _titles(items, model.described_items), with_source=True, as_json=as_json)
    show_rows(rows, as_json=as_json)


@rule_options
@items_file_with_encoding
def similar(
    *,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Item id.")],
    k: options.K = 10,
    rules: RuleOptions,
    items: ItemsFile | None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """List the items most similar to an item, by cosine similarity.

    The store is read for --where, --at-most and conditions in --boost. Other requests use the model only, and
    may list inactive items. Titles and attributes are read from the first of these sources that has them: the
    file --items, the store (if it is read), and the model, which stores those known at training time.

    Example: item2vec similar blue-harbour -k 5
    """
    query = {"positive": [item], "k": k}
    _show_analogy(query, rules, items, models, store, as_json=as_json)


@rule_options
@items_file_with_encoding
def analogy(
    *,
    added: Annotated[
        list[str], typer.Option("--positive", metavar="ITEM", help="Id of an item to add; may be repeated.")
    ],
    subtracted: Annotated[
        list[str] | None,
        typer.Option("--negative", metavar="ITEM", help="Id of an item to subtract; may be repeated."),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="3cosadd|3cosmul", help="Formula of the scores.")
    ] = "3cosadd",
    k: options.K = 10,
    rules: RuleOptions,
    items: ItemsFile | None,
    models: options.Models = None,
    store: options.Store = None,
    as_json: options.AsJson = False,
) -> None:
    """List the items near a sum and difference of item vectors.

    The items of the query are excluded. With 3cosadd, the score is the cosine to the sum of the positive
    minus the negative unit vectors. With 3cosmul, cosines are scaled to 0…1, and the product for the positive
    items is divided by the product for the negative items (Levy & Goldberg, CoNLL 2014). The store and titles
    are read as in "item2vec similar".

    Example: item2vec analogy --positive blue-harbour --positive hinterhof --negative misty-estuary -k 5
    """
    query = {"positive": added, "negative": subtracted or [], "method": method, "k": k}
    _show_analogy(query, rules, items, models, store, as_json=as_json)


def _show_analogy(
    query: dict[str, Any],
    rules: RuleOptions,
    items: ItemsFile | None,
    models: str | None,
    store: str | None,
    *,
    as_json: bool,
) -> None:
    from item2vec import Engine, load

    if rules.read_attributes:
        with Engine(models=location("models", models), store=location("store", store)) as engine:
            view = engine.view()
            model, found = view.model, view.analogy(**query, **rules.arguments(view.items))
    else:
        model = load(location("models", models))
        found = model.analogy(**query, **rules.arguments())
    show_rows(as_rows(found, _titles(items, model.described_items), as_json=as_json), as_json=as_json)


@dataclass(frozen=True)
class _EveryUser:
    """The options of ``recommend --all``, and the steps of this command."""

    out: Path | None
    to_store: bool
    corpus: Path | None
    k: int
    similar_users: int | None
    rules: RuleOptions

    def run(self, models: str, url: str) -> dict[str, Any]:
        """Recommend for all users; return a summary."""
        from item2vec import Engine, recommend_all
        from item2vec.store.connect import parse_url, shown

        if (self.out is None) != self.to_store:
            found = "neither --out nor --to-store" if self.out is None else "both --out and --to-store"
            raise ConfigError(f"got {found}; expected one of them")
        if self.to_store and self.similar_users is not None:
            raise ConfigError(
                "got --similar-users together with --to-store; expected --similar-users with --out"
            )
        if self.corpus is not None:
            return self._of_corpus(models, self.corpus)
        with Engine(models=models, store=url, reload_every=None) as engine:
            model, version, store = engine.model, engine.version, engine.store
            rules = self.rules.arguments(engine.view().items if self.rules.read_attributes else None)
            target: Any = {"to_store": store} if self.to_store else self._files
            done = recommend_all(model, store, k=self.k, version=version, **target, **rules)
        place = {"store": shown(parse_url(url))} if self.to_store else self._places
        return {**place, "version": version, "k": self.k, **asdict(done)}

    def _of_corpus(self, models: str, corpus: Path) -> dict[str, Any]:
        """Recommend for all users of a corpus, without a store; return a summary."""
        from item2vec import Sentences, recommend_all
        from item2vec.versions import load_served

        if self.to_store:
            raise ConfigError("got --corpus together with --to-store; expected --corpus with --out")
        version, model = load_served(models)
        histories, rules = Sentences.open(corpus), self.rules.arguments(model.items)
        with remedies_for():  # the flag --items of this command does not give the model attributes
            done = recommend_all(model, histories, k=self.k, version=version.id, **self._files, **rules)
        return {**self._places, "version": version.id, "k": self.k, **asdict(done)}

    @property
    def _files(self) -> dict[str, Any]:
        """The arguments of ``recommend_all`` that determine the files to write."""
        return {"out": self.out, "similar_users": self.similar_users}

    @property
    def _places(self) -> dict[str, str]:
        """The folders of the files, for the summary."""
        from item2vec.batch.similar import FOLDER

        out = Path(str(self.out))
        similar = {} if self.similar_users is None else {"similar_users": str(out / FOLDER)}
        return {"out": str(out), **similar}


def _note(text: str) -> None:
    typer.echo(f"item2vec: {text}; popular items follow", err=True)


def _flags_of(are_set: Mapping[str, bool]) -> str:
    return " and ".join(flag for flag, is_set in are_set.items() if is_set)


def _titles(file: ItemsFile | None, model_items: Items | None) -> Items | None:
    """Return the items read from ``file``, or ``model_items`` if ``file`` is ``None``."""
    from item2vec.cli.titles import read_titles

    return model_items if file is None else read_titles(file)
