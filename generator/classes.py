"""How each wrapper class passes its arguments on: the C before the call, and the call.

Called by emit.py. Data and pure functions: one function per class, from a Wrapper to a Forward. The classes themselves
(which function belongs to which) are policy.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .layout import parameter_names
from .model import Wrapper


@dataclass(frozen=True, slots=True)
class Forward:
    """C lines that stand before the call, the call's arguments, and lines that end what the former began."""

    before: tuple[str, ...]
    arguments: str
    callee: str
    """Name of the function to resolve and call: the symbol itself, or its v* or vector form."""
    after: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """Names of optional words, recorded as parameters of their own."""
    varargs: str = ""
    """C expression that fills room with the varargs and gives their length."""


OPTIONAL_WORDS: dict[str, tuple[str, ...]] = {
    "prctl": ("arg2", "arg3", "arg4", "arg5"),
    "ptrace": ("pid", "addr", "data"),
    "mremap": ("new_address",),
    "ulimit": ("newlimit",),
    "semctl": ("semun",),
}
"""Words behind the named parameters of optional-word functions; all others have one, ``arg``."""

MODE_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "mq_open": (("mode", "mode_t"), ("attr", "struct mq_attr *")),
    "sem_open": (("mode", "mode_t"), ("value", "unsigned int")),
}


def _names(wrapper: Wrapper) -> list[str]:
    assert wrapper.function is not None
    return parameter_names(wrapper.function.params)


def _last(wrapper: Wrapper) -> str:
    return _names(wrapper)[-1]


def _optional_names(wrapper: Wrapper, default: Sequence[str]) -> tuple[str, ...]:
    """The annotated names of the words behind the named parameters, when the table has as many."""
    assert wrapper.function is not None
    named = [name for name, _ in wrapper.annotation.params] if wrapper.annotation else []
    extra = named[len(wrapper.function.params) :]
    return tuple(extra) if len(extra) == len(default) else tuple(default)


ENVIRONMENT_TAKERS = {"execv": "execve", "execvp": "execvpe"}
"""exec* that start the program with environ -> the form that is told which, so that ours can be put in it."""


def plain(wrapper: Wrapper) -> Forward:
    callee = ENVIRONMENT_TAKERS.get(wrapper.symbol, wrapper.symbol)
    environment = ["__environ"] if callee != wrapper.symbol else []
    return Forward((), ", ".join([*_names(wrapper), *environment]), callee)


def mode_if_flag(wrapper: Wrapper) -> Forward:
    words = MODE_WORDS.get(wrapper.symbol, (("mode", "mode_t"),))
    flags = _last(wrapper)
    lines = [f"{kind}{'' if kind.endswith('*') else ' '}{name} = 0;" for name, kind in words]
    takes = f"({flags} & O_CREAT) != 0 || ({flags} & O_TMPFILE) == O_TMPFILE"
    lines += ["__builtin_va_list args;", f"__builtin_va_start(args, {flags});", f"if ({takes}) {{"]
    lines += [f"        {name} = __builtin_va_arg(args, {kind});" for name, kind in words]
    lines += ["}", "__builtin_va_end(args);"]
    names = [name for name, _ in words]
    return Forward(tuple(lines), ", ".join(_names(wrapper) + names), wrapper.symbol, optional=tuple(names))


def optional_word(wrapper: Wrapper) -> Forward:
    base = wrapper.symbol.lstrip("_").removesuffix("64")
    words = _optional_names(wrapper, OPTIONAL_WORDS.get(base, ("arg",)))
    lines = ["__builtin_va_list args;", f"__builtin_va_start(args, {_last(wrapper)});"]
    lines += [f"unsigned long {name} = __builtin_va_arg(args, unsigned long);" for name in words]
    lines += ["__builtin_va_end(args);"]
    return Forward(tuple(lines), ", ".join([*_names(wrapper), *words]), wrapper.symbol, optional=words)


def v_twin(wrapper: Wrapper) -> Forward:
    format_ = _last(wrapper)
    started = f"__builtin_va_start(args, {format_});"
    before = ("__builtin_va_list args, seen;", started, "__builtin_va_copy(seen, args);")
    after = ("__builtin_va_end(seen);", "__builtin_va_end(args);")
    if "scanf" in wrapper.symbol:
        varargs = f"wci_varargs_scanf((const char *){format_}, seen, ret, room, sizeof room, wci_string_limit)"
        if "wscanf" in wrapper.symbol:
            varargs = ""
    else:
        varargs = f"wci_varargs_printf((const char *){format_}, seen, room, sizeof room, wci_string_limit)"
        assert wrapper.function is not None
        if wrapper.function.result.kind == "int":  # dprintf to no descriptor has not read its format
            varargs = f"ret < 0 ? 0 : {varargs}"
        if "wprintf" in wrapper.symbol or "monstr" in wrapper.symbol or "strfmon" in wrapper.symbol:
            varargs = ""
    return Forward(before, ", ".join([*_names(wrapper), "args"]), wrapper.twin, after, varargs=varargs)


def exec_list(wrapper: Wrapper) -> Forward:
    """execl*: the list is counted, then gathered into an array on the stack (no malloc: this may be a vfork child)."""
    path, first = _names(wrapper)[:2]
    lines = [
        "__builtin_va_list args;",
        "size_t count = 1;",
        f"__builtin_va_start(args, {first});",
        f"for (const char *word = {first}; word != NULL; word = __builtin_va_arg(args, const char *))",
        "        count++;",
        "__builtin_va_end(args);",
        "char *argv[count];",
        f"__builtin_va_start(args, {first});",
        f"argv[0] = (char *)(uintptr_t){first};",
        "for (size_t i = 1; i < count; i++)",
        "        argv[i] = __builtin_va_arg(args, char *);",
    ]
    environment = "__environ"
    if wrapper.symbol.endswith("le"):
        environment = "environment"
        lines.append(f"char *const *environment = {first} != NULL ? __builtin_va_arg(args, char *const *) : NULL;")
    lines.append("__builtin_va_end(args);")
    return Forward(tuple(lines), ", ".join([path, "argv", environment]), wrapper.twin)


def syscall(wrapper: Wrapper) -> Forward:
    words = tuple(f"arg{i}" for i in range(1, 7))
    lines = ["__builtin_va_list args;", f"__builtin_va_start(args, {_last(wrapper)});"]
    lines += [f"unsigned long {name} = __builtin_va_arg(args, unsigned long);" for name in words]
    lines += ["__builtin_va_end(args);"]
    return Forward(tuple(lines), ", ".join([*_names(wrapper), *words]), wrapper.symbol, optional=words)


FORWARDS: dict[str, Callable[[Wrapper], Forward]] = {
    "plain": plain,
    "noreturn": plain,
    "mode-if-flag": mode_if_flag,
    "optional-word": optional_word,
    "v-twin": v_twin,
    "exec-list": exec_list,
    "syscall": syscall,
}


@dataclass(frozen=True, slots=True)
class Hook:
    """What a wrapper does besides recording: C lines before INITIAL, before the call and after it."""

    early: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    exec_path: str = ""
    """C expression of the path for an EXEC record before the call."""
    environment: str = ""
    """Name of the parameter that holds the new environment."""


_EXEC_PATHS = {"execve": 0, "execv": 0, "execvp": 0, "execvpe": 0, "execl": 0, "execle": 0, "execlp": 0, "execveat": 1}
_ENVIRONMENTS = {"execve": 2, "execvpe": 2, "fexecve": 2, "execveat": 3, "posix_spawn": 5, "posix_spawnp": 5}


def replaces_program(symbol: str) -> bool:
    """Whether an EXEC record stands for a call of the function *symbol*."""
    return symbol in _EXEC_PATHS or symbol == "fexecve"


def hook(wrapper: Wrapper) -> Hook:
    """Return what *wrapper* does besides recording."""
    assert wrapper.function is not None
    names, symbol = _names(wrapper), wrapper.symbol
    if symbol in ("posix_spawn", "posix_spawnp"):
        after = f"if (ret == 0)\n                wci_hook_exec(&call, false, @symbol@, {names[1]}, (uint32_t)*spawned);"
        before = (f"pid_t spawned_pid = 0, *spawned = {names[0]} != NULL ? {names[0]} : &spawned_pid;",)
        return Hook(before=before, after=(after,), environment=names[5])
    if replaces_program(symbol):
        path = names[_EXEC_PATHS[symbol]] if symbol in _EXEC_PATHS else "NULL"
        index = _ENVIRONMENTS.get(symbol)
        environment = names[index] if index is not None else "environment" if symbol == "execle" else "__environ"
        return Hook(exec_path=path, environment=environment)
    if symbol == "ptrace":
        return _ptrace_hook((names[0], *_optional_names(wrapper, OPTIONAL_WORDS[symbol])))
    return _small_hook(symbol, names)


def _ptrace_hook(names: Sequence[str]) -> Hook:
    """A handler's question about its own call is answered in process, and is no call of the program's."""
    request, pid, address, data = names
    asked = f"(long){request}, (long)(int){pid}"
    return Hook(
        early=(
            f"if (wci_handler_answers({asked}, (uintptr_t)__builtin_frame_address(0)))",
            f"        return wci_handler_ptrace({asked}, (void *){address}, (void *){data});",
        )
    )


def _small_hook(symbol: str, names: Sequence[str]) -> Hook:
    if symbol == "prctl":
        return Hook(before=(f"wci_hook_prctl({names[0]}, arg2);",))
    if symbol == "syscall":
        return Hook(before=(f"wci_hook_syscall((long){names[0]}, arg1, arg2);",))
    if symbol in ("longjmp", "_longjmp", "siglongjmp"):
        return Hook(before=(f"wci_handler_longjmp({names[0]});",))
    if symbol in ("unshare", "setns"):
        return Hook(before=("wci_control_end();",))
    if symbol == "mlockall":
        return Hook(before=("wci_hook_mlockall();",))
    if symbol in _EARLY:
        return Hook(early=tuple(line.format(*names) for line in _EARLY[symbol]))
    return Hook()


_EARLY: dict[str, tuple[str, ...]] = {
    "malloc": (
        "if (WCI_UNLIKELY(wc_malloc == NULL) && wci_tls.resolving != 0)",
        "        return wci_early_alloc({0}, 16);",
    ),
    "calloc": (
        "if (WCI_UNLIKELY(wc_calloc == NULL) && wci_tls.resolving != 0)",
        "        return wci_early_alloc({0} * {1}, 16);",
    ),
    "free": ("if (WCI_UNLIKELY(wci_early_owns({0})))", "        return;"),
    "realloc": (
        "if (WCI_UNLIKELY(wci_early_owns({0})) || (WCI_UNLIKELY(wc_realloc == NULL) && wci_tls.resolving != 0))",
        "        return wci_early_move({0}, {1});",
    ),
    "malloc_usable_size": ("if (WCI_UNLIKELY(wci_early_owns({0})))", "        return wci_early_size({0});"),
    "memalign": (
        "if (WCI_UNLIKELY(wc_memalign == NULL) && wci_tls.resolving != 0)",
        "        return wci_early_alloc({1}, {0});",
    ),
    "aligned_alloc": (
        "if (WCI_UNLIKELY(wc_aligned_alloc == NULL) && wci_tls.resolving != 0)",
        "        return wci_early_alloc({1}, {0});",
    ),
}  # fmt: skip
"""R11: what dlsym may call while it resolves is served from the bootstrap arena, which free and realloc know."""
