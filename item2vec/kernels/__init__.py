"""Compiled loops: the one door to numba. Everything here works on plain NumPy arrays and nothing else."""
