"""Compiled kernels of fitting: numpy, numba and splatpack.jit only."""
