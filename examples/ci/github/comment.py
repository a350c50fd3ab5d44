"""Write a file as a comment of a pull request, or edit the comment that was written before.

The comment is known by its first line, and by its author: nobody else's is ever touched. A token
that may not comment is no failure, for the job's summary has the same text.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PER_PAGE = 100
MOST_PAGES = 30
SECONDS = 20
NOT_ALLOWED = (401, 403, 404)


def main(path: str) -> int:
    """Write the comment; a first one only if anything would change."""
    text = Path(path).read_text("utf-8")
    issues = f"/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    thread = f"{issues}/{os.environ['PULL_REQUEST']}/comments"
    try:
        found = next(own(thread, text.partition("\n")[0]), None)
        if found is not None and found["body"] != text:
            ask("PATCH", f"{issues}/comments/{found['id']}", {"body": text})
        elif found is None and os.environ["CODE"] != "0":
            ask("POST", thread, {"body": text})
    except urllib.error.HTTPError as error:
        if error.code not in NOT_ALLOWED:
            raise
        print(f"::warning::cannot write the comment: {error}; the job's summary has it")
    return 0


def own(thread: str, marker: str) -> Iterator[dict[str, Any]]:
    """Give our comments with a marker, oldest first."""
    for page in range(1, MOST_PAGES + 1):
        comments = ask("GET", f"{thread}?per_page={PER_PAGE}&page={page}")
        for comment in comments:
            is_ours = comment["user"]["login"] == os.environ["COMMENT_AUTHOR"]
            # What was typed into a browser has carriage returns.
            if is_ours and comment["body"].partition("\n")[0].rstrip() == marker:
                yield comment
        if len(comments) < PER_PAGE:
            return


def ask(method: str, path: str, content: dict[str, str] | None = None) -> Any:
    """Ask GitHub's API."""
    request = urllib.request.Request(
        os.environ["GITHUB_API_URL"] + path,
        method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['COMMENT_TOKEN']}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
