"""Run the command line with ``python -m item2vec``."""

from item2vec.cli import main

main()
