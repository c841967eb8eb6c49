"""Compiled kernels of the codecs: numpy, numba and splatpack.jit only."""
