"""What a call costs that ``when`` filters out: numbers, a text, the return; beside a target that is off, and a record.

The program calls abs in bursts, so that no ring is full. Texts are those of getenv, which proves nothing about its
argument, and of strlen, which has read it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .bench import Figure, Workshop, interleave, output_of, tool
from .cost import BURST

NEVER = {
    "false, a number": ("abs", "j > 1000000000"),
    "false, three numbers": ("abs", "j > 1000000000 or j & 0x40000000 or j == -7"),
    "false, the return": ("abs", "ret < 0"),
    "false, a text that nothing proves": ("getenv", "name == 'NOTHING'"),
    "false, a text that the call has read": ("strlen", "s == 'NOTHING'"),
}
TEXTS = tuple(name for name in NEVER if "text" in name)
AIMS = {"false, a number": "3 over off", "false, three numbers": "3 over off"}


def run(shop: Workshop) -> list[Figure]:
    text = shop.program("burst_text")
    programs = {"abs": [shop.program("burst"), *BURST], **{name: [text, *BURST, name] for name in ("getenv", "strlen")}}
    shims = {name: shop.shim(name.replace(",", "").replace(" ", "-"), config(*what)) for name, what in NEVER.items()}
    shims["recorded"] = shop.shim("recorded", {"funcs": [{"func_name": "abs"}]})
    cases: dict[str, Callable[[], float]] = {}
    off = {name: shim for name, shim in shims.items() if name in ("false, a number", *TEXTS)}
    for name, shim in off.items():
        cases[f"off {name}"] = partial(output_of, command_of(programs, name), {"LD_PRELOAD": shim})
    cases["native"] = partial(output_of, programs["abs"])
    for name, shim in shims.items():
        cases[name] = partial(filtered, shop, shim, command_of(programs, name))
    times = interleave(cases, shop.rounds(7))
    figures = [Figure("when", "off", times["off false, a number"] - times["native"], "ns added")]
    for name in shims:
        beside = times[f"off {name if name in off else 'false, a number'}"]
        figures.append(Figure("when", name, times[name] - beside, "ns over off", AIMS.get(name, "")))
    return figures


def command_of(programs: dict[str, list[str]], name: str) -> list[str]:
    return programs[NEVER[name][0] if name in NEVER else "abs"]


def config(name: str, when: str) -> dict[str, object]:
    return {"funcs": [{"func_name": name, "when": when}]}


def filtered(shop: Workshop, shim: str, command: list[str]) -> float:
    target = shop.folder / "when.wc"
    return output_of([tool("wc-run"), "--preload", shim, "--format", "wc", "-o", str(target), *command])
