"""Write the golden files."""

from __future__ import annotations

from splatpack.formats.registry import write_scene
from tests.test_formats.golden import FILES, FOLDER, original

for name, settings in FILES.items():
    with (FOLDER / name).open("wb") as file:
        write_scene(file, original(), name, **settings)
    print(name, (FOLDER / name).stat().st_size)
