"""Signals. The kernel knows 8 of a sigset_t's 128 bytes: no more is proven, and no more means anything."""

TEXT = """
%signal:
signal bsd_signal __sysv_signal sysv_signal(signum:signal, handler) -> | SIG_ERR
ssignal(signum:signal, action) -> | SIG_ERR
sigset(sig:signal, disp) -> | SIG_ERR
sigaction(signum:signal, act:in+, oldact:out) -> | -1
sigprocmask(how:enum=sigprocmask, set:in+[8] of sigset, oldset:out[8] of sigset) -> | -1
pthread_sigmask(how:enum=sigprocmask, set:in+[8] of sigset, oldset:out[8] of sigset) -> errno | errno %thread
sigpending(set:out[8] of sigset) -> | -1
sigsuspend(mask:in[8] of sigset) -> | -1
sigwait(set:in+[8] of sigset, sig:out of signal) -> errno | errno
sigwaitinfo(set:in+[8] of sigset, info:out?) -> signal | -1
sigtimedwait(set:in+[8] of sigset, info:out?, timeout:in+) -> signal | -1
sigqueue(pid:pid, sig:signal, value) -> | -1 %process
pthread_sigqueue(thread, sig:signal, value) -> errno | errno %thread
pthread_kill(thread, sig:signal) -> errno | errno %thread
raise(sig:signal) -> | nonzero
gsignal(signum:signal) -> | nonzero
sigaltstack(ss:in+, old_ss:out) -> | -1
siginterrupt(sig:signal, flag) -> | -1
sighold(sig:signal) -> | -1
sigrelse(sig:signal) -> | -1
sigignore(sig:signal) -> | -1
pause() -> | -1
alarm(seconds) ->
%:
sigemptyset(set:out[8] of sigset) -> | -1
sigfillset(set:out[8] of sigset) -> | -1
sigaddset(set:inout[8] of sigset, signum:signal) -> | -1
sigdelset(set:inout[8] of sigset, signum:signal) -> | -1
sigismember(set:in+[8] of sigset, signum:signal) -> | -1
strsignal(sig:signal) -> str!
sigabbrev_np(sig:signal) -> str!
sigdescr_np(sig:signal) -> str!
psignal(sig:signal, s:str) ->
"""
