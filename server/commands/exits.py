# SPDX-License-Identifier: Apache-2.0
"""Exit codes of nas-server, after sysexits.h, and the errors that lead to them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import NoReturn

import click
from pydantic import ValidationError

from nas.search.transitions import IllegalEventError
from nas.settings import ConfigError
from server.certificates import CertificateError
from server.codec.enums import CodecError
from server.codec.envelope import UnknownEventError
from server.engine.errors import InvalidSettingError, RequestIdReusedError, SearchDeletedError
from server.executor.preparation import DataError
from server.executor.workers import PlaceError
from server.journal.base import (
    FutureVersionError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalMissingError,
    StateLockedError,
)
from server.listening import ListenError
from server.tokens import TokenFileError


class Exit(IntEnum):
    """Why the program ended."""

    OK = 0
    SEARCH_FAILED = 4
    USAGE = 64
    DATA = 65
    BUG = 70
    LOCKED = 73
    DAMAGED = 74
    INTERRUPTED = 75
    CONFIG = 78


EXIT_MEANINGS = {
    Exit.OK: "done; of `run`: the search has succeeded; of `serve`: asked to stop",
    Exit.SEARCH_FAILED: "of `run`: the search has failed or was cancelled; running it again changes nothing",
    Exit.USAGE: "wrong usage",
    Exit.DATA: "the data cannot be used; of `digest` and `doctor`: there is no such search or journal",
    Exit.BUG: "a bug",
    Exit.LOCKED: "another server has the state folder",
    Exit.DAMAGED: "the journal is damaged, or its disk failed",
    Exit.INTERRUPTED: "nothing is wrong and nothing is lost: run it again, once the disk has room and Ray answers",
    Exit.CONFIG: "a setting cannot be used",
}
"""What every code says, for help and documentation."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn errors into one sentence on standard error and the documented exit code."""
    try:
        yield
    except click.ClickException:
        raise  # a usage error, which click prints
    except ValidationError as error:
        leave(Exit.CONFIG, "; ".join(_explain(detail) for detail in error.errors()))
    except (
        ListenError,
        CertificateError,
        TokenFileError,
        ConfigError,
        CodecError,
        InvalidSettingError,
        RequestIdReusedError,
        SearchDeletedError,
    ) as error:
        leave(Exit.CONFIG, str(error))
    except DataError as error:
        leave(Exit.DATA, str(error))
    except StateLockedError as error:
        leave(Exit.LOCKED, str(error))
    except JournalMissingError as error:
        leave(Exit.DATA, str(error))
    except (JournalFullError, PlaceError) as error:
        leave(Exit.INTERRUPTED, str(error))
    except (JournalDamagedError, FutureVersionError, UnknownEventError, IllegalEventError, JournalError) as error:
        leave(Exit.DAMAGED, str(error))
    except OSError as error:
        leave(Exit.CONFIG, f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception:
        with suppress(OSError):
            traceback.print_exc()
        leave(Exit.BUG, "this is a bug; please report it with the lines above")


def leave(code: Exit, message: str) -> NoReturn:
    """End with one sentence."""
    with suppress(OSError):
        click.echo(f"Error: {message}", err=True)
    raise SystemExit(code)


def _explain(detail: object) -> str:
    """One sentence for one setting that cannot be used."""
    assert isinstance(detail, dict)  # noqa: S101 - pydantic's ErrorDetails
    place = ".".join(str(part) for part in detail["loc"])
    option = f"--{place.replace('_', '-')}" if place else "settings"
    return f"{option}: {str(detail['msg']).removeprefix('Value error, ')}"
