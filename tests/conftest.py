from commands import item2vec
from databases import cluster, memory, new_url, sql, store, url

__all__ = ["cluster", "item2vec", "memory", "new_url", "sql", "store", "url"]
