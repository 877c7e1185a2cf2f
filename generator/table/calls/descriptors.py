"""Descriptors. Sets of signals come with their size here, which must be 8; preadv2 has its offset in two words."""

TEXT = """
ioctl(int fd:fd, unsigned long request:enum=ioctl, void *argp) -> int
fcntl(int fd:fd, int cmd:enum=fcntl, unsigned long arg) -> int
fadvise64(int fd:fd, off_t offset, off_t len:size, int advice:enum=fadvise) -> int
getdents(unsigned int fd:fd, struct linux_dirent *dirp:out[ret] of bytes, unsigned int count:size) -> long:size
preadv2(int fd:fd, const struct iovec *iov:in+[iovcnt*sizeof], unsigned long iovcnt, off_t offset, unsigned long pos_h, int flags:flags=rwf) -> ssize_t:size
pwritev2(int fd:fd, const struct iovec *iov:in+[iovcnt*sizeof], unsigned long iovcnt, off_t offset, unsigned long pos_h, int flags:flags=rwf) -> ssize_t:size
eventfd(unsigned int initval) -> int:fd
eventfd2(unsigned int initval, int flags:flags=eventfd) -> int:fd
signalfd(int fd:fd, const kernel_sigset_t *mask:in+[8] of sigset, size_t sizemask:size) -> int:fd
signalfd4(int fd:fd, const kernel_sigset_t *mask:in+[8] of sigset, size_t sizemask:size, int flags:flags=signalfd) -> int:fd
memfd_secret(unsigned int flags:flags=cloexec) -> int:fd
userfaultfd(int flags:flags=userfaultfd) -> int:fd
mq_open(const char *name:path, int oflag:flags=open, mode_t mode:mode, struct mq_attr *attr:in) -> int:fd
mq_getsetattr(int mqdes:fd, const struct mq_attr *newattr:in+, struct mq_attr *oldattr:out) -> int

# Waiting. The kernel writes the time that is left; what was given tells more
select(int nfds, fd_set *readfds:inout?, fd_set *writefds:inout?, fd_set *exceptfds:inout?, struct timeval *timeout:in) -> int
pselect6(int nfds, fd_set *readfds:inout?, fd_set *writefds:inout?, fd_set *exceptfds:inout?, struct timespec *timeout:in, const struct sigset_argpack *sigmask:in+) -> int
ppoll(struct pollfd *fds:inout[nfds*sizeof], nfds_t nfds, struct timespec *tmo_p:in, const kernel_sigset_t *sigmask:in+[8] of sigset, size_t sigsetsize:size) -> int
epoll_pwait(int epfd:fd, struct epoll_event *events:out[ret*sizeof], int maxevents, int timeout, const kernel_sigset_t *sigmask:in+[8] of sigset, size_t sigsetsize:size) -> int
epoll_pwait2(int epfd:fd, struct epoll_event *events:out[ret*sizeof], int maxevents, const struct timespec *timeout:in+, const kernel_sigset_t *sigmask:in+[8] of sigset, size_t sigsetsize:size) -> int

# Asynchronous I/O. A context is an address
io_setup(unsigned int nr_events, void **ctx_idp:out) -> long
io_destroy(void *ctx_id) -> int
io_submit(void *ctx_id, long nr, struct iocb **iocbpp:in[nr*8]) -> int
io_cancel(void *ctx_id, struct iocb *iocb:in, struct io_event *result:out) -> int
io_getevents(void *ctx_id, long min_nr, long nr, struct io_event *events:out[ret*sizeof], struct timespec *timeout:in) -> int
io_pgetevents(void *ctx_id, long min_nr, long nr, struct io_event *events:out[ret*sizeof], struct timespec *timeout:in, const struct sigset_argpack *usig:in) -> int
io_uring_setup(unsigned int entries, struct io_uring_params *p:inout) -> int:fd
io_uring_enter(unsigned int fd:fd, unsigned int to_submit, unsigned int min_complete, unsigned int flags:flags=io_uring_enter, const kernel_sigset_t *sig:in[8] of sigset if 1-min(1,flags&8), size_t argsz:size) -> int
io_uring_register(unsigned int fd:fd, unsigned int opcode:enum=io_uring_register, void *arg, unsigned int nr_args) -> int
"""
