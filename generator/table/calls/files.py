"""Files by name and by handle, mounts, quotas. faccessat and fchmodat have no flags in the kernel; getcwd counts."""

TEXT = """
open(const char *pathname:path, int flags:flags=open, mode_t mode:mode) -> int:fd
openat(int dirfd:dirfd, const char *pathname:path, int flags:flags=open, mode_t mode:mode) -> int:fd
openat2(int dirfd:dirfd, const char *pathname:path, struct open_how *how:in[min(size,sizeof)], size_t size:size) -> long:fd
newfstatat(int dirfd:dirfd, const char *pathname:path, struct stat *statbuf:out, int flags:flags=at) -> int
faccessat(int dirfd:dirfd, const char *pathname:path, int mode:flags=access) -> int
faccessat2(int dirfd:dirfd, const char *pathname:path, int mode:flags=access, int flags:flags=at) -> int
fchmodat(int dirfd:dirfd, const char *pathname:path, mode_t mode:mode) -> int
getcwd(char *buf:outstr[size], size_t size:size) -> int:size
name_to_handle_at(int dirfd:dirfd, const char *pathname:path, struct file_handle *handle:inout, int *mount_id:out, int flags:flags=at) -> int
open_by_handle_at(int mount_fd:dirfd, struct file_handle *handle:in, int flags:flags=open) -> int:fd
lookup_dcookie(uint64_t cookie, char *buffer:outstr[len], size_t len:size) -> int:size
uselib(const char *library:path) -> int
ustat(dev_t dev, struct ustat_buffer *ubuf:out) -> int
sysfs(int option, unsigned long fs_index, char *buf:outstr if 1-min(1,option-2)) -> int

pivot_root(const char *new_root:path, const char *put_old:path+) -> int
mount_setattr(int dirfd:dirfd, const char *pathname:path, unsigned int flags:flags=at, struct mount_attr *attr:in[min(size,sizeof)], size_t size:size) -> int
open_tree(int dirfd:dirfd, const char *filename:path, unsigned int flags:flags=open_tree) -> int:fd
move_mount(int from_dirfd:dirfd, const char *from_pathname:path, int to_dirfd:dirfd, const char *to_pathname:path+, unsigned int flags:flags=move_mount) -> int
fsopen(const char *fsname:str+, unsigned int flags:flags=fsopen) -> int:fd
# What value is depends on cmd: a string for most, and its bytes up to a NUL for FSCONFIG_SET_BINARY
fsconfig(int fd:fd, unsigned int cmd:enum=fsconfig, const char *key:str, const void *value:str, int aux) -> int
fsmount(int fsfd:fd, unsigned int flags:flags=fsmount, unsigned int attr_flags:flags=mount_attr) -> int:fd
fspick(int dirfd:dirfd, const char *pathname:path, unsigned int flags:flags=fspick) -> int:fd
quotactl_fd(unsigned int fd:fd, unsigned int cmd, int id, void *addr) -> int
"""
