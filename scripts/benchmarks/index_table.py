"""Recall, latency, build time, loading time, memory and file size of libraries for approximate search.

Install the libraries into a separate environment, and run the script without the package:

    pip install numpy faiss-cpu hnswlib threadpoolctl usearch voyager
    taskset -c 0,1 scripts/benchmarks/index_table.py --rows 100000 --dimensions 64 --libraries hnswlib usearch

Vectors are synthetic: clusters of two levels, with unit rows (as the default model has), or with norms
between 1 and about 4 (``--norms zipf``). A query is the weighted mean of five rows, four of them of one
cluster. Each library runs in a separate process; queries run one at a time, on one core. "recall" is
recall@10 against exact search. Resident and proportional memory (RSS, PSS) of a process are measured while
four processes have loaded the index.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

K = 10
M, EF_BUILD = 16, 128
EFS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
QUERIES = 1000
BLOCK = 1 << 16


def data(rows, dimensions, norms, seed=1):
    """Return rows (rows × dimensions) and queries (QUERIES × dimensions), float32."""
    random = np.random.default_rng(seed)
    n_clusters = max(8, rows // 200)
    coarse = random.normal(size=(max(4, n_clusters // 50), dimensions)).astype(np.float32)
    centres = coarse[random.integers(len(coarse), size=n_clusters)]
    centres = centres + random.normal(scale=0.8, size=centres.shape).astype(np.float32)
    own = np.sort(np.minimum(random.zipf(1.3, rows) - 1, 10**9) % n_clusters)
    random.shuffle(own)
    matrix = np.empty((rows, dimensions), dtype=np.float32)
    for start in range(0, rows, BLOCK):
        part = own[start : start + BLOCK]
        noise = random.normal(scale=0.6, size=(len(part), dimensions)).astype(np.float32)
        matrix[start : start + BLOCK] = centres[part] + noise
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    if norms == "zipf":
        popularity = 1 / (1 + random.permutation(rows)) ** 0.8
        matrix *= (1 + 3 * (np.log1p(popularity * rows) / np.log1p(rows)))[:, None].astype(np.float32)
    queries = np.empty((QUERIES, dimensions), dtype=np.float32)
    by_cluster = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[by_cluster], np.arange(n_clusters + 1))
    for number in range(QUERIES):
        row = random.integers(rows)
        cluster = own[row]
        members = by_cluster[starts[cluster] : starts[cluster + 1]]
        history = [row, *random.choice(members, 3), random.integers(rows)]
        queries[number] = 0.8 ** np.arange(5) @ matrix[history]
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return matrix, queries


def exact(matrix, queries):
    """Return the score of the tenth best row of each query, and the rows of the best ten."""
    found = np.empty((len(queries), K), dtype=np.int64)
    for start in range(0, len(queries), 50):
        scores = queries[start : start + 50] @ matrix.T
        found[start : start + 50] = np.argpartition(-scores, K - 1, axis=1)[:, :K]
    return found


def with_norms(matrix):
    """Return rows of equal norm: a further dimension makes the orders by inner product and cosine equal."""
    norms = np.linalg.norm(matrix, axis=1)
    if np.allclose(norms, 1, atol=1e-4):
        return matrix
    scaled = matrix / norms.max()
    rest = np.sqrt(np.maximum(0, 1 - (scaled**2).sum(axis=1)))
    return np.column_stack((scaled, rest)).astype(np.float32)


class Hnswlib:
    def build(self, matrix, threads, native):
        import hnswlib

        self.native = native
        rows = matrix if native else with_norms(matrix)
        self.size = rows.shape[1]
        self.index = hnswlib.Index("ip", self.size)
        self.index.init_index(len(rows), M=M, ef_construction=EF_BUILD, random_seed=1)
        self.index.add_items(rows, num_threads=threads)

    def save(self, path):
        self.index.save_index(str(path))

    def load(self, path, size, _rows):
        import hnswlib

        self.size = size
        self.index = hnswlib.Index("ip", size)
        self.index.load_index(str(path))

    def at(self, ef):
        self.index.set_ef(ef)
        index = self.index
        return lambda query: index.knn_query(query, K, num_threads=1)[0][0]

    def remove(self, row):
        self.index.mark_deleted(row)


class Usearch:
    dtype = "f16"

    def build(self, matrix, threads, native):
        from usearch.index import Index

        rows = matrix if native else with_norms(matrix)
        self.size = rows.shape[1]
        self.index = Index(
            ndim=self.size,
            metric="ip",
            dtype=self.dtype,
            connectivity=M,
            expansion_add=EF_BUILD,
            enable_key_lookups=False,
        )
        self.index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=threads)

    def save(self, path):
        self.index.save(str(path))

    def load(self, path, size, _rows):
        from usearch.index import Index

        self.size = size
        self.index = Index.restore(str(path), view=True)

    def at(self, ef):
        self.index.expansion_search = ef
        compiled = self.index._compiled
        return lambda query: compiled.search_many(query[None], K, False, 1)[0][0]

    def remove(self, row):
        self.index.remove(row)


class UsearchF32(Usearch):
    dtype = "f32"


class UsearchBf16(Usearch):
    dtype = "bf16"


class UsearchI8(Usearch):
    dtype = "i8"


class Voyager:
    def build(self, matrix, threads, native):
        import voyager

        rows = matrix if native else with_norms(matrix)
        self.size = rows.shape[1]
        space = voyager.Space.InnerProduct if native else voyager.Space.Cosine
        self.index = voyager.Index(
            space, self.size, M=M, ef_construction=EF_BUILD, random_seed=1, max_elements=len(rows)
        )
        self.index.add_items(rows, num_threads=threads)

    def save(self, path):
        self.index.save(str(path))

    def load(self, path, size, _rows):
        import voyager

        self.size = size
        with Path(path).open("rb") as file:
            self.index = voyager.Index.load(file)

    def at(self, ef):
        index = self.index
        return lambda query: index.query(query, K, num_threads=1, query_ef=ef)[0]

    def remove(self, row):
        self.index.mark_deleted(row)


class Faiss:
    """HNSW over 16-bit floats."""

    def build(self, matrix, threads, native):
        import faiss

        faiss.omp_set_num_threads(threads)
        rows = matrix if native else with_norms(matrix)
        self.size = rows.shape[1]
        self.index = faiss.IndexHNSWSQ(
            self.size, faiss.ScalarQuantizer.QT_fp16, M, faiss.METRIC_INNER_PRODUCT
        )
        self.index.hnsw.efConstruction = EF_BUILD
        self.index.train(rows[:1000])
        self.index.add(rows)

    def save(self, path):
        import faiss

        faiss.write_index(self.index, str(path))

    def load(self, path, size, _rows):
        import faiss

        self.size = size
        self.index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)

    def at(self, ef):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index.hnsw.efSearch = ef
        index = self.index
        return lambda query: index.search(query[None], K)[1][0]

    def remove(self, row):
        raise NotImplementedError


class FaissF32(Faiss):
    """HNSW over 32-bit floats."""

    def build(self, matrix, threads, native):
        import faiss

        faiss.omp_set_num_threads(threads)
        rows = matrix if native else with_norms(matrix)
        self.size = rows.shape[1]
        self.index = faiss.IndexHNSWFlat(self.size, M, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = EF_BUILD
        self.index.add(rows)


LIBRARIES = {
    "faiss": FaissF32,
    "faiss-f16": Faiss,
    "hnswlib": Hnswlib,
    "usearch": UsearchF32,
    "usearch-bf16": UsearchBf16,
    "usearch-f16": Usearch,
    "usearch-i8": UsearchI8,
    "voyager": Voyager,
}


def padded(queries, size):
    """Return the queries with a zero for the further dimension of the rows, if there is one."""
    return np.ascontiguousarray(np.pad(queries, ((0, 0), (0, size - queries.shape[1]))))


def timed(search, queries, truth):
    """Return recall@10, and the median and 99th percentile of the latency in milliseconds."""
    hits, took = 0, []
    for query, best in zip(queries, truth, strict=True):
        started = time.perf_counter()
        found = search(query)
        took.append(time.perf_counter() - started)
        hits += len(np.intersect1d(found, best))
    return hits / truth.size, *(float(np.percentile(took, percent)) * 1000 for percent in (50, 99))


def memory():
    """Return resident and proportional memory in MiB; memory shared by n processes counts 1/n each."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024


def measure(arguments):
    """Build, save and query one index; print a dictionary of figures."""
    folder = Path(arguments.folder)
    matrix, queries = np.load(folder / "rows.npy"), np.load(folder / "queries.npy")
    truth = np.load(folder / "truth.npy")
    library, path = LIBRARIES[arguments.measure](), folder / f"{arguments.measure}.index"
    started, cpu = time.perf_counter(), time.process_time()
    library.build(matrix, arguments.threads, arguments.native)
    figures = {"build": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    library.save(path)
    figures["MB"] = path.stat().st_size / 1e6
    figures["size"] = library.size
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    queries = padded(queries, library.size)
    timed(library.at(EFS[0]), queries[:100], truth[:100])
    figures["curve"] = []
    for ef in EFS:
        figures["curve"].append((ef, *timed(library.at(ef), queries, truth)))
        if figures["curve"][-1][1] > 0.995:
            break
    print(json.dumps(figures))


def load(arguments):
    """Load a saved index, wait for a line, query it, and print seconds and memory."""
    folder = Path(arguments.folder)
    queries = padded(np.load(folder / "queries.npy"), arguments.size)
    library = LIBRARIES[arguments.load]()
    before = memory()
    started = time.perf_counter()
    library.load(folder / f"{arguments.load}.index", arguments.size, None)
    took = time.perf_counter() - started
    search = library.at(64)
    for query in queries:
        search(query)
    print("ready", flush=True)
    input()
    after = memory()
    print(json.dumps([took, after[0] - before[0], after[1] - before[1]]), flush=True)
    input()


def shared(name, folder, size):
    """Load an index in four processes; return seconds, and resident and proportional MiB of a process."""
    command = [sys.executable, __file__, "--load", name, "--folder", folder, "--size", str(size)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for worker in workers:
        worker.stdout.readline()
    answers = []
    for worker in workers:
        print(file=worker.stdin, flush=True)
        answers.append(json.loads(worker.stdout.readline()))
    for worker in workers:
        worker.communicate("\n")
    return np.median(answers, axis=0).tolist()


def at_recall(curve, wanted):
    """Return the first point of the curve that reaches a recall."""
    return next((point for point in curve if point[1] >= wanted), (None, None, None, None))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--norms", choices=["unit", "zipf"], default="unit")
    parser.add_argument("--native", action="store_true", help="inner products without a further dimension")
    parser.add_argument("--threads", type=int, default=2, help="threads of the build")
    parser.add_argument("--libraries", nargs="*", default=[*LIBRARIES], choices=[*LIBRARIES])
    parser.add_argument(
        "--matrix", type=Path, help="a .npy file of real vectors, in place of synthetic vectors"
    )
    parser.add_argument("--json", type=Path, help="append the figures to this file, one line per library")
    for name in ("--measure", "--load", "--folder", "--size"):
        parser.add_argument(name, help=argparse.SUPPRESS, type=int if name == "--size" else str)
    arguments = parser.parse_args()
    if arguments.measure or arguments.load:
        return measure(arguments) if arguments.measure else load(arguments)
    with tempfile.TemporaryDirectory() as folder:
        matrix, queries = data(arguments.rows, arguments.dimensions, arguments.norms)
        truth = exact(matrix, queries)
        for name, array in (("rows", matrix), ("queries", queries), ("truth", truth)):
            np.save(Path(folder) / f"{name}.npy", array)
        started = time.perf_counter()
        for query in queries[:50]:
            np.argpartition(-(matrix @ query), K - 1)[:K]
        print(f"a scan with NumPy: {(time.perf_counter() - started) / 50 * 1000:.3f} ms")
        print(
            "library       build s   CPU s      MB  load s  RSS, PSS MiB    ef .95  p50  p99 ms   ef .99  p50"
        )
        for name in arguments.libraries:
            options = ["--measure", name, "--folder", folder, "--threads", str(arguments.threads)]
            options += ["--native"] * arguments.native
            answer = subprocess.run(
                [sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True
            )
            figures = json.loads(answer.stdout)
            figures["load"], figures["rss"], figures["pss"] = shared(name, folder, figures["size"])
            (ef, _, p50, p99), (ef_99, _, p50_99, _) = (
                at_recall(figures["curve"], wanted) for wanted in (0.95, 0.99)
            )
            print(
                f"{name:12} {figures['build']:8.1f} {figures['cpu']:7.1f} {figures['MB']:7.1f} "
                f"{figures['load']:7.3f} {figures['rss']:6.0f} {figures['pss']:6.0f}    "
                f"{ef} {p50 or 0:.3f} {p99 or 0:.3f}   {ef_99} {p50_99 or 0:.3f}",
                flush=True,
            )
            if arguments.json:
                case = {"library": name, "rows": arguments.rows, "dimensions": arguments.dimensions}
                case |= {"norms": arguments.norms, "native": arguments.native}
                with arguments.json.open("a") as file:
                    print(json.dumps(case | figures), file=file)
    return None


if __name__ == "__main__":
    main()
