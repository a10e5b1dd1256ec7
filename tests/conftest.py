from commands import item2vec
from databases import cluster, engine, memory, new_url, other_url, sql, store, url

__all__ = ["cluster", "engine", "item2vec", "memory", "new_url", "other_url", "sql", "store", "url"]
