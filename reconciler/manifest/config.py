"""weaver.yaml as the daemon needs it: settings, and what services have by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.trust import Verify
from reconciler.manifest import durations
from reconciler.manifest.hooks import hook_of, in_words
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.spec import Hook
from reconciler.model.units import Nanos, seconds

CONFIG_FILE = "weaver.yaml"
DEFAULT_POLL = seconds(10)
HOST_HOOKS = (
    "pre-service-start",
    "post-service-start",
    "pre-service-stop",
    "post-service-stop",
    "service-crashed",
    "service-degraded",
    "notify",
    "post-service-config-change",
    "post-git-commit",
)
"""When programs of the host are run: the keys of `hooks`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one repository."""

    auto_commit: bool = True
    """`git.autoCommit`: whether commands commit what they write."""
    author: str = ""
    """`git.author`: `Name <address>` of commits by people whose git knows no identity."""
    push: bool = False
    """`git.push`: whether commits in a checkout are pushed to where its branch goes."""
    poll: Nanos = DEFAULT_POLL
    """`git.poll`: how often a repository that is followed is looked at."""
    verify: Verify = Verify.OFF
    """`git.verify`: which commits of a branch that is followed must be signed."""
    allowed_signers: str = ""
    """`git.allowedSigners`: whose SSH keys count; relative to the home."""
    gpg_home: str = ""
    """`git.gpgHome`: whose GPG keys count; relative to the home."""
    sign: str = ""
    """`git.sign`: the SSH key that Weaver signs its commits with; relative to the home."""
    webhook_listen: str = ""
    """`git.webhook.listen`: where forges may say that there is news; empty: nowhere."""
    webhook_secret: str = ""
    """`git.webhook.secretFile`: relative to the home."""
    metrics_listen: str = ""
    """`metrics.listen`: `host:port`; empty where no port is opened."""
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    """`hooks`: what the host runs, by its occasion (`HOST_HOOKS`)."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Keys of manifests and their values, as a document's meaning has them; `logs.rotation` is
    the default of `logRotation`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigResult:
    """What weaver.yaml says; no config where it is wrong."""

    config: Config | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigValue:
    """One effective value, as `weaver config list` shows it."""

    path: str
    value: str
    is_default: bool


def configured(document: Mapping[str, Any]) -> Config:
    """Make the settings of a document that was found to be valid."""
    git = document.get("git", {})
    return Config(
        auto_commit=git.get("autoCommit", True),
        author=git.get("author", ""),
        push=git.get("push", False),
        poll=durations.read(git["poll"]) if "poll" in git else DEFAULT_POLL,
        verify=Verify(git.get("verify", Verify.OFF)),
        allowed_signers=git.get("allowedSigners", ""),
        gpg_home=git.get("gpgHome", ""),
        sign=git.get("sign", ""),
        webhook_listen=git.get("webhook", {}).get("listen", ""),
        webhook_secret=git.get("webhook", {}).get("secretFile", ""),
        metrics_listen=document.get("metrics", {}).get("listen", ""),
        hooks={
            kind: hook_of(written)
            for kind, written in document.get("hooks", {}).items()
            if kind in HOST_HOOKS
        },
        defaults=_defaults(document),
    )


def _defaults(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what all services have, with what `logs.rotation` says where `defaults` does not."""
    own = document.get("defaults", {})
    rotation = {**document.get("logs", {}).get("rotation", {}), **own.get("logRotation", {})}
    return {**own, "logRotation": rotation} if rotation else own


def effective(config: Config) -> tuple[ConfigValue, ...]:
    """Give every setting with its value, defaults of services included.

    >>> effective(Config())[0]
    ConfigValue(path='git.autoCommit', value='true', is_default=True)
    """
    plain = Config()
    settings = (
        ("git.autoCommit", config.auto_commit, plain.auto_commit),
        ("git.author", config.author, plain.author),
        ("git.push", config.push, plain.push),
        ("git.poll", durations.write(config.poll), durations.write(plain.poll)),
        ("git.verify", config.verify, plain.verify),
        ("git.allowedSigners", config.allowed_signers, plain.allowed_signers),
        ("git.gpgHome", config.gpg_home, plain.gpg_home),
        ("git.sign", config.sign, plain.sign),
        ("git.webhook.listen", config.webhook_listen, plain.webhook_listen),
        ("git.webhook.secretFile", config.webhook_secret, plain.webhook_secret),
        ("metrics.listen", config.metrics_listen, plain.metrics_listen),
    )
    own = [
        ConfigValue(path=path, value=_spelt(value), is_default=value == default)
        for path, value, default in settings
    ]
    own += [
        ConfigValue(path=f"hooks.{kind}", value=in_words(hook), is_default=False)
        for kind, hook in config.hooks.items()
    ]
    own += [
        ConfigValue(path=f"defaults.{path}", value=_spelt(value), is_default=False)
        for path, value in _flat(config.defaults)
    ]
    return tuple(own)


def _flat(value: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    flat = []
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            flat += _flat(inner, f"{above}{key}.")
        else:
            flat.append((f"{above}{key}", inner))
    return flat


def _spelt(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_spelt(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
