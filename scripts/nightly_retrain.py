#!/usr/bin/env python3
"""Run ``item2vec retrain`` in the folder that contains item2vec.toml, for use with cron.

Usage: nightly_retrain.py [FOLDER [OPTION…]]
"""

import os
import sys

from item2vec.cli import main

if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        try:
            os.chdir(sys.argv.pop(1))
        except OSError as error:
            print(f"{sys.argv[0]}: {error.filename}: {error.strerror}", file=sys.stderr)
            sys.exit(2)
    main(["retrain", *sys.argv[1:]])
