"""Recording a result raises no floating-point exception: programs look at the flags, or have them trap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

FLAGS = """
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <stdio.h>
int main(void)
{
        feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
        volatile float quiet = fabsf(__builtin_nansf("")), small = fabsf(0x1p-149f), lone = -fabsf(1.5f);
        volatile _Float128 tiny = fabsf128(0x1p-16000F128), huge = fabsf128(0x1.23456789abcdefp16000F128);
        feclearexcept(FE_ALL_EXCEPT);
        tiny = fabsf128(1.1F128);
        return fetestexcept(FE_ALL_EXCEPT) | (tiny != 1.1F128) | (huge < 1) | (small != 0x1p-149f) | (lone != -1.5f)
                | (*(volatile unsigned *)&quiet != 0x7fa00000);
}
"""


def test_results_are_kept_without_raising_flags(
    shim: Callable[..., Path], wc_run: Callable[..., Any], compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    trace = tmp_path / "trace.jsonl"
    program = compile_c(FLAGS, "-fno-builtin", "-lm")
    done = wc_run("--preload", shim("fabsf", "fabsf128"), "--format", "jsonl", "-o", trace, program)
    assert 0 == done.returncode
    shown = [line.split('"ret":')[1].split(",")[0] for line in trace.read_text().splitlines()]
    assert ['"NaN"', "1.401298464324817e-45", "1.5", "0.0", '"Infinity"', "1.1"] == shown
