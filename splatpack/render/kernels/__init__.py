"""Compiled kernels of the rasteriser: numpy, numba and splatpack.jit only."""
