"""Compiled kernels of foreign formats: numpy, numba and splatpack.jit only."""
