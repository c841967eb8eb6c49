"""Kernels of training, each under :func:`splatpack.jit.kernel`."""
