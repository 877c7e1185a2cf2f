"""The one run of the preprocessor that all prototypes, types and constants come from.

Called by headers.py; by build.py, which starts it before it imports the parser, as it takes longer than anything in
between. Rules: libc's headers are included where they are installed, the user's must exist; a failure is a UserError
with the compiler's own words.

Absent on purpose: what the text says (declarations.py).
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence

from .errors import UserError
from .libc_rules import PUBLIC_HEADERS


def include(headers: Iterable[str]) -> str:
    """Return C that includes those of *headers* that are installed."""
    return "".join(f"#if __has_include(<{header}>)\n#include <{header}>\n#endif\n" for header in headers)


class Preprocessing:
    """A preprocessor at work on *source*."""

    def __init__(self, compiler: str, source: str, include_dirs: Sequence[str]) -> None:
        options = ["-E", "-dD", "-v", "-D_GNU_SOURCE", *(f"-I{d}" for d in include_dirs), "-x", "c", "-"]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (finish closes it): a file never makes it wait
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [compiler, *options],
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=self._messages,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            raise UserError(f"no compiler {compiler}", why=str(error), try_="install a C compiler (gcc)") from error
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(source.encode())
            self._process.stdin.close()
        except BrokenPipeError:  # it has ended already, and will have said why
            pass

    @classmethod
    def of_headers(cls, compiler: str, headers: Sequence[str], include_dirs: Sequence[str]) -> Preprocessing:
        """Start on libc's public headers, where they are installed, and *headers*."""
        return cls(compiler, include(PUBLIC_HEADERS) + "".join(f"#include <{h}>\n" for h in headers), include_dirs)

    def finish(self) -> tuple[str, list[str]]:
        """Return the text and the include directories searched. Raises UserError."""
        status = self._process.wait()
        with self._output as output, self._messages as errors:
            output.seek(0)
            errors.seek(0)
            text, messages = (file.read().decode("utf-8", "replace") for file in (output, errors))
        if status:
            raise _unreadable(messages)
        return text, _searched(messages)


def _unreadable(messages: str) -> UserError:
    """Return the error for a preprocessor that failed with *messages*."""
    missing = re.search(r"fatal error: (\S+): No such file", messages)
    if missing:
        return UserError(
            f"no header {missing.group(1)}",
            why="the compiler does not find it in its include directories",
            try_='"include": ["/directory/of/the/header"] in the config, or install the package that has it',
        )
    first = next((line for line in messages.splitlines() if "error:" in line), messages.strip()[-300:])
    return UserError("the headers cannot be preprocessed", why=first)


def _searched(messages: str) -> list[str]:
    """Return the include directories that ``cc -v`` lists."""
    found = re.search(r"search starts here:\n#include <\.\.\.> search starts here:\n(.*?)End of search", messages, re.S)
    if found is None:
        return []
    return [line.strip() for line in found.group(1).splitlines()]
