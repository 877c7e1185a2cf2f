"""Signals as the kernel has them: sets of 64, with their size, and an action with the restorer that libc adds."""

TEXT = """
rt_sigaction(int signum:signal, const struct kernel_sigaction *act:in+, struct kernel_sigaction *oldact:out, size_t sigsetsize:size) -> int
rt_sigprocmask(int how:enum=sigprocmask, const kernel_sigset_t *set:in+[8] of sigset, kernel_sigset_t *oldset:out[8] of sigset, size_t sigsetsize:size) -> int
rt_sigpending(kernel_sigset_t *set:out[8] of sigset, size_t sigsetsize:size) -> int
rt_sigsuspend(const kernel_sigset_t *mask:in[8] of sigset, size_t sigsetsize:size) -> int
rt_sigtimedwait(const kernel_sigset_t *set:in+[8] of sigset, siginfo_t *info:out?, const struct timespec *timeout:in+, size_t sigsetsize:size) -> int:signal
rt_sigqueueinfo(pid_t tgid:pid, int sig:signal, siginfo_t *info:in+) -> int
rt_tgsigqueueinfo(pid_t tgid:pid, pid_t tid:pid, int sig:signal, siginfo_t *info:in+) -> int
rt_sigreturn() -> long
tkill(pid_t tid:pid, int sig:signal) -> int
restart_syscall() -> long
"""
