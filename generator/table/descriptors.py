"""Calls on file descriptors: what strace calls %desc, but for sockets (network.py) and directories (files.py)."""

TEXT = """
%desc:
read(fd:fd, buf:out[ret], count:size) -> size | -1
__read_chk(fd:fd, buf:out[ret], count:size, buflen:size) -> size | -1
write(fd:fd, buf:in[count], count:size) -> size | -1
pread pread64(fd:fd, buf:out[ret], count:size, offset) -> size | -1
__pread_chk __pread64_chk(fd:fd, buf:out[ret], count:size, offset, buflen:size) -> size | -1
pwrite pwrite64(fd:fd, buf:in[count], count:size, offset) -> size | -1
readv(fd:fd, iov:in+[iovcnt*sizeof], iovcnt) -> size | -1
writev(fd:fd, iov:in+[iovcnt*sizeof], iovcnt) -> size | -1
preadv preadv64(fd:fd, iov:in+[iovcnt*sizeof], iovcnt, offset) -> size | -1
pwritev pwritev64(fd:fd, iov:in+[iovcnt*sizeof], iovcnt, offset) -> size | -1
preadv2 preadv64v2(fd:fd, iov:in+[iovcnt*sizeof], iovcnt, offset, flags:flags=rwf) -> size | -1
pwritev2 pwritev64v2(fd:fd, iov:in+[iovcnt*sizeof], iovcnt, offset, flags:flags=rwf) -> size | -1
close(fd:fd) -> | -1
closefrom(lowfd:fd) ->
close_range(first:fd, last:fd, flags:flags=close_range) -> | -1
dup(oldfd:fd) -> fd | -1
dup2(oldfd:fd, newfd:fd) -> fd | -1
dup3(oldfd:fd, newfd:fd, flags:flags=cloexec) -> fd | -1
pipe(pipefd:out[2*sizeof] of fd) -> | -1
pipe2(pipefd:out[2*sizeof] of fd, flags:flags=cloexec) -> | -1
fcntl fcntl64(fd:fd, cmd:enum=fcntl, arg) -> | -1
ioctl(fd:fd, request:enum=ioctl, argp) -> | -1
lseek lseek64(fd:fd, offset, whence:enum=seek) -> | -1
fsync(fd:fd) -> | -1
fdatasync(fd:fd) -> | -1
syncfs(fd:fd) -> | -1
ftruncate ftruncate64(fd:fd, length:size) -> | -1
fallocate fallocate64(fd:fd, mode:flags=fallocate, offset, len:size) -> | -1
posix_fallocate posix_fallocate64(fd:fd, offset, len:size) -> errno | errno
posix_fadvise posix_fadvise64(fd:fd, offset, len:size, advice:enum=fadvise) -> errno | errno
readahead(fd:fd, offset, count:size) -> | -1
sync_file_range(fd:fd, offset, nbytes:size, flags:flags=sync_file_range) -> | -1
flock(fd:fd, operation:flags=flock) -> | -1
lockf lockf64(fd:fd, cmd:enum=lockf, len) -> | -1
copy_file_range(fd_in:fd, off_in:inout, fd_out:fd, off_out:inout, len:size, flags) -> size | -1
sendfile sendfile64(out_fd:fd, in_fd:fd, offset:inout, count:size) -> size | -1
splice(fd_in:fd, off_in:inout if len, fd_out:fd, off_out:inout if len, len:size, flags:flags=splice) -> size | -1
tee(fd_in:fd, fd_out:fd, len:size, flags:flags=splice) -> size | -1
vmsplice(fd:fd, iov:in+[nr_segs*sizeof], nr_segs, flags:flags=splice) -> size | -1
isatty(fd:fd) -> | zero
ttyname(fd:fd) -> str! | NULL
ttyname_r(fd:fd, buf:outstr[buflen], buflen:size) -> errno | errno
__ttyname_r_chk(fd:fd, buf:outstr[buflen], buflen:size, nreal:size) -> errno | errno
eventfd(initval, flags:flags=eventfd) -> fd | -1
eventfd_read(fd:fd, value:out) -> | -1
eventfd_write(fd:fd, value) -> | -1
memfd_create(name:str+, flags:flags=memfd) -> fd | -1
signalfd(fd:fd, mask:in+[8] of sigset, flags:flags=signalfd) -> fd | -1
timerfd_create(clockid:clockid, flags:flags=timerfd) -> fd | -1
timerfd_settime(fd:fd, flags:flags=timerfd_settime, new_value:in+, old_value:out) -> | -1
timerfd_gettime(fd:fd, curr_value:out) -> | -1
inotify_init() -> fd | -1
inotify_init1(flags:flags=inotify_init) -> fd | -1
inotify_rm_watch(fd:fd, wd) -> | -1
fanotify_init(flags:flags=fanotify_init, event_f_flags:flags=open) -> fd | -1

# Waiting. The kernel reads no more of an fd_set than its table of descriptors is long: nothing about it is proven
poll(fds:inout[nfds*sizeof], nfds, timeout) -> | -1
__poll_chk(fds:inout[nfds*sizeof], nfds, timeout, fdslen:size) -> | -1
ppoll(fds:inout[nfds*sizeof], nfds, tmo_p:in+, sigmask:in+[8] of sigset) -> | -1
__ppoll_chk(fds:inout[nfds*sizeof], nfds, tmo_p:in+, sigmask:in+[8] of sigset, fdslen:size) -> | -1
select(nfds, readfds:inout?, writefds:inout?, exceptfds:inout?, timeout:inout) -> | -1
pselect(nfds, readfds:inout?, writefds:inout?, exceptfds:inout?, timeout:in+, sigmask:in+[8] of sigset) -> | -1
epoll_create(size) -> fd | -1
epoll_create1(flags:flags=epoll_create) -> fd | -1
epoll_ctl(epfd:fd, op:enum=epoll_ctl, fd:fd, event:in) -> | -1
epoll_wait(epfd:fd, events:out[ret*sizeof], maxevents, timeout) -> | -1
epoll_pwait(epfd:fd, events:out[ret*sizeof], maxevents, timeout, sigmask:in+[8] of sigset) -> | -1
epoll_pwait2(epfd:fd, events:out[ret*sizeof], maxevents, timeout:in+, sigmask:in+[8] of sigset) -> | -1

# Asynchronous I/O: the control block's buffers are looked at by other threads, and later
aio_read aio_read64(aiocbp:in) -> | -1
aio_write aio_write64(aiocbp:in) -> | -1
aio_fsync aio_fsync64(op:flags=open, aiocbp) -> | -1
aio_error aio_error64(aiocbp) -> errno
aio_return aio_return64(aiocbp) -> size | -1
aio_cancel aio_cancel64(fd:fd, aiocbp) -> enum=aio_cancel | -1
aio_suspend aio_suspend64(aiocb_list:in[nitems*sizeof], nitems, timeout:in) -> | -1
lio_listio lio_listio64(mode:enum=lio, aiocb_list:in[nitems*sizeof], nitems, sevp:in) -> | -1

# Terminals
tcgetattr(fd:fd, termios_p:out) -> | -1
tcsetattr(fd:fd, optional_actions:enum=tcsetattr, termios_p:in) -> | -1
tcsendbreak(fd:fd, duration) -> | -1
tcdrain(fd:fd) -> | -1
tcflush(fd:fd, queue_selector:enum=tcflush) -> | -1
tcflow(fd:fd, action:enum=tcflow) -> | -1
tcgetpgrp(fd:fd) -> pid | -1
tcsetpgrp(fd:fd, pgrp:pid) -> | -1
tcgetsid(fd:fd) -> pid | -1
posix_openpt(flags:flags=open) -> fd | -1
getpt() -> fd | -1
grantpt(fd:fd) -> | -1
unlockpt(fd:fd) -> | -1
ptsname(fd:fd) -> str! | NULL
ptsname_r(fd:fd, buf:outstr[buflen], buflen:size) -> errno | errno
__ptsname_r_chk(fd:fd, buf:outstr[buflen], buflen:size, nreal:size) -> errno | errno
openpty(amaster:out of fd, aslave:out of fd, name:outstr, termp:in, winp:in) -> | -1
forkpty(amaster:out of fd if ret, name:outstr if ret, termp:in, winp:in) -> pid | -1 %process
login_tty(fd:fd) -> | -1
%:
cfgetispeed(termios_p:in) -> enum=speed
cfgetospeed(termios_p:in) -> enum=speed
cfsetispeed(termios_p:inout?, speed:enum=speed) -> | -1
cfsetospeed(termios_p:inout?, speed:enum=speed) -> | -1
cfsetspeed(termios_p:inout?, speed:enum=speed) -> | -1
cfmakeraw(termios_p:inout?) ->
ctermid(s) -> str!
sync() ->
"""
