"""Write the data that the API serves, then exit: a oneshot."""

import json
import os
import sys
from pathlib import Path

DATA = Path(os.environ["DEMO_DATA"])
LINES = [
    "What runs is what the repository says.",
    "A change is a commit; a commit can be reverted.",
    "A restart you did not ask for is a defect.",
]


def main() -> int:
    """Write the file whole: under another name first, so that nobody reads half of it."""
    DATA.parent.mkdir(parents=True, exist_ok=True)
    draft = DATA.with_suffix(".tmp")
    draft.write_text(json.dumps(LINES))
    draft.replace(DATA)
    print(f"wrote {len(LINES)} lines to {DATA}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
