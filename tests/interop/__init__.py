"""Two-way proof against other people's readers and writers, where they are installed. ``scripts/interop`` runs it."""
