"""The C that keeps what a pointer leads to: a Keep as a ``struct wci_capture`` expression of the shim's runtime.

Called by layout.py, for the preload engine. Rule R7: a pointer is read directly only where the Keep's proof holds, and
before the call nothing is proven. In the C, ``ret`` is the result and ``call.error`` the error number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .keep import Keep
from .lengths import compile_length
from .model import CType

TEXTS_ROOM = 512
"""Bytes of one argv or envp."""


def success(fail: str, result: CType) -> str:
    """Return C that is true when the call succeeded by its rule. ``ret`` holds the return."""
    if result.kind == "void":
        return "true"
    minus_one = "ret != (__typeof__(ret))-1"
    rules = {
        "-1": minus_one, "EOF": minus_one, "MAP_FAILED": minus_one, "SIG_ERR": minus_one, "<0": "ret >= 0",
        "NULL": "ret != NULL", "nonzero": "ret == 0", "zero": "ret != 0", "errno": "ret == 0",
    }  # fmt: skip
    return rules.get(fail, "true")


@dataclass(frozen=True, slots=True)
class Captures:
    """The C for the captures of one function."""

    names: Mapping[str, str]
    """What may occur in lengths -> C."""
    succeeded: str
    """C that is true when the call has succeeded."""
    made: str = ""
    """C that is true when the result is the call's own: one that a handler or a rule gave proves nothing. "": it is."""

    def after(self, keep: Keep, c: str, room: int = 0) -> str:
        """Return the capture of *c* after the call. *room*: where in it the strings of a vector are put."""
        made = self._made(keep, c, self.proof(keep), room)
        if not keep.success:
            return self._if(self._positive(keep), made, c)
        succeeded = self._condition(keep)
        if keep.reads == "bytes" and "!= NULL ?" in self._length(keep):
            succeeded = f"{c} != NULL && {succeeded}"  # recvfrom looks at addrlen only when there is an address to fill
        return self._if(succeeded, made, c)

    def before(self, keep: Keep, c: str, room: int = 0) -> str:
        """Return the capture of *c* before the call, "" where there is nothing to see then."""
        if not keep.before:
            return ""
        condition = "true" if keep.success else self._positive(keep)  # what holds after the call says nothing yet
        return self._if(condition, self._made(keep, c, "false", room), c)

    def _if(self, condition: str, made: str, c: str) -> str:
        return made if condition == "true" else f"{condition} ? {made} : wci_capture_none({c})"

    def _made(self, keep: Keep, c: str, proven: str, room: int) -> str:
        limit = {"string": "wci_string_limit", "path": "WCI_PATH_LIMIT"}.get(str(keep.limit), f"{keep.limit}u")
        if keep.reads == "texts":
            return f"wci_capture_texts((char *const *){c}, wci_string_limit, room + {room}, {TEXTS_ROOM})"
        if keep.reads == "bytes":
            return f"wci_capture_bytes({c}, {self._length(keep)}, {limit}, {proven})"
        string = f"*{c}" if keep.indirect else c
        if keep.length:
            return f"wci_capture_text_within({string}, {self._length(keep)}, {limit}, {proven})"
        return f"wci_capture_text({string}, {limit}, {proven})"

    def _length(self, keep: Keep) -> str:
        return compile_length(keep.length, self.names, keep.sizeof)

    def _positive(self, keep: Keep) -> str:
        return f"(int64_t){compile_length(keep.condition, self.names)} > 0" if keep.condition else "true"

    def _condition(self, keep: Keep) -> str:
        condition = self._positive(keep)
        if condition == "true":
            return self.succeeded
        return condition if self.succeeded == "true" else f"{self.succeeded} && {condition}"

    def proof(self, keep: Keep) -> str:
        """Return C that is true when what is kept may be read directly after the call (R7)."""
        proof = self._proof_of_call(keep) if keep.proof else "false"
        return f"({self.made} ? {proof} : 0u)" if self.made and proof != "false" else proof

    def _proof_of_call(self, keep: Keep) -> str:
        first = "WCI_PROVEN_FIRST" if self.succeeded == "true" else f"({self.succeeded} ? WCI_PROVEN_FIRST : 0u)"
        proofs = {
            "return": "true",
            "success": self.succeeded,
            "first": first,
            "path": f"{self.succeeded} || wci_errno_proves_path(call.error)",
        }
        return proofs[keep.proof] if keep.proof in proofs else self._stdio(keep)

    def _stdio(self, keep: Keep) -> str:
        """True when fwrite has taken every element (it returns how many), and a stream's buffer was larger."""
        count = self.names[keep.length.rpartition("*")[2]]
        return f"wci_stdio_took({self.names['stream']}, {self._length(keep)}, ret == {count})"
