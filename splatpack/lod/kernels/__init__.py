"""Compiled kernels of the levels of detail: numpy, numba and splatpack.jit only."""
