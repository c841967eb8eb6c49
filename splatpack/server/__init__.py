"""Sockets: the streaming server, its registry of scenes, HTTP, metrics. No compiler, no torch, no codec behind it."""
