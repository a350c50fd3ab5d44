"""The files of manifests in a story, read by the real reader."""

from __future__ import annotations

from reconciler.manifest.config import Config
from reconciler.manifest.read import read_config, read_manifest
from reconciler.manifest.resolve import assemble
from reconciler.model.desired import ManifestSet, Revision
from reconciler.runtime.choosing import with_contents

_WEAVER_YAML = b"defaults: {backoff: {jitter: 0}}\n"
_CONFIG = read_config("weaver.yaml", _WEAVER_YAML).config or Config()


class Files:
    """What is in services.d, whether anybody has read it yet or not."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        """What the files hold that services load."""
        self.reads = 0

    def write(self, path: str, name: str, fields: str) -> None:
        """Put a service into a file of its own; `fields` are YAML in braces, broken or not."""
        given = _lines(fields.removeprefix("{").removesuffix("}"))
        keys = {line.partition(":")[0] for line in given}
        usual = {"name": f"name: {name}", "command": f"command: {name}"}
        lines = [line for key, line in usual.items() if key not in keys] + given
        self._texts[path] = "".join(f"{line}\n" for line in lines)

    def with_another(self, path: str, name: str, fields: str) -> ManifestSet:
        """Give what all files would say with another text of one, which is not written."""
        kept, reads = dict(self._texts), self.reads
        self.write(path, name, fields)
        found = self.read()
        self._texts, self.reads = kept, reads
        return found

    def delete(self, path: str) -> bool:
        """Remove a file, and tell whether there was one."""
        return self._texts.pop(path, None) is not None

    def read(self) -> ManifestSet:
        """Give what all files say together."""
        self.reads += 1
        files = self._texts.items()
        results = [read_manifest(path, text.encode(), _CONFIG) for path, text in files]
        found = assemble(results, Revision(commit=f"commit {self.reads}", branch="main"))
        return with_contents(found, self.contents, {})


def _lines(fields: str) -> list[str]:
    """Give each field its line, as people write them; what is in brackets stays together."""
    lines, depth = [""], 0
    for letter in fields:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            lines.append("")
        else:
            lines[-1] += letter
    return [line.strip() for line in lines if line.strip()]
