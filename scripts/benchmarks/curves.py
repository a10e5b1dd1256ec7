"""Quality over training time (BENCHMARKS B2): seconds until next_item exceeds the best published transformer.

    scripts/benchmarks/curves.py --data DIR [--seeds 1] [--svg FILE] [--json FILE]

On amazon-beauty, the last item of each history is the target. A point is a complete training with a number of
epochs; its time excludes compilation and evaluation. Trainers alternate on the same machine.
"""

import json
import time
import warnings
from math import log10
from pathlib import Path
from statistics import mean

import sets

import item2vec
from item2vec.errors import LeakWarning
from item2vec.evaluation import evaluate, leave_last_out

PUBLISHED = 0.0531
TRAINERS = {
    "gensim, skip-gram": ({"objective": "skipgram", "backend": "gensim"}, (1, 2, 5, 10, 20, 40)),
    "ours, skip-gram": ({"objective": "skipgram", "backend": "numba"}, (2, 5, 10, 20, 40, 80)),
    "ours, next_item": ({"objective": "next_item"}, (1, 2, 3, 4, 6, 8, 15)),
}
COLOURS = ("#888888", "#2b6cb0", "#c05621")
WIDTH, HEIGHT, MARGIN = 640, 400, 60


def measure(split, settings, epochs, seeds):
    """Return the mean seconds and NDCG@10 of training runs with this number of epochs."""
    seconds, scores = [], []
    for seed in range(1, seeds + 1):
        started = time.perf_counter()
        vectors = item2vec.train(split.train, epochs=epochs, seed=seed, **settings)
        seconds.append(time.perf_counter() - started)
        evaluation = evaluate(item2vec.Recommender(vectors), split, k=10, metrics=["ndcg"])
        scores.append(evaluation.metrics["ndcg@10"])
    return mean(seconds), mean(scores)


def picture(curves):
    """Return an SVG plot of NDCG@10 over seconds, on a logarithmic axis."""
    points = [point for curve in curves.values() for point in curve]
    left, right = (log10(f(t for _, t, _ in points)) for f in (min, max))
    top = 1.1 * max(PUBLISHED, *(score for _, _, score in points))

    def x(seconds):
        return MARGIN + (log10(seconds) - left) / (right - left) * (WIDTH - 2 * MARGIN)

    def y(score):
        return HEIGHT - MARGIN - score / top * (HEIGHT - 2 * MARGIN)

    def text(at_x, at_y, label, colour="#333333", anchor="middle"):
        return f'<text x="{at_x:.0f}" y="{at_y:.0f}" fill="{colour}" text-anchor="{anchor}">{label}</text>'

    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    ]
    line = f'x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(PUBLISHED):.0f}" y2="{y(PUBLISHED):.0f}"'
    shapes.append(f'<line {line} stroke="#333333" stroke-dasharray="4"/>')
    shapes.append(text(MARGIN + 4, y(PUBLISHED) - 5, f"SASRec, sampled softmax: {PUBLISHED}", anchor="start"))
    for seconds in (0.5, 1, 2, 5, 10, 20, 50, 100, 200):
        if left <= log10(seconds) <= right:
            shapes.append(text(x(seconds), HEIGHT - MARGIN + 20, f"{seconds:g} s"))
    for score in (0.02, 0.04, 0.06):
        shapes.append(text(MARGIN - 8, y(score) + 4, f"{score:.2f}", anchor="end"))
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=True):
        path = " ".join(f"{x(seconds):.1f},{y(score):.1f}" for _, seconds, score in curve)
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        shapes += [f'<circle cx="{x(t):.1f}" cy="{y(s):.1f}" r="3" fill="{colour}"/>' for _, t, s in curve]
        shapes.append(text(x(curve[-1][1]), y(curve[-1][2]) - 10, name, colour, "end"))
    shapes.append(
        text(WIDTH / 2, HEIGHT - 12, "seconds of training, two cores (each point is a complete training)")
    )
    shapes.append(text(MARGIN, MARGIN - 20, "NDCG@10 on amazon-beauty", anchor="start"))
    return "\n".join([*shapes, "</svg>\n"])


def main():
    parser = sets.arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--svg", type=Path, help="SVG file for a plot of the curves")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", LeakWarning)
    split = leave_last_out(sets.sequences(arguments.data / "amazon-beauty"))
    curves = {name: [] for name in TRAINERS}
    for settings, _ in TRAINERS.values():
        item2vec.train(split.train, epochs=1, **settings)
    longest = max(len(epochs) for _, epochs in TRAINERS.values())
    print(f"{'trainer':<20}{'epochs':>7}{'seconds':>9}{'NDCG@10':>9}")
    for step in range(longest):
        for name, (settings, epochs) in TRAINERS.items():
            if step < len(epochs):
                seconds, score = measure(split, settings, epochs[step], arguments.seeds)
                curves[name].append((epochs[step], seconds, score))
                print(f"{name:<20}{epochs[step]:>7}{seconds:>9.1f}{score:>9.4f}", flush=True)
    passed = [seconds for _, seconds, score in curves["ours, next_item"] if score > PUBLISHED]
    print(f"next_item passes {PUBLISHED} after {min(passed):.1f} s" if passed else f"{PUBLISHED} not passed")
    if arguments.svg:
        arguments.svg.write_text(picture(curves))
    if arguments.json:
        arguments.json.write_text(json.dumps(curves, indent=1))


if __name__ == "__main__":
    main()
