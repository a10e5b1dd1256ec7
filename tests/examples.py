"""Numbers of Hypothesis examples: a quarter of them, unless slow tests are selected, too."""

import hypothesis

LEAST = 10


def load_profile(*, quick):
    """Load the settings of property tests; without ``quick``, each has the number of examples it states."""
    name = "a quarter of the examples" if quick else "all examples"
    hypothesis.settings.register_profile(
        name,
        max_examples=25 if quick else 100,
        # No example fails because the machine is busy.
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile(name)


def examples(n, **options):
    """Return settings with ``n`` examples, or with a quarter of them, but at least ten, in a quick run."""
    share = hypothesis.settings.default.max_examples / 100
    return hypothesis.settings(max_examples=max(min(n, LEAST), round(share * n)), **options)
