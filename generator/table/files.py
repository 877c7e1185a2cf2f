"""Files by name: what strace calls %file, and libc's own functions on paths and directories.

Second paths (rename's newpath) are path+: older kernels look the first one up before they read the second. So are the
names of calls that check a privilege or a mode before they read anything (acct, mknod, swapon, umount2).
"""

TEXT = """
%file %desc:
open open64(pathname:path, flags:flags=open, mode:mode) -> fd | -1
openat openat64(dirfd:dirfd, pathname:path, flags:flags=open, mode:mode) -> fd | -1
__open_2 __open64_2(pathname:path, flags:flags=open) -> fd | -1
__openat_2 __openat64_2(dirfd:dirfd, pathname:path, flags:flags=open) -> fd | -1
creat creat64(pathname:path, mode:mode) -> fd | -1
faccessat(dirfd:dirfd, pathname:path, mode:flags=access, flags:flags=at) -> | -1
fchmodat(dirfd:dirfd, pathname:path, mode:mode, flags:flags=at) -> | -1
fchownat(dirfd:dirfd, pathname:path, owner:uid, group:gid, flags:flags=at) -> | -1
linkat(olddirfd:dirfd, oldpath:path, newdirfd:dirfd, newpath:path+, flags:flags=at) -> | -1
symlinkat(target:path, newdirfd:dirfd, linkpath:path+) -> | -1
unlinkat(dirfd:dirfd, pathname:path, flags:flags=unlinkat) -> | -1
renameat(olddirfd:dirfd, oldpath:path, newdirfd:dirfd, newpath:path+) -> | -1
renameat2(olddirfd:dirfd, oldpath:path, newdirfd:dirfd, newpath:path+, flags:flags=rename) -> | -1
mkdirat(dirfd:dirfd, pathname:path, mode:mode) -> | -1
mkfifoat(dirfd:dirfd, pathname:path, mode:mode) -> | -1
mknodat(dirfd:dirfd, pathname:path+, mode:mode, dev) -> | -1
readlinkat(dirfd:dirfd, pathname:path, buf:out[ret], bufsiz:size) -> size | -1
__readlinkat_chk(dirfd:dirfd, pathname:path, buf:out[ret], bufsiz:size, buflen:size) -> size | -1
utimensat(dirfd:dirfd, pathname:path, times:in[2*sizeof], flags:flags=at) -> | -1
futimesat(dirfd:dirfd, pathname:path, times:in[2*sizeof]) -> | -1
inotify_add_watch(fd:fd, pathname:path, mask:flags=inotify) -> | -1
fanotify_mark(fanotify_fd:fd, flags:flags=fanotify_mark, mask:flags=fanotify, dirfd:dirfd, pathname:path+) -> | -1
name_to_handle_at(dirfd:dirfd, pathname:path, handle, mount_id:out, flags:flags=at) -> | -1
execveat(dirfd:dirfd, pathname:path, argv:strv, envp:strv, flags:flags=at) -> | -1 %process
scandirat scandirat64(dirfd:dirfd, dirp:path, namelist:out, filter, compar) -> | -1

%file %desc %%stat %fstat:
fstatat fstatat64(dirfd:dirfd, pathname:path, statbuf:out, flags:flags=at) -> | -1
__fxstatat __fxstatat64(ver, dirfd:dirfd, pathname:path, statbuf:out, flags:flags=at) -> | -1
%file %desc %%stat:
statx(dirfd:dirfd, pathname:path, flags:flags=statx_at, mask:flags=statx, statxbuf:out) -> | -1
%desc %%stat %fstat:
fstat fstat64(fd:fd, statbuf:out) -> | -1
__fxstat __fxstat64(ver, fd:fd, statbuf:out) -> | -1
%file %%stat %stat:
stat stat64(pathname:path, statbuf:out) -> | -1
__xstat __xstat64(ver, pathname:path, statbuf:out) -> | -1
%file %%stat %lstat:
lstat lstat64(pathname:path, statbuf:out) -> | -1
__lxstat __lxstat64(ver, pathname:path, statbuf:out) -> | -1
%file %%statfs %statfs:
statfs statfs64(path:path, buf:out) -> | -1
statvfs statvfs64(path:path, buf:out) -> | -1
%desc %%statfs %fstatfs:
fstatfs fstatfs64(fd:fd, buf:out) -> | -1
fstatvfs fstatvfs64(fd:fd, buf:out) -> | -1

%file:
access(pathname:path, mode:flags=access) -> | -1
eaccess euidaccess(pathname:path, mode:flags=access) -> | -1
chdir(path:path) -> | -1
chroot(path:path) -> | -1
chmod(pathname:path, mode:mode) -> | -1
lchmod(pathname:path, mode:mode) -> | -1
chown(pathname:path, owner:uid, group:gid) -> | -1
lchown(pathname:path, owner:uid, group:gid) -> | -1
link(oldpath:path, newpath:path+) -> | -1
symlink(target:path, linkpath:path+) -> | -1
unlink(pathname:path) -> | -1
remove(pathname:path) -> | -1
rename(oldpath:path, newpath:path+) -> | -1
mkdir(pathname:path, mode:mode) -> | -1
rmdir(pathname:path) -> | -1
mkfifo(pathname:path, mode:mode) -> | -1
mknod(pathname:path+, mode:mode, dev) -> | -1
__xmknod(ver, pathname:path+, mode:mode, dev:in) -> | -1
readlink(pathname:path, buf:out[ret], bufsiz:size) -> size | -1
__readlink_chk(pathname:path, buf:out[ret], bufsiz:size, buflen:size) -> size | -1
truncate truncate64(path:path, length:size) -> | -1
utime(filename:path, times:in) -> | -1
utimes(filename:path, times:in[2*sizeof]) -> | -1
lutimes(filename:path, tv:in[2*sizeof]) -> | -1
getcwd(buf:outstr[size], size:size) -> str! | NULL
__getcwd_chk(buf:outstr[size], size:size, buflen:size) -> str! | NULL
getwd(buf:outstr) -> str! | NULL
get_current_dir_name() -> str! | NULL
realpath(path:path, resolved_path:outstr) -> str! | NULL
__realpath_chk(path:path, resolved_path:outstr, resolvedlen:size) -> str! | NULL
canonicalize_file_name(path:path) -> str! | NULL
pathconf(path:path?, name:enum=pathconf) ->
umount(target:path) -> | -1
umount2(target:path+, flags:flags=umount) -> | -1
mount(source:path+, target:path, filesystemtype:str+, mountflags:flags=mount, data) -> | -1
swapon(path:path+, swapflags:flags=swapon) -> | -1
swapoff(path:path+) -> | -1
pivot_root(new_root:path, put_old:path+) -> | -1
acct(filename:path+) -> | -1
quotactl(cmd, special:path+, id, addr) -> | -1
getxattr(path:path, name:str+, value:out[min(ret,size)], size:size) -> size | -1
lgetxattr(path:path, name:str+, value:out[min(ret,size)], size:size) -> size | -1
setxattr(path:path, name:str+, value:in+[size], size:size, flags:flags=xattr) -> | -1
lsetxattr(path:path, name:str+, value:in+[size], size:size, flags:flags=xattr) -> | -1
listxattr(path:path, list:out[min(ret,size)], size:size) -> size | -1
llistxattr(path:path, list:out[min(ret,size)], size:size) -> size | -1
removexattr(path:path, name:str+) -> | -1
lremovexattr(path:path, name:str+) -> | -1

# Directories and trees
opendir(name:path) -> | NULL
scandir scandir64(dirp:path, namelist:out, filter, compar) -> | -1
ftw ftw64(dirpath:path, fn, nopenfd) -> | -1
nftw nftw64(dirpath:path, fn, nopenfd, flags:flags=nftw) -> | -1
fts_open fts64_open(path_argv:strv, options:flags=fts, compar) -> | NULL
fts_read fts64_read(ftsp) ->
fts_children fts64_children(ftsp, instr) ->
fts_set fts64_set(ftsp, f, instr) -> | -1
fts_close fts64_close(ftsp:consumed) -> | -1
glob glob64(pattern:str+, flags:flags=glob, errfunc, pglob:out) -> enum=globerr | nonzero
globfree globfree64(pglob) ->

# Names made up by libc. mktemp reads its template whatever comes of it
mkstemp mkstemp64(template:path) -> fd | -1
mkostemp mkostemp64(template:path, flags:flags=open) -> fd | -1
mkstemps mkstemps64(template:path, suffixlen) -> fd | -1
mkostemps mkostemps64(template:path, suffixlen, flags:flags=open) -> fd | -1
mkdtemp(template:path) -> str! | NULL
mktemp(template:path!) -> str!
tempnam(dir:path?, pfx:str) -> str! | NULL
ftok(pathname:path, proj_id) -> | -1
shm_open(name:path, oflag:flags=open, mode:mode) -> fd | -1
shm_unlink(name:path) -> | -1

%:
umask(mask:mode) -> mode
fnmatch(pattern:str^, string:str, flags:flags=fnmatch) ->
wordexp(s:str+, p, flags:flags=wordexp) -> enum=wordexp_error | nonzero
wordfree(p) ->
basename __xpg_basename(path:str!) -> str!
dirname(path:str!) -> str!

%desc:
closedir(dirp:consumed) -> | -1
readdir readdir64(dirp) ->
readdir_r readdir64_r(dirp, entry, result:out) -> errno | errno
rewinddir(dirp) ->
telldir(dirp) ->
seekdir(dirp, loc) ->
dirfd(dirp) -> fd | -1
fdopendir(fd:fd) -> | NULL
getdents64(fd:fd, dirp:out[ret], count:size) -> size | -1
fchdir(fd:fd) -> | -1
fchmod(fd:fd, mode:mode) -> | -1
fchown(fd:fd, owner:uid, group:gid) -> | -1
futimens(fd:fd, times:in[2*sizeof]) -> | -1
futimes(fd:fd, tv:in[2*sizeof]) -> | -1
fgetxattr(fd:fd, name:str+, value:out[min(ret,size)], size:size) -> size | -1
fsetxattr(fd:fd, name:str+, value:in+[size], size:size, flags:flags=xattr) -> | -1
flistxattr(fd:fd, list:out[min(ret,size)], size:size) -> size | -1
fremovexattr(fd:fd, name:str+) -> | -1
fpathconf(fd:fd, name:enum=pathconf) ->
open_by_handle_at(mount_fd:dirfd, handle, flags:flags=open) -> fd | -1
"""
