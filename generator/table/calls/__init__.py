"""The system calls that libc's prototypes do not describe, a file per subject; notation below. Data for syscalls.py.

A call stands here when libc has no function of its name, or one whose parameters or meaning are not the kernel's
(clone, getcwd, ppoll, waitid...): everything that stands here wins over libc. The others are described by libc's own
prototype and by the line that the function has in the table of library functions.

One line is one call, in the kernel's own parameters, named as the man pages do:

    openat2(int dirfd:dirfd, const char *pathname:path, struct open_how *how:in, size_t size:size) -> long:fd
    NAME "(" [C-TYPE NAME [":" ROLE] {"," ...}] ")" "->" C-TYPE [":" ROLE]

ROLE is what annotations.py says. No failure rule: the kernel's is one for all calls. Types come from libc's headers and
the kernel's; TYPE_HEADERS says which header defines a type that is used here, and where one is not installed its struct
stays incomplete: then only a length shows what is behind a pointer. TYPES declares what no header does.

SETS are strace's (6.1), for all calls, those of libc's prototypes too; %thread is ours.
"""

from . import descriptors, files, gone, memory, modern, processes, signals, system, times
from .sets import SETS as SETS

SUBJECTS = (files, descriptors, memory, processes, signals, times, system, modern, gone)
TEXTS = tuple(subject.TEXT for subject in SUBJECTS)

NO_RETURN = frozenset({"exit", "exit_group"})
REPLACING = frozenset({"execve", "execveat"})
"""A success of these is no return: the program is another one."""

LIBRARY: dict[str, tuple[str, ...]] = {
    "open": ("open", "openat"),
    "creat": ("creat", "openat"),
    "stat": ("stat", "newfstatat", "statx"),
    "lstat": ("lstat", "newfstatat", "statx"),
    "fstat": ("fstat", "newfstatat"),
    "fstatat": ("newfstatat",),
    "access": ("access", "faccessat", "faccessat2"),
    "eaccess": ("access", "faccessat", "faccessat2"),
    "faccessat": ("faccessat", "faccessat2"),
    "chmod": ("chmod", "fchmodat"),
    "chown": ("chown", "fchownat"),
    "lchown": ("lchown", "fchownat"),
    "link": ("link", "linkat"),
    "symlink": ("symlink", "symlinkat"),
    "unlink": ("unlink", "unlinkat"),
    "rmdir": ("rmdir", "unlinkat"),
    "remove": ("unlink", "rmdir", "unlinkat"),
    "rename": ("rename", "renameat", "renameat2"),
    "renameat": ("renameat", "renameat2"),
    "mkdir": ("mkdir", "mkdirat"),
    "mknod": ("mknod", "mknodat"),
    "mkfifo": ("mknod", "mknodat"),
    "mkfifoat": ("mknodat",),
    "readlink": ("readlink", "readlinkat"),
    "futimens": ("utimensat",),
    "utime": ("utime", "utimensat"),
    "utimes": ("utimes", "utimensat"),
    "lutimes": ("utimensat",),
    "statvfs": ("statfs",),
    "fstatvfs": ("fstatfs",),
    "umount": ("umount2",),
    "getcwd": ("getcwd",),
    "dup2": ("dup2", "dup3"),
    "pipe": ("pipe", "pipe2"),
    "poll": ("poll", "ppoll"),
    "select": ("select", "pselect6"),
    "pselect": ("pselect6",),
    "epoll_create": ("epoll_create", "epoll_create1"),
    "epoll_wait": ("epoll_wait", "epoll_pwait"),
    "eventfd": ("eventfd", "eventfd2"),
    "signalfd": ("signalfd", "signalfd4"),
    "inotify_init": ("inotify_init", "inotify_init1"),
    "posix_fadvise": ("fadvise64",),
    "posix_fallocate": ("fallocate",),
    "accept": ("accept", "accept4"),
    "send": ("sendto",),
    "recv": ("recvfrom",),
    "fork": ("fork", "clone", "clone3"),
    "vfork": ("vfork", "clone", "clone3"),
    "clone": ("clone", "clone3"),
    "pthread_create": ("clone", "clone3"),
    "thrd_create": ("clone", "clone3"),
    "posix_spawn": ("clone", "clone3", "vfork", "execve"),
    "posix_spawnp": ("clone", "clone3", "vfork", "execve"),
    "execv": ("execve",),
    "execvp": ("execve",),
    "execvpe": ("execve",),
    "execl": ("execve",),
    "execlp": ("execve",),
    "execle": ("execve",),
    "fexecve": ("execveat", "execve"),
    "exit": ("exit_group",),
    "_exit": ("exit_group",),
    "_Exit": ("exit_group",),
    "quick_exit": ("exit_group",),
    "pthread_exit": ("exit",),
    "wait": ("wait4",),
    "wait3": ("wait4",),
    "waitpid": ("wait4", "waitid"),
    "killpg": ("kill",),
    "raise": ("tgkill", "tkill"),
    "pthread_kill": ("tgkill",),
    "sigqueue": ("rt_sigqueueinfo",),
    "signal": ("rt_sigaction",),
    "sigwait": ("rt_sigtimedwait",),
    "sigwaitinfo": ("rt_sigtimedwait",),
    "pthread_sigmask": ("rt_sigprocmask",),
    "pause": ("pause", "ppoll"),
    "alarm": ("alarm", "setitimer"),
    "sleep": ("nanosleep", "clock_nanosleep"),
    "usleep": ("nanosleep", "clock_nanosleep"),
    "nanosleep": ("nanosleep", "clock_nanosleep"),
    "thrd_sleep": ("clock_nanosleep",),
    "sbrk": ("brk",),
    "getrlimit": ("getrlimit", "prlimit64"),
    "setrlimit": ("setrlimit", "prlimit64"),
    "setpgrp": ("setpgid",),
    "seteuid": ("setresuid",),
    "setegid": ("setresgid",),
    "getentropy": ("getrandom",),
    "klogctl": ("syslog",),
    "mq_send": ("mq_timedsend",),
    "mq_receive": ("mq_timedreceive",),
    "mq_setattr": ("mq_getsetattr",),
    "mq_getattr": ("mq_getsetattr",),
    "mq_close": ("close",),
    "sendfile64": ("sendfile",),
}
"""Library function -> the calls that do its work, in one libc or another; what a kernel lacks is left out.

Only functions that make such a call each time, for their caller's sake: fopen opens, but not whatever is asked. One of a
call's own name needs no line (read), nor one that differs by 64, rt_ or underscores: see stands_for().
"""

TYPES = """
typedef unsigned long kernel_sigset_t;
struct kernel_sigaction { void *sa_handler; unsigned long sa_flags; void *sa_restorer; kernel_sigset_t sa_mask; };
struct sigset_argpack { kernel_sigset_t *sigmask; unsigned long sigsetsize; };
struct ustat_buffer { int f_tfree; unsigned long f_tinode; char f_fname[6]; char f_fpack[6]; };
"""
"""What the kernel takes and no header declares under a name that libc has not given to something else."""

TYPE_HEADERS: dict[str, str] = {
    "struct __sysctl_args": "linux/sysctl.h",
    "struct __user_cap_data_struct": "linux/capability.h",
    "struct __user_cap_header_struct": "linux/capability.h",
    "struct cachestat": "linux/mman.h",
    "struct cachestat_range": "linux/mman.h",
    "struct clone_args": "linux/sched.h",
    "struct epoll_event": "sys/epoll.h",
    "struct file_attr": "linux/fs.h",
    "struct file_handle": "fcntl.h",
    "struct futex_waitv": "linux/futex.h",
    "struct io_event": "linux/aio_abi.h",
    "struct io_uring_params": "linux/io_uring.h",
    "struct iocb": "linux/aio_abi.h",
    "struct iovec": "sys/uio.h",
    "struct itimerspec": "time.h",
    "struct kexec_segment": "linux/kexec.h",
    "struct landlock_path_beneath_attr": "linux/landlock.h",
    "struct landlock_ruleset_attr": "linux/landlock.h",
    "struct mnt_id_req": "linux/mount.h",
    "struct mount_attr": "linux/mount.h",
    "struct mq_attr": "mqueue.h",
    "struct open_how": "linux/openat2.h",
    "struct perf_event_attr": "linux/perf_event.h",
    "struct pollfd": "poll.h",
    "struct robust_list_head": "linux/futex.h",
    "struct rusage": "sys/resource.h",
    "struct sched_attr": "linux/sched/types.h",
    "struct sigevent": "signal.h",
    "struct sock_fprog": "linux/filter.h",
    "struct stat": "sys/stat.h",
    "struct timespec": "time.h",
    "struct timezone": "sys/time.h",
    "struct timeval": "sys/time.h",
    "struct user_desc": "asm/ldt.h",
    "struct xattr_args": "linux/xattr.h",
    "cpu_set_t": "sched.h",
    "fd_set": "sys/select.h",
    "nfds_t": "poll.h",
    "siginfo_t": "signal.h",
}
"""Type -> the header that defines it; sys/types.h and stdint.h are always there."""
