"""What is known about glibc beyond its headers: data for headers.py, aliases.py and policy.py."""

from __future__ import annotations

_HEADERS = """
    aio.h aliases.h alloca.h ar.h argp.h argz.h arpa/ftp.h arpa/inet.h arpa/nameser.h arpa/telnet.h arpa/tftp.h
    assert.h byteswap.h complex.h cpio.h ctype.h dirent.h dlfcn.h elf.h endian.h envz.h err.h errno.h error.h
    execinfo.h fcntl.h features.h fenv.h fmtmsg.h fnmatch.h fpu_control.h fstab.h fts.h ftw.h gconv.h getopt.h glob.h
    gnu/lib-names.h gnu/libc-version.h grp.h gshadow.h iconv.h ieee754.h ifaddrs.h inttypes.h langinfo.h lastlog.h
    libgen.h libintl.h limits.h link.h locale.h malloc.h math.h mcheck.h memory.h mntent.h monetary.h mqueue.h
    net/ethernet.h net/if.h net/if_arp.h net/if_packet.h net/ppp_defs.h net/route.h netdb.h netinet/ether.h
    netinet/icmp6.h netinet/if_ether.h netinet/igmp.h netinet/in.h netinet/in_systm.h netinet/ip.h netinet/ip6.h
    netinet/ip_icmp.h netinet/tcp.h netinet/udp.h netpacket/packet.h nl_types.h nss.h obstack.h paths.h poll.h
    printf.h pthread.h pty.h pwd.h re_comp.h regex.h resolv.h sched.h search.h semaphore.h setjmp.h sgtty.h shadow.h
    signal.h spawn.h stdarg.h stdbool.h stddef.h stdint.h stdio.h stdio_ext.h stdlib.h string.h strings.h sys/acct.h
    sys/auxv.h sys/cdefs.h sys/dir.h sys/epoll.h sys/errno.h sys/eventfd.h sys/fanotify.h sys/fcntl.h sys/file.h
    sys/fsuid.h sys/gmon.h sys/inotify.h sys/io.h sys/ioctl.h sys/ipc.h sys/klog.h sys/mman.h sys/mount.h sys/msg.h
    sys/mtio.h sys/param.h sys/pci.h sys/perm.h sys/personality.h sys/pidfd.h sys/platform/x86.h sys/poll.h
    sys/prctl.h sys/procfs.h sys/profil.h sys/ptrace.h sys/quota.h sys/random.h sys/raw.h sys/reboot.h sys/reg.h
    sys/resource.h sys/rseq.h sys/select.h sys/sem.h sys/sendfile.h sys/shm.h sys/signal.h sys/signalfd.h
    sys/single_threaded.h sys/socket.h sys/stat.h sys/statfs.h sys/statvfs.h sys/swap.h sys/syscall.h sys/sysinfo.h
    sys/sysmacros.h sys/termios.h sys/time.h sys/timeb.h sys/timerfd.h sys/times.h sys/timex.h sys/ttydefaults.h
    sys/types.h sys/ucontext.h sys/uio.h sys/un.h sys/unistd.h sys/user.h sys/utsname.h sys/vfs.h sys/vlimit.h
    sys/vt.h sys/wait.h sys/xattr.h syscall.h sysexits.h syslog.h tar.h termio.h termios.h threads.h time.h ttyent.h
    uchar.h ucontext.h ulimit.h unistd.h utime.h utmp.h utmpx.h values.h wait.h wchar.h wctype.h wordexp.h
"""
PUBLIC_HEADERS: tuple[str, ...] = tuple(_HEADERS.split())
"""glibc's public headers that declare functions, types of their arguments, or constants; each is used if installed.

Left out: tgmath.h (macros over every function of math.h), regexp.h (gone), thread_db.h and proc_service.h (the
debugger's), and headers of single drivers.
"""

# --- names -----------------------------------------------------------------------------------------------------------

RULED_BASES: dict[str, str] = {
    "__open_2": "open",
    "__open64_2": "open",
    "__openat_2": "openat",
    "__openat64_2": "openat",
    "__mq_open_2": "mq_open",
    "__xstat": "stat",
    "__xstat64": "stat",
    "__fxstat": "fstat",
    "__fxstat64": "fstat",
    "__lxstat": "lstat",
    "__lxstat64": "lstat",
    "__fxstatat": "fstatat",
    "__fxstatat64": "fstatat",
    "__xmknod": "mknod",
    "__xmknodat": "mknodat",
    "__xpg_basename": "basename",
    "__xpg_sigpause": "sigpause",
    "__xpg_strerror_r": "strerror_r",
    "__posix_getopt": "getopt",
    "__bsd_getpgrp": "getpgrp",
    "_setjmp": "setjmp",
    "__sigsetjmp": "sigsetjmp",
    "__cxa_atexit": "atexit",
    "__cxa_at_quick_exit": "at_quick_exit",
    "__register_atfork": "pthread_atfork",
    "__gets_chk": "gets",
    "__longjmp_chk": "longjmp",
}
"""Exported names with code of their own that programs call when their source says the name on the right.

Besides these, ``__X_chk``, ``__isoc99_X``, ``__isoc23_X`` and ``__X_internal`` stand for X (aliases.py).
"""

NOT_VARIANTS = frozenset({"__fdelt_chk", "__stack_chk_fail", "__chk_fail"})
"""Names that look like a variant of another function and are none."""

UNRELATED: tuple[frozenset[str], ...] = (
    frozenset({"htonl", "ntohl"}),
    frozenset({"htons", "ntohs"}),
    frozenset({"__cyg_profile_func_enter", "__cyg_profile_func_exit"}),
    frozenset({"pthread_spin_init", "pthread_spin_unlock"}),
)
"""Different functions that glibc gives one address, as their code happens to be the same."""

CANONICAL = frozenset({"_exit", "getc", "longjmp", "memcmp", "mktime", "raise", "signal", "srand", "strchr", "strrchr"})
"""Names that stand for their alias group where a shorter one would otherwise."""

# --- families that globs and sets leave alone ------------------------------------------------------------------------

MALLOC_FAMILY: dict[str, str] = {
    "malloc": "mall",
    "calloc": "call",
    "realloc": "reall",
    "reallocarray": "reall",
    "free": "free",
    "cfree": "cfree",
    "memalign": "mem",
    "aligned_alloc": "aligned",
    "posix_memalign": "posix_mem",
    "valloc": "vall",
    "pvalloc": "pvall",
    "malloc_usable_size": "mall",
}
"""malloc's family -> how the literal prefix of a glob must begin to name it."""

STRING_STEMS = ("mem", "str", "wcs", "wmem", "stp", "wcp", "rawmem", "bcmp", "bcopy", "bzero", "index", "rindex")
"""mem*, str*, wcs* and what is of their kind: taken only by a name, or a glob whose literal prefix begins so."""

NOT_STRING = frozenset({"memfd_create"})
"""Begins like one of STRING_STEMS and is a system call."""

FAMILY_SETS = frozenset({"%alloc", "%string", "%wide"})
"""Sets that name these families: whoever asks for one asks for them."""

# --- wrapper classes -------------------------------------------------------------------------------------------------

_CALLER = "it looks at the address that it returns to, which must stay its caller's"
_TWICE = "it returns twice, or into its caller's frame, which must not have gone"

TAIL_JUMPS: dict[str, str] = {
    "vfork": "its child goes on in the caller's frame",
    "__vfork": "its child goes on in the caller's frame",
    "setjmp": _TWICE,
    "_setjmp": _TWICE,
    "__sigsetjmp": _TWICE,
    "getcontext": _TWICE,
    "setcontext": "it goes on elsewhere",
    "swapcontext": _TWICE,
    "makecontext": "its arguments are those of a function that nobody knows yet",
    "dlopen": _CALLER,
    "dlmopen": _CALLER,
    "dl_iterate_phdr": _CALLER,
    "backtrace": "what it returns would begin with the wrapper",
    "__backtrace": "what it returns would begin with the wrapper",
    "clone": "its child goes on with another stack",
    "__clone": "its child goes on with another stack",
    "__libc_start_main": "it calls main and does not return",
    "_dl_mcount_wrapper": _CALLER,
    "_dl_mcount_wrapper_check": _CALLER,
    "_pthread_cleanup_push": "it keeps its caller's frame",
    "_pthread_cleanup_pop": "it keeps its caller's frame",
    "__pthread_register_cancel": "it keeps its caller's frame",
    "__pthread_unregister_cancel": "it keeps its caller's frame",
}
"""Functions that an assembly stub must jump to, so that stack and return address are untouched, and why."""

REFUSED: dict[str, str] = {
    "dlsym": "it looks at its caller to know what RTLD_NEXT means, and the shim itself resolves functions by it",
    "dlvsym": "it looks at its caller to know what RTLD_NEXT means, and the shim itself resolves functions by it",
    "__tls_get_addr": "compilers call it with registers of their own choice",
    "_mcount": "it is called before a function has saved its arguments, with a calling convention of its own",
    "mcount": "it is called before a function has saved its arguments, with a calling convention of its own",
    "__fentry__": "it is called before a function has saved its arguments, with a calling convention of its own",
    "__errno_location": "the shim itself calls it around every recorded call",
}
"""Functions that no wrapper class can do, and why."""

V_TWINS: dict[str, str] = {
    "printf": "vprintf",
    "fprintf": "vfprintf",
    "sprintf": "vsprintf",
    "snprintf": "vsnprintf",
    "asprintf": "vasprintf",
    "dprintf": "vdprintf",
    "obstack_printf": "obstack_vprintf",
    "wprintf": "vwprintf",
    "fwprintf": "vfwprintf",
    "swprintf": "vswprintf",
    "scanf": "vscanf",
    "fscanf": "vfscanf",
    "sscanf": "vsscanf",
    "wscanf": "vwscanf",
    "fwscanf": "vfwscanf",
    "swscanf": "vswscanf",
    "syslog": "vsyslog",
    "err": "verr",
    "errx": "verrx",
    "warn": "vwarn",
    "warnx": "vwarnx",
}
"""Variadic functions -> the ones that take a va_list. With a prefix or suffix (``__printf_chk``) so has the twin."""

EXEC_LISTS: dict[str, tuple[str, str]] = {
    "execl": ("execve", "path"),
    "execlp": ("execvpe", "file"),
    "execle": ("execve", "envp"),
}
"""execl* -> its vector form, and what is special about it."""

MODE_IF_FLAG = frozenset({"open", "open64", "__open", "__open64", "openat", "openat64", "mq_open", "sem_open"})
"""Variadic functions that have further arguments when a flag (O_CREAT, O_TMPFILE) asks for them."""

OPTIONAL_WORD = frozenset({"fcntl", "fcntl64", "__fcntl", "ioctl", "prctl", "mremap", "semctl", "ptrace", "ulimit"})
"""Variadic functions whose further arguments are words that may always be passed on."""


INTERNAL: tuple[str, ...] = (
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "fexecve",
    "mlockall",
    "posix_spawn",
    "posix_spawnp",
    "prctl",
    "syscall",
    "vfork",
)
"""Wrapped in every shim for the runtime's own sake; they record only when they are targets."""
