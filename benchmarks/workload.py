"""The original's workload: its ratio to native, recorded into a wc file, in block mode."""

from __future__ import annotations

from .bench import Figure, Workshop, interleave, output_of, tool

TARGETS = ("malloc", "memset", "fopen", "fgets", "fwrite", "fclose", "free")
ROUNDS = "100000"


def run(shop: Workshop) -> list[Figure]:
    program = shop.program("original")
    (shop.folder / "read.txt").write_text("a line to read\n")
    shim = shop.shim("original", {"funcs": [{"func_name": name} for name in TARGETS]})
    words = [tool("wc-run"), "--preload", shim, "--format", "wc", "-o", str(shop.folder / "o.wc"), program, ROUNDS]

    def fresh(command: list[str]) -> float:
        (shop.folder / "write.txt").unlink(missing_ok=True)
        return output_of(command, cwd=shop.folder)

    times = interleave({"native": lambda: fresh([program, ROUNDS]), "recorded": lambda: fresh(words)}, shop.rounds(9))
    return [
        Figure("original's workload", "native", times["native"], "ms"),
        Figure("original's workload", "recorded", times["recorded"], "ms"),
        Figure("original's workload", "recorded / native", times["recorded"] / times["native"], "ratio", "1.10"),
    ]
