"""Write every dashboard, and the list of their panels: ``python -m dashboards.source``."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.source import backup, datastore, fleet, host, itself, machine, through_json
from dashboards.source.document import inserted

FOLDER = Path(__file__).parents[1]
DOCUMENT = FOLDER.parent / "docs" / "dashboards.md"
BOARDS = tuple(
    module.BOARD for module in (fleet, host, machine, datastore, backup, itself, through_json)
)


def written() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {
        f"{board.uid}.json": json.dumps(board.build(), cls=JSONEncoder, indent=1) + "\n"
        for board in BOARDS
    }


def main() -> None:
    """Write the files, and remove those that no dashboard has any more."""
    texts = written()
    for old in FOLDER.glob("*.json"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    document = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(inserted(document, BOARDS), encoding="utf-8")


if __name__ == "__main__":
    main()
