"""Calls that kernels have since 6.5, for headers that know their numbers. Parameters as in the kernel's syscalls.h."""

TEXT = """
uretprobe() -> long
uprobe() -> long
cachestat(unsigned int fd:fd, struct cachestat_range *cstat_range:in, struct cachestat *cstat:out, unsigned int flags) -> int
fchmodat2(int dirfd:dirfd, const char *pathname:path, mode_t mode:mode, unsigned int flags:flags=at) -> int
map_shadow_stack(void *addr, unsigned long size:size, unsigned int flags) -> void *
futex_wake(void *uaddr, unsigned long mask, int nr, unsigned int flags) -> long
futex_wait(void *uaddr, unsigned long val, unsigned long mask, unsigned int flags, struct timespec *timeout:in, clockid_t clockid:clockid) -> long
futex_requeue(struct futex_waitv *waiters:in[2*sizeof], unsigned int flags, int nr_wake, int nr_requeue) -> long
statmount(const struct mnt_id_req *req:in, void *buf:out[bufsize], size_t bufsize:size, unsigned int flags) -> int
listmount(const struct mnt_id_req *req:in, uint64_t *mnt_ids:out[ret*sizeof], size_t nr_mnt_ids, unsigned int flags) -> int
lsm_get_self_attr(unsigned int attr, void *ctx:out[*size], uint32_t *size:inout, uint32_t flags) -> int
lsm_set_self_attr(unsigned int attr, void *ctx:in[size], uint32_t size:size, uint32_t flags) -> int
lsm_list_modules(uint64_t *ids:out[*size], uint32_t *size:inout, uint32_t flags) -> int
mseal(void *addr, size_t len:size, unsigned long flags) -> int
setxattrat(int dirfd:dirfd, const char *pathname:path, unsigned int at_flags:flags=at, const char *name:str+, const struct xattr_args *args:in[min(size,sizeof)], size_t size:size) -> int
getxattrat(int dirfd:dirfd, const char *pathname:path, unsigned int at_flags:flags=at, const char *name:str+, struct xattr_args *args:in[min(size,sizeof)], size_t size:size) -> ssize_t:size
listxattrat(int dirfd:dirfd, const char *pathname:path, unsigned int at_flags:flags=at, char *list:out[min(ret,size)], size_t size:size) -> ssize_t:size
removexattrat(int dirfd:dirfd, const char *pathname:path, unsigned int at_flags:flags=at, const char *name:str+) -> int
open_tree_attr(int dirfd:dirfd, const char *filename:path, unsigned int flags:flags=open_tree, struct mount_attr *attr:in[min(size,sizeof)], size_t size:size) -> int:fd
file_getattr(int dirfd:dirfd, const char *filename:path, struct file_attr *attr:out[min(size,sizeof)], size_t size:size, unsigned int at_flags:flags=at) -> int
file_setattr(int dirfd:dirfd, const char *filename:path, struct file_attr *attr:in[min(size,sizeof)], size_t size:size, unsigned int at_flags:flags=at) -> int
"""
