"""Compiled loops over plain NumPy arrays. The only package that imports numba.

The docstrings define the results of the loops by formulas or by a few lines of NumPy.
"""
