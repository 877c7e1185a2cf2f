"""One C program that calls libc and libm with generated arguments and tells everything that a call can be told by.

Written by test_conformance.py from a plan: the same prototypes and roles that wrappers are generated from. For every
function each parameter has a list of values by its role and type; the calls are those lists side by side, turned
against each other. conformance.h is what the calls work with: buffers, streams, and telling. Rules: a call gets fresh
buffers and files; a function runs in a child and a directory of its own, so that nothing it does reaches the next;
what a call may do to the machine is denied, with a reason. What crashes, hangs or differs from run to run natively
drops out by itself, so that no value has to be right.

Absent on purpose: what functions are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wc_intercept.generator.model import CType, Param, Plan, Role, Wrapper

MOST_CALLS = 14
"""Of one function."""
MARK = 1000000000
"""getauxval(MARK + number) announces a call in a trace."""

MACHINE = "changes the machine"
PROCESSES = "reaches other processes"
OWN_TIMER = "would stop the timer that ends calls which hang"
ENDS = "ends or replaces the process, or copies it"
SHARED = "leaves things outside of its directory"
SLOW = "can take any time or space"
UNSEEN = "takes what the program reports with"
VARIES = "tells what differs from run to run, or what a shim adds"
DENIED: dict[str, str] = {
    **dict.fromkeys(
        "reboot settimeofday clock_settime clock_adjtime __clock_adjtime adjtime adjtimex __adjtimex ntp_adjtime"
        " ntp_gettime ntp_gettimex stime sethostname setdomainname sethostid mount umount umount2 pivot_root swapon"
        " swapoff acct quotactl vhangup iopl ioperm init_module delete_module create_module query_module nfsservctl"
        " bdflush uselib klogctl setpriority vm86 sysctl modify_ldt arch_prctl mount_setattr move_mount open_tree fsopen"
        " fsmount fsconfig fspick".split(),
        MACHINE,
    ),
    **dict.fromkeys(
        "kill killpg tgkill ptrace tcsetpgrp sigqueue pidfd_send_signal process_madvise process_mrelease"
        " process_vm_writev process_vm_readv wait3 wait4 wait waitpid waitid __wait __waitpid".split(),
        PROCESSES,
    ),
    **dict.fromkeys("alarm ualarm setitimer __setitimer timer_settime".split(), OWN_TIMER),
    **dict.fromkeys(
        "fork __fork _Fork vfork __vfork clone __clone daemon system __libc_system popen _IO_popen forkpty execv execve"
        " execvp execvpe fexecve execveat posix_spawn posix_spawnp unshare setns chroot wordexp __libc_start_main"
        " __cxa_finalize __cxa_atexit __cxa_at_quick_exit atexit on_exit quick_exit_at pthread_create thrd_create"
        " pthread_atfork __register_atfork rexec rexec_af rcmd rcmd_af ruserok personality monstartup"
        " seteuid setuid setreuid setresuid setgid setegid setregid setresgid setgroups initgroups setfsuid"
        " setfsgid".split(),
        ENDS,
    ),
    **dict.fromkeys(
        "shm_open shm_unlink shmget shmat shmctl shmdt semget semop semtimedop msgget msgsnd msgrcv msgctl sem_unlink"
        " mq_unlink mq_setattr updwtmp updwtmpx pututline pututxline _IO_putpwent login logout logwtmp lckpwdf ulckpwdf"
        " syslog vsyslog openlog closelog setlogmask openpty getpt posix_openpt login_tty ttyslot tmpfile tmpfile64"
        " tmpnam tmpnam_r tempnam utmpname utmpxname endutent __vsyslog_chk setaliasent setnetgrent mcheck"
        " mtrace muntrace".split(),
        SHARED,
    ),
    **dict.fromkeys(
        "fallocate fallocate64 posix_fallocate posix_fallocate64 sync syncfs sleep usleep pause sigpause __sigpause"
        " sigsuspend gethostbyname gethostbyname2 gethostbyaddr getaddrinfo getnameinfo gethostbyname_r"
        " gethostbyname2_r gethostbyaddr_r res_query res_search res_querydomain getaddrinfo_a getnetbyname"
        " getnetbyname_r getnetbyaddr getnetbyaddr_r getpass ether_hostton ether_ntohost glob glob64 res_send __res_send"
        " res_nquery res_nsearch res_nquerydomain res_nsend __res_nsend __res_query __res_search __res_nquery"
        " __res_nsearch __res_querydomain __res_nquerydomain fts_read fts64_read innetgr getrandom".split(),
        SLOW,
    ),
    **dict.fromkeys(
        "close __close close_range closefrom getauxval __getauxval brk sbrk __sbrk mlockall munlockall munmap"
        " __munmap mremap mprotect pkey_mprotect remap_file_pages sigaltstack _IO_setb madvise posix_madvise"
        " __libc_freeres vlimit setrlimit setrlimit64 prlimit prlimit64 __register_frame_info sigreturn"
        " _IO_flush_all _IO_flush_all_linebuffered fcloseall _flushlbf signal ssignal sigset __sysv_signal sysv_signal"
        " bsd_signal siginterrupt sigvec".split(),
        UNSEEN,
    ),
    **dict.fromkeys(
        "time ftime clock times getrusage gettimeofday __gettimeofday clock_gettime __clock_gettime timespec_get"
        " sysinfo getloadavg get_avphys_pages __get_avphys_pages sched_getcpu getcpu mallinfo mallinfo2 malloc_info"
        " malloc_stats malloc_trim malloc_usable_size statfs statfs64 __statfs fstatfs fstatfs64 statvfs statvfs64"
        " fstatvfs fstatvfs64 ftok backtrace backtrace_symbols backtrace_symbols_fd __backtrace __backtrace_symbols"
        " __backtrace_symbols_fd getentropy arc4random arc4random_uniform arc4random_buf strfry __res_randomid"
        " sigaction __sigaction getpid gettid getppid readdir_r readdir64_r mincore dlinfo aio_read aio_read64 aio_write aio_write64 aio_fsync aio_fsync64 lio_listio"
        " lio_listio64 profil __profil sprofil __sprofil res_mkquery res_nmkquery"
        " getitimer pthread_self thrd_current memfry dl_iterate_phdr timer_create timespec_getres".split(),
        VARIES,
    ),
}

STRINGS = ("hello", "", "12345.678e2xyz", "-0x1fz", "  42 word two,three", "A\\303\\244\\tz", "file")
NAMED_PATHS = ("file", "none/such", "dir", "", "new")
FORMATS = ("%d %s %5.2f", "plain", "%-8d|%s", "%%%x")
SCAN_FORMATS = ("%d %d", "%d", "x%d", "")
INTS = ("1", "0", "-1", "2", "10", "65", "255", "97", "2147483647", "(-2147483647 - 1)")
LONGS = ("1", "0", "-1", "2", "10", "65", "255", "9223372036854775807L", "(-9223372036854775807L - 1)")
SIZES = ("5", "0", "1", "64", "16")
FLOATS = ("1.5", "0.0", "-0.0", "-2.75", "0.5", "1e-310", "3e38", "1e300", "inf", "-inf", "nan", "nans", "1.0", "-1.0")
CHARS = ("97", "65", "48", "32", "0", "255", "-1", "10")
ROLES: dict[str, tuple[str, ...]] = {
    "fd": ("file_fd", "-1", "dir_fd", "pipe_fd"),
    "dirfd": ("AT_FDCWD", "dir_fd", "-1"),
    "mode": ("0644", "0", "0755"),
    "signal": ("10", "0", "99", "1"),
    "size": SIZES,
    "pid": ("0", "999999999"),
    "uid": ("0", "12345"),
    "gid": ("0", "12345"),
    "char": CHARS,
    "time": ("1000000000", "0", "-1", "8589934592L"),
    "clockid": ("0", "1", "99"),
    "errno": ("2", "0", "-1", "9999"),
}
SIZE_NAMES = re.compile(
    r"(?:n|nn|n_|count|size|len|length|nmemb|maxlen|max|maxsize|nelem|num|dstlen|destlen|buflen|sz)$"
)
CALLBACKS = {
    "int (*@)(const void *, const void *)": "compare",
    "__compar_fn_t @": "compare",
    "__compar_d_fn_t @": "compare_with",
    "void (*@)(void)": "nothing",
    "int (*@)(const struct dirent *)": "any_entry",
    "int (*@)(const struct dirent64 *)": "any_entry",
    "int (*@)(const struct dirent **, const struct dirent **)": "alphasort",
    "int (*@)(const struct dirent64 **, const struct dirent64 **)": "alphasort64",
    "__sighandler_t @": "SIG_IGN",
    "__free_fn_t @": "ignore",
    "__action_fn_t @": "ignore_node",
    "__ftw_func_t @": "walk",
    "__ftw64_func_t @": "walk",
    "__nftw_func_t @": "walk_more",
    "__nftw64_func_t @": "walk_more",
}


@dataclass(frozen=True)
class Call:
    """One call; *arguments* are C."""

    number: int
    wrapper: Wrapper
    arguments: tuple[str, ...]
    varargs: str = ""


@dataclass(frozen=True)
class Program:
    """The C text, its calls by number, and why functions are not called."""

    text: str
    calls: tuple[Call, ...]
    left_out: Mapping[str, str]


def generate(plan: Plan) -> Program:
    """Return the program that calls what *plan* wraps."""
    calls: list[Call] = []
    left_out: dict[str, str] = {}
    for wrapper in plan.wrappers:
        why = why_not(wrapper)
        if why:
            left_out[wrapper.symbol] = why
            continue
        for arguments, varargs in argument_lists(wrapper):
            calls.append(Call(len(calls), wrapper, arguments, varargs))
    return Program("".join(_text(plan, calls)), tuple(calls), left_out)


def why_not(wrapper: Wrapper) -> str:
    """Return why a wrapper is not called, or an empty string."""
    function = wrapper.function
    if function is None or wrapper.wrapper not in ("plain", "v-twin", "mode-if-flag"):
        return f"its class is {wrapper.wrapper}"
    if wrapper.symbol in DENIED:
        return DENIED[wrapper.symbol]
    if "noreturn" in function.attributes:
        return "it does not return"
    if wrapper.symbol.startswith(("pthread_cleanup", "__pthread_unwind", "obstack", "_obstack")):
        return "it belongs to macros"
    if wrapper.wrapper == "plain" and function.variadic:
        return "it is variadic"
    if wrapper.wrapper == "mode-if-flag" and "open" not in wrapper.symbol.removeprefix("__")[:4]:
        return SHARED
    return ""


# --- arguments -------------------------------------------------------------------------------------------------------


def argument_lists(wrapper: Wrapper) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the arguments of each call: the lists side by side, then turned against each other."""
    assert wrapper.function is not None
    lists = [
        values(index, param, _role(wrapper, index), wrapper)
        for index, param in enumerate(wrapper.function.params)
        if param.type.kind != "va_list"
    ]
    varargs = _varargs(wrapper)
    longest = max(map(len, lists), default=1)
    done = set()
    for turn in (0, 1, 2):
        for i in range(longest):
            found = tuple(items[(i + turn * k) % len(items)] for k, items in enumerate(lists))
            if found not in done and len(done) < MOST_CALLS:
                done.add(found)
                yield found, varargs


def _role(wrapper: Wrapper, index: int) -> Role:
    annotated = wrapper.annotation.params if wrapper.annotation else ()
    return annotated[index][1] if index < len(annotated) else Role()


def values(index: int, param: Param, role: Role, wrapper: Wrapper) -> tuple[str, ...]:
    """Return the values of a parameter, as C expressions."""
    kind = param.type.kind
    if kind in ("int", "bool"):
        return _numbers(param, role)
    if kind in ("float", "longdouble", "complex"):
        return _reals(param.type)
    if kind == "struct":
        return ("zeroed",)
    return _pointers(index, param, role, wrapper)


def _numbers(param: Param, role: Role) -> tuple[str, ...]:
    if role.kind in ROLES:
        return ROLES[role.kind]
    if role.kind in ("flags", "enum"):
        return ("0", "1", "2", "4", "64", "-1")
    if param.name in ("fd", "fildes", "fd1", "fd2"):
        return ROLES["fd"]
    if param.type.size == 8 and not param.type.signed and (SIZE_NAMES.match(param.name) or "size_t" in param.type.text):
        return SIZES
    if SIZE_NAMES.match(param.name):
        return ("5", "0", "1", "-1", "64")
    return {8: LONGS, 4: INTS}.get(param.type.size, CHARS[:-2])


def _reals(ctype: CType) -> tuple[str, ...]:
    suffix = "F128" if "128" in ctype.text else "L" if ctype.kind == "longdouble" or ctype.size == 32 else ""
    short = suffix.lower() or ("f" if ctype.size == 4 else "")
    special = {
        "inf": f"__builtin_inf{short}()",
        "nan": f'__builtin_nan{short}("")',
        "nans": f'__builtin_nans{short}("")',
    }
    found = []
    for text in FLOATS:
        sign, name = text[: text.startswith("-")], text.lstrip("-")
        found.append(f"{sign}{special[name]}" if name in special else f"{text}{suffix}")
    if ctype.kind == "complex":
        return tuple(f"MIX({a}, {b})" for a, b in zip(found, [*found[3:], *found[:3]], strict=True))
    return tuple(found)


def _pointers(index: int, param: Param, role: Role, wrapper: Wrapper) -> tuple[str, ...]:
    text, name = param.type.text.replace("@", "").strip(), param.name
    if param.type.text in CALLBACKS:
        return (CALLBACKS[param.type.text],)
    if "(*" in text:
        return ("null",)
    if text in ("FILE *", "__FILE *"):
        return (f"stream({index})",)
    if text == "DIR *":
        return ("directory()",)
    if text == "locale_t":
        return ("locale", "LC_GLOBAL_LOCALE")
    if role.kind == "path" or role.whole:
        return (*(f'text({index}, "{path}")' for path in NAMED_PATHS), "null")
    if "format" in name or name in ("fmt", "template"):
        return _formats(index, text, wrapper)
    return _buffers(index, text, wrapper)


def _formats(index: int, text: str, wrapper: Wrapper) -> tuple[str, ...]:
    formats = SCAN_FORMATS if "scanf" in wrapper.symbol else FORMATS
    if "ftime" in wrapper.symbol or "ptime" in wrapper.symbol:
        formats = ("%Y-%m-%d %H:%M:%S", "%a %b %c", "", "plain")
    if "temp" in wrapper.symbol or "mkdt" in wrapper.symbol:
        formats = ("hello",)
    if "wchar_t" in text:
        return tuple(f'wide({index}, L"{value.replace("%s", "%ls")}")' for value in formats)
    return tuple(f'text({index}, "{value}")' for value in formats)


def _buffers(index: int, text: str, wrapper: Wrapper) -> tuple[str, ...]:
    pointee = text.removesuffix("*").strip()
    if pointee in ("const char", "const unsigned char"):
        return tuple(f'text({index}, "{value}")' for value in STRINGS)
    if pointee in ("char", "unsigned char"):
        return (f"full({index})", f'text({index}, "abc,def")', f'text({index}, "77 words")')
    if pointee in ("const wchar_t", "const __gwchar_t"):
        return tuple(f'wide({index}, L"{value}")' for value in STRINGS if "\\" not in value)
    if pointee == "wchar_t":
        return (f'wide({index}, L"abc,def")', f"zero({index})")
    if pointee in ("const void", "void"):
        return (f"full({index})", f'text({index}, "abc,def")')
    if pointee in ("struct stat", "struct stat64"):
        return (f"status({index})",)
    if pointee in ("struct tm", "const struct tm"):
        return (f"day({index}, 0)", f"day({index}, 1)", f"day({index}, 2)")
    if pointee.endswith("time_t"):
        return (f"integer({index}, 1000000000)", f"integer({index}, 0)", f"integer({index}, -1)")
    if pointee.endswith("*"):
        return ("null", f"zero({index})", f"pointer({index})")
    if pointee.removeprefix("const ") in ("int", "long int", "unsigned int", "size_t", "unsigned short int"):
        return (f"zero({index})", f"integer({index}, 3)")
    return (f"zero({index})",)


def _varargs(wrapper: Wrapper) -> str:
    """Return what stands for ``...`` or a va_list: for any of our formats the same words."""
    function = wrapper.function
    assert function is not None
    if not function.variadic and all(param.type.kind != "va_list" for param in function.params):
        return ""
    if "scanf" in wrapper.symbol:
        return "zero(8), zero(9)"
    if wrapper.wrapper == "mode-if-flag":
        return "0640"
    return '42, L"wide", 1.5' if "wprintf" in wrapper.symbol else '42, text(9, "str"), 1.5'


# --- the program -----------------------------------------------------------------------------------------------------


def _text(plan: Plan, calls: Iterable[Call]) -> Iterator[str]:
    calls = list(calls)
    yield "#define _GNU_SOURCE\n"
    yield from (f"#include <{header}>\n" for header in plan.headers)
    yield '#include "conformance.h"\n\n'
    for wrapper in {call.wrapper.symbol: call.wrapper for call in calls}.values():
        yield _declaration(wrapper)
    for call in calls:
        yield from _function(call)
    yield "const struct call calls[] = {\n"
    yield from (f'\t{{call_{call.number}, "{call.wrapper.symbol}"}},\n' for call in calls)
    yield "};\nconst int call_count = sizeof calls / sizeof calls[0];\n"


def _declaration(wrapper: Wrapper) -> str:
    """Declare the exported name itself: macros, redirects and builtins stay away."""
    function = wrapper.function
    assert function is not None
    params = ", ".join([p.type.declare("") for p in function.params] + (["..."] if function.variadic else [])) or "void"
    declared = function.result.declare(f"x_{wrapper.symbol}({params})")
    return f'extern {declared} __asm__("{wrapper.symbol}");\n'


def _function(call: Call) -> Iterator[str]:
    function = call.wrapper.function
    assert function is not None
    listed = any(param.type.kind == "va_list" for param in function.params)
    names = [f"a{i}" for i in range(len(call.arguments))]
    target = f"x_{call.wrapper.symbol}"
    if listed:
        yield from _list_caller(call, target)
        target = f"list_{call.number}"
        names = [*(["0"] if not names else []), *names]
    if call.varargs:
        names.append(call.varargs)
    yield f"static void call_{call.number}(void)\n{{\n"
    for param, name, argument in zip(function.params, names, call.arguments, strict=False):
        yield f"\t{_local(param.type, name)} = {_initial(param.type, argument)};\n"
    yield "\tready();\n"
    invocation = f"{target}({', '.join(names)})"
    if function.result.kind == "void":
        yield f"\t{invocation};\n\tover();\n"
    else:
        yield f"\t{_local(function.result, 'ret')} = {invocation};\n\tover();\n\t{_show(function.result)};\n"
    yield "}\n"


def _local(ctype: CType, name: str) -> str:
    return ctype.declare(name) if ctype.kind != "pointer" else f"void *{name}"


def _initial(ctype: CType, argument: str) -> str:
    if ctype.kind == "pointer":
        return f"(void *)({argument})"
    return "{0}" if ctype.kind == "struct" else argument


def _list_caller(call: Call, target: str) -> Iterator[str]:
    """A function with ``...`` that hands its va_list on."""
    function = call.wrapper.function
    assert function is not None
    fixed = [p for p in function.params if p.type.kind != "va_list"]
    params = ", ".join(_local(p.type, f"a{i}") for i, p in enumerate(fixed)) or "int none"
    handed, position = [], 0
    for param in function.params:
        handed.append("list" if param.type.kind == "va_list" else f"a{position}")
        position += param.type.kind != "va_list"
    last = f"a{len(fixed) - 1}" if fixed else "none"
    result = function.result.declare(f"list_{call.number}({params}, ...)")
    invocation = f"{target}({', '.join(handed)})"
    keep = "" if function.result.kind == "void" else f"{_local(function.result, 'ret')} = "
    back = "" if not keep else "\treturn ret;\n"
    yield f"static {result}\n{{\n\tva_list list;\n\tva_start(list, {last});\n\t{keep}{invocation};\n\tva_end(list);\n{back}}}\n"


def _show(ctype: CType) -> str:
    """Return the statement that tells the result."""
    text = ctype.text.replace("@", "").strip()
    if ctype.kind in ("int", "bool"):
        return f"show_{'int' if ctype.signed else 'uint'}(ret)"
    if ctype.kind == "float" and ctype.size <= 8:
        return "show_double(ret)"
    if ctype.kind in ("float", "longdouble"):
        return f"show_bytes(&ret, {10 if ctype.kind == 'longdouble' else ctype.size})"
    if ctype.kind == "complex":
        return "show_complex(ret)" if ctype.size <= 16 else f"show_wide_complex(ret, {'16' if '128' in text else '10'})"
    if ctype.kind == "struct":
        return "show_words(&ret, sizeof ret)"
    if text in ("char *", "const char *"):
        return "show_text(ret)"
    return "show_tm(ret)" if text == "struct tm *" else "show_pointer(ret)"
