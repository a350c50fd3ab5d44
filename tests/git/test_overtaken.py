"""A change that lost a race replaces nothing that somebody else wrote meanwhile."""

from __future__ import annotations

import pytest

from reconciler.adapters.git.overtaken import refuse_clashes
from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.model.units import ServiceName
from reconciler.ports import ConflictError

WEB = ServiceName("web")
BASE = "name: web\ncommand: a\nenv: {LEVEL: info, API_TOKEN: x}\nargs: [1, 2]\n"


def setting(value: str, key: str = "LEVEL") -> Intent:
    return SetField(service=WEB, path=("env", key), value=value)


@pytest.mark.parametrize(
    ("theirs", "intent", "told"),
    [
        (BASE, setting("debug"), ""),
        (BASE.replace("command: a", "command: b"), setting("debug"), ""),
        (BASE.replace("info", "debug"), setting("'debug'"), ""),
        (
            BASE.replace("info", "warn"),
            setting("debug"),
            "env.LEVEL of web was info, you want debug, and it is warn by now (web.yaml:3:14)",
        ),
        (
            BASE.replace("LEVEL: info, ", ""),
            setting("debug"),
            "env.LEVEL of web was info, you want debug, and it is nothing by now (web.yaml:3:6)",
        ),
        (
            BASE.replace("info", "warn"),
            RemoveField(service=WEB, path=("env", "LEVEL")),
            "env.LEVEL of web was info, you want nothing, and it is warn by now (web.yaml:3:14)",
        ),
        (
            BASE.replace("x}", "y}"),
            setting("z", "API_TOKEN"),
            "env.API_TOKEN of web (web.yaml:3:31)",
        ),
        (BASE.replace("info", "warn"), RemoveService(service=WEB), ""),
        (None, setting("debug"), ""),
        (BASE, PutService(service=WEB, text=BASE.replace("info", "debug")), ""),
        (BASE + "# words\n", PutService(service=WEB, text=BASE.replace("info", "debug")), ""),
        (
            BASE.replace("1, 2", "1"),
            PutService(service=WEB, text=BASE.replace("info", "debug")),
            "args of web was [1, 2], you want [1, 2], and it is [1] by now (web.yaml:4:7)",
        ),
        (
            None,
            PutService(service=WEB, text=BASE),
            "name of web was web, you want web, and it is nothing by now (it is gone)",
        ),
    ],
)
def test_only_what_both_changed_to_different_values_is_a_conflict(
    theirs: str | None, intent: Intent, told: str
) -> None:
    before = {"web.yaml": BASE.encode()}
    now = {} if theirs is None else {"web.yaml": theirs.encode()}
    if not told:
        refuse_clashes(before, now, [intent])
        return
    with pytest.raises(ConflictError) as refused:
        refuse_clashes(before, now, [intent])
    assert str(refused.value) == f"cannot change what somebody else changed meanwhile: {told}"
    assert refused.value.exit_code == 10
