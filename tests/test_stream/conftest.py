from __future__ import annotations

from tests.test_cli.conftest import cli, folder, originals

__all__ = ["cli", "folder", "originals"]
