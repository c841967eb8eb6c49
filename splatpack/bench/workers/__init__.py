"""Programs that run one codec on one file, each in a process of its own: see :mod:`splatpack.bench.protocol`."""
