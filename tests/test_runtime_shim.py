"""R6, R10, R11: what a shim exports and needs, what it does without a session, and how it gets along with allocators."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from harness import trace
from wc_intercept.consumer.session import SessionDirectory
from wc_intercept.consumer.shim import read_manifest
from wc_intercept.generator.manifest import decode

JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
ALLOCATORS = (
    "malloc", "calloc", "realloc", "free", "memalign", "aligned_alloc", "posix_memalign", "reallocarray",
    "malloc_usable_size", "valloc",
)  # fmt: skip
ALLOCATING = """
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int check(char *block, size_t size) {
        if (block == NULL || malloc_usable_size(block) < size)
                return 1;
        memset(block, 'x', size);
        return 0;
}
static void *work(void *unused) {
        intptr_t wrong = 0;
        for (size_t size = 1; size < 5000; size += 7) {
                char *a = malloc(size), *b = calloc(3, size), *c = realloc(malloc(1), size), *d = NULL;
                wrong += check(a, size) + check(b, 3 * size) + check(c, size);
                wrong += posix_memalign((void **)&d, 64, size) != 0 || (uintptr_t)d % 64 != 0 || check(d, size);
                char *e = aligned_alloc(256, 256 * size), *f = memalign(128, size);
                wrong += check(e, size) + check(f, size);
                wrong += (uintptr_t)e % 256 != 0 || (uintptr_t)f % 128 != 0;
                a = realloc(a, 2 * size);
                for (size_t i = 0; i < size; i++)
                        wrong += a[i] != 'x';
                free(a), free(b), free(c), free(d), free(e), free(f), free(NULL);
        }
        return (void *)wrong;
        (void)unused;
}
int main(void) {
        pthread_t other;
        void *wrong;
        pthread_create(&other, NULL, work, NULL);
        intptr_t total = (intptr_t)work(NULL);
        pthread_join(other, &wrong);
        printf("%d\\n", (int)(total + (intptr_t)wrong));
        return 0;
}
"""
needs_jemalloc = pytest.mark.skipif(not os.path.exists(JEMALLOC), reason="libjemalloc.so.2 is not installed")


@pytest.fixture(scope="module")
def hooks(shim: Callable[..., Path]) -> Path:
    return shim("open", "read", "printf", "getppid", *ALLOCATORS)


@pytest.fixture(scope="module")
def allocating(compile_c: Callable[..., Path]) -> Path:
    return compile_c(ALLOCATING, "-fno-builtin", "-pthread")


def dynamic(shim: Path, tag: str) -> list[Any]:
    with shim.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".dynamic")
        assert isinstance(section, DynamicSection)
        return [entry for entry in section.iter_tags() if entry.entry.d_tag == tag]


def test_only_wrappers_are_exported(hooks: Path) -> None:
    with hooks.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
        exported = {s.name for s in symbols if s["st_shndx"] not in ("SHN_UNDEF", "SHN_ABS")}
    assert exported == {symbol.name for symbol in decode(read_manifest(hooks)[2]).symbols}


def test_no_library_beyond_libc_is_needed(hooks: Path) -> None:
    assert ["libc.so.6"] == [entry.needed for entry in dynamic(hooks, "DT_NEEDED")]


def test_thread_local_storage_stays_small(hooks: Path) -> None:
    with hooks.open("rb") as file:
        sizes = [segment["p_memsz"] for segment in ELFFile(file).iter_segments("PT_TLS")]
    assert [True] == [size <= 64 for size in sizes]
    assert dynamic(hooks, "DT_FLAGS")[0].entry.d_val & 0x10, "DF_STATIC_TLS: initial-exec"


@pytest.mark.parametrize("session", [None, "", "/nonexistent", "/dev/null", "/tmp", "x" * 5000])
def test_a_shim_without_a_session_is_harmless(hooks: Path, allocating: Path, session: str | None) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "WC_SESSION"}
    environment |= {"LD_PRELOAD": str(hooks)} | ({} if session is None else {"WC_SESSION": session})
    done = subprocess.run([allocating], env=environment, capture_output=True, text=True)
    assert (0, "0\n", "") == (done.returncode, done.stdout, done.stderr)


def test_a_session_of_another_shim_is_not_joined(hooks: Path, allocating: Path, shim: Callable[..., Path]) -> None:
    other = shim("getppid")
    session = SessionDirectory.create(other, read_manifest(other))
    environment = os.environ | {"LD_PRELOAD": str(hooks), "WC_SESSION": session.path}
    done = subprocess.run([allocating], env=environment, capture_output=True, text=True)
    left = [name for name in os.listdir(session.path) if name.startswith("seg-")]
    session.remove()
    assert (0, "0\n", []) == (done.returncode, done.stdout, left)


def test_a_closed_session_is_not_joined(hooks: Path, allocating: Path) -> None:
    run = trace(hooks, allocating, prepared=lambda session: session.close())
    assert (0, "0\n", []) == (run.status, run.stdout, run.segments)


@pytest.mark.parametrize(
    "around",
    [
        {},
        pytest.param({"preload_before": JEMALLOC}, marks=needs_jemalloc, id="jemalloc before"),
        pytest.param({"preload_after": JEMALLOC}, marks=needs_jemalloc, id="jemalloc after"),
    ],
)
def test_the_allocators_of_a_program_can_be_wrapped(hooks: Path, allocating: Path, around: dict[str, str]) -> None:
    """R11: also another allocator than libc's, preloaded behind the shim; before it, the shim never hears of them."""
    run = trace(hooks, allocating, **around)
    assert (0, "0\n", "") == (run.status, run.stdout, run.stderr)
    run.check_identity(*ALLOCATORS)
    seen = run.recorded("posix_memalign")
    assert seen == (0 if "preload_before" in around else 2 * 715)


@pytest.mark.parametrize("around", ["", pytest.param(JEMALLOC, marks=needs_jemalloc)])
def test_a_program_linked_with_an_allocator_of_its_own_is_served_by_it(
    hooks: Path, compile_c: Callable[..., Path], around: str
) -> None:
    code = """
#include <stddef.h>
#include <stdio.h>
static _Alignas(64) char arena[1 << 20];
static size_t used;
int calls;
void *malloc(size_t size) { calls++; void *p = arena + used; used += (size + 63) & ~(size_t)63; return p; }
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void *realloc(void *p, size_t size) { (void)p; return malloc(size); }
void free(void *p) { (void)p; }
int main(void) {
        char *block = malloc(100);
        printf("%d\\n", block >= arena && block < arena + sizeof arena);
        return 0;
}
"""
    run = trace(hooks, compile_c(code, "-fno-builtin"), preload_after=around)
    assert (0, "1\n") == (run.status, run.stdout)
