"""Call one checker, in a process that may crash, leak or hang: `python -P custom_child.py`.

It reads from its standard input what to call, and writes to a descriptor what came of it.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

ANSWER_BYTES = 65536
DETAIL = 400
FACTS = 32
DEFAULT_FUNCTION = "check"


def main() -> None:
    """Call the checker, and leave without waiting for threads that it started."""
    request = json.load(sys.stdin.buffer)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _limit(request["memory"])
    answer = json.dumps(_called(request)).encode()
    os.write(request["result"], answer[:ANSWER_BYTES])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _limit(memory: int) -> None:
    """Bound what it may use, before anything of the checker runs."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # Shared memory and files that are mapped count here alone.
    resource.setrlimit(resource.RLIMIT_AS, (8 * memory, 8 * memory))


def _called(request: dict[str, Any]) -> dict[str, Any]:
    try:
        check = _checker(request["module"], request["root"])
        given = check(**request["options"])
        if inspect.isawaitable(given):
            given = asyncio.run(_awaited(given))
        return _answer(given)
    except MemoryError:
        return {"ok": False, "fault": "memory"}
    except (Exception, SystemExit) as why:  # noqa: BLE001 - whatever it raises is its answer
        text = str(why)
        kind = type(why).__name__
        return {"ok": False, "detail": f"{kind}: {text}"[:DETAIL] if text else kind}


def _checker(module: str, root: str) -> Callable[..., Any]:
    """Find a checker by `package.module:function` or `path/of/file.py:function`."""
    name, _, function = module.partition(":")
    sys.path.insert(0, root)
    found = _file(Path(root, name)) if name.endswith(".py") else importlib.import_module(name)
    checker = found
    for part in (function or DEFAULT_FUNCTION).split("."):
        checker = getattr(checker, part)
    if not callable(checker):
        raise TypeError(f"{module} is nothing that can be called")
    return checker


def _file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


async def _awaited(given: Any) -> Any:
    return await given


def _answer(given: Any) -> dict[str, Any]:
    """Take what a checker gives: nothing or True passes, False does not, words and facts pass."""
    if given is None or given is True:
        return {"ok": True}
    if given is False:
        return {"ok": False}
    if isinstance(given, dict):
        facts = {
            str(key)[:DETAIL]: value[:DETAIL] if isinstance(value, str) else value
            for key, value in list(given.items())[:FACTS]
            if isinstance(value, str | int | float | bool)
        }
        return {"ok": True, "facts": facts}
    if isinstance(given, str):
        return {"ok": True, "detail": given[:DETAIL]}
    text = f"it gave {type(given).__name__}; a checker gives None, a truth value, text or facts"
    return {"ok": False, "detail": text}


if __name__ == "__main__":
    main()
