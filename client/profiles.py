# SPDX-License-Identifier: Apache-2.0
"""Profiles: servers by name with how to reach them, kept in one file of the user's.

The file holds addresses and the names of files, never a token or a key.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from client.credentials import NAMES
from client.errors import ClientError, Exit

NO_PROFILE = "none"
"""The name that means no profile."""
SETTINGS = ("server", *NAMES)
"""What a profile can say."""


@dataclass(slots=True)
class Profiles:
    """What the file says.

    Attributes:
        current: the profile that holds where none is named; empty for none.
        known: settings of each profile by its name.
    """

    current: str = ""
    known: dict[str, dict[str, str]] = field(default_factory=dict)

    def find(self, name: str) -> dict[str, str]:
        """Return the settings of a profile.

        Raises:
            ClientError: there is none of that name.
        """
        if name in ("", NO_PROFILE):
            return {}
        if name not in self.known:
            names = ", ".join(sorted(self.known)) or "none"
            sentence = f"There is no profile {name!r}; there are: {names}. `nas-client config set NAME` makes one."
            raise ClientError(sentence, Exit.USAGE)
        return self.known[name]


def profiles_path() -> Path:
    """Where the file is."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(folder) if folder.startswith("/") else Path.home() / ".config") / "nas" / "profiles.json"


def load_profiles() -> Profiles:
    """Read the file; without one there are no profiles.

    Raises:
        ClientError: it cannot be used.
    """
    path = profiles_path()
    try:
        content = json.loads(path.read_bytes())
        found = Profiles(current=content["current"], known=content["profiles"])
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}.", Exit.USAGE) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ClientError(f"{path} holds no profiles; repair it, or delete it.", Exit.USAGE) from error
    if not _is_sound(found):
        raise ClientError(f"{path} holds no profiles; repair it, or delete it.", Exit.USAGE)
    return found


def save_profiles(profiles: Profiles) -> None:
    """Write the file at once as a whole, for its owner only.

    Raises:
        ClientError: it cannot be written.
    """
    path = profiles_path()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"current": profiles.current, "profiles": profiles.known}, file, indent=2, sort_keys=True)
            file.write("\n")
        temporary.replace(path)
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}.", Exit.NOT_PERMITTED) from error


def parse_profile_name(text: str) -> str:
    """Check a name that a new profile is to have.

    Raises:
        click.BadParameter: it is none.
    """
    if text == NO_PROFILE or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text, flags=re.ASCII):
        raise click.BadParameter(
            f"{text!r} is no name for a profile; use letters, digits and . _ - (not {NO_PROFILE})."
        )
    return text


def choose_profile(context: click.Context, _parameter: click.Parameter, name: str | None) -> str:
    """Let the profile's settings hold where nothing else is said; the callback of ``--profile``."""
    if context.resilient_parsing:
        return name or ""
    profiles = load_profiles()
    chosen = profiles.current if name is None else name
    if name is None and chosen not in profiles.known:
        return ""
    context.default_map = {**profiles.find(chosen)}
    return chosen


def _is_sound(profiles: Profiles) -> bool:
    known: Any = profiles.known
    return (
        isinstance(profiles.current, str)
        and isinstance(known, dict)
        and all(isinstance(settings, dict) and settings.keys() <= set(SETTINGS) for settings in known.values())
        and all(isinstance(value, str) for settings in known.values() for value in settings.values())
    )
