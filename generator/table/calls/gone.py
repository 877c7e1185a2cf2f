"""Numbers whose calls have gone, or never were: the kernel answers ENOSYS. What it would take, where it is known."""

TEXT = """
_sysctl(struct __sysctl_args *args:in) -> int
create_module(const char *name:str, size_t size:size) -> void *
get_kernel_syms(struct kernel_sym *table) -> int
query_module(const char *name:str, int which, void *buf, size_t bufsize:size, size_t *retp) -> int
nfsservctl(int cmd, struct nfsctl_arg *argp, union nfsctl_res *resp) -> long
getpmsg(int fildes:fd, struct strbuf *ctlptr, struct strbuf *dataptr, int *bandp, int *flagsp) -> int
putpmsg(int fildes:fd, const struct strbuf *ctlptr, const struct strbuf *dataptr, int band, int flags) -> int
epoll_ctl_old(int epfd:fd, int op:enum=epoll_ctl, int fd:fd, struct epoll_event *event) -> int
epoll_wait_old(int epfd:fd, struct epoll_event *events, int maxevents, int timeout) -> int
afs_syscall(unsigned long arg1, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5, unsigned long arg6) -> long
tuxcall(unsigned long arg1, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5, unsigned long arg6) -> long
security(unsigned long arg1, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5, unsigned long arg6) -> long
vserver(unsigned long arg1, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5, unsigned long arg6) -> long
"""
