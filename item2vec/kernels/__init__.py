"""Compiled loops over plain NumPy arrays. The only package that imports numba.

Each module defines the results of its loops by formulas or by a few lines of NumPy.
"""
