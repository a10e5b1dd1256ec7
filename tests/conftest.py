from databases import cluster, memory, new_url, sql, store, url

__all__ = ["cluster", "memory", "new_url", "sql", "store", "url"]
