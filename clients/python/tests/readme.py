"""Writes the programs of a README, each to a file, with the address of the test's hub in place of the example's."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main(readme: str, place: str) -> None:
    programs = re.findall(r"^```python\n(.*?)^```$", Path(readme).read_text(), re.MULTILINE | re.DOTALL)
    for index, program in enumerate(programs):
        text = program.replace('"https://hub.example"', '__import__("os").environ["HUB_URL"]')
        Path(place, f"readme_{index}.py").write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
