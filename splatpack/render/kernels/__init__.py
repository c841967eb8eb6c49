"""Compiled kernels of rendering: numpy, numba and splatpack.jit only."""
