"""Compiled loops over plain NumPy arrays. The only package that imports numba.

Each module states what its loops compute as a formula or as a few lines of NumPy.
"""
