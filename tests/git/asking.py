"""Ask for changes as the runtime does, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.edits import IntentEdit
from reconciler.adapters.git.writeback import Job, write_back
from reconciler.manifest.intent import Intent, PutService, RemoveService, SetField
from reconciler.model.units import ServiceName
from reconciler.ports import Author, CommitRequest, Committed
from tests.git.scratch import Scratch

CAROL = Author(name="Carol", email="carol@example.org", uid=1000)


def set_field(value: str, *path: str, service: str = "web") -> SetField:
    """Set a value; by default of `env.PORT`."""
    return SetField(service=ServiceName(service), path=path or ("env", "PORT"), value=value)


def put(text: str, service: str = "web") -> PutService:
    """Replace a whole document."""
    return PutService(service=ServiceName(service), text=text)


def remove(service: str = "web") -> RemoveService:
    """Remove a service."""
    return RemoveService(service=ServiceName(service))


def request(*intents: Intent, **more: Any) -> CommitRequest:
    """Give a request of Carol's."""
    services = tuple(dict.fromkeys(intent.service for intent in intents))
    words: dict[str, Any] = {
        "subject": f"{', '.join(services)}: change",
        "author": CAROL,
        "op": "set",
        "op_id": "4f2a9c",
        "services": services,
    }
    return CommitRequest(intents=intents, **(words | more))


def write(
    scratch: Scratch,
    *intents: Intent,
    tell: Callable[[str], None] = lambda _: None,
    lock_wait_s: float = 10.0,
    **more: Any,
) -> Committed:
    """Write intents back, and check what must hold after every write-back."""
    asked = request(*intents, **more)
    job = Job(
        checkout=locate(scratch.root),
        request=asked,
        edit=IntentEdit(intents=asked.intents),
        tell=tell,
        lock_wait_s=lock_wait_s,
    )
    try:
        return write_back(job)
    finally:
        assert_tidy(scratch)


def assert_tidy(scratch: Scratch) -> None:
    """Check that the repository is sound, and that nothing temporary of ours is left."""
    assert scratch.fsck() == ""
    git_dir = locate(scratch.root).git_dir
    left = [path.name for path in git_dir.glob("weaver-tmp-*")]
    left += [path.name for path in scratch.root.rglob(".weaver-tmp-*")]
    left += [path.name for path in git_dir.glob("**/*.lock") if _is_ours(path)]
    assert left == []


def _is_ours(lock: Path) -> bool:
    return lock.read_bytes().startswith(b"weaver ")
