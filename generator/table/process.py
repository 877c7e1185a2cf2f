"""Processes, credentials, scheduling, limits, the system, users and groups.

waitpid leaves wstatus alone when it returns 0. system() and posix_spawnp() say nothing when their command could not be
read: only the child failed. getpwnam and its like give NULL without an error for a user who is not there.
"""

TEXT = """
%process:
fork _Fork() -> pid | -1
vfork() -> pid | -1
clone(fn, stack, flags:flags=clone, arg, ...) -> pid | -1
execve(pathname:path, argv:strv, envp:strv) -> | -1 %file
execv(pathname:path, argv:strv) -> | -1 %file
execvp(file:path, argv:strv) -> | -1 %file
execvpe(file:path, argv:strv, envp:strv) -> | -1 %file
execl(pathname:path, arg:str, ...) -> | -1 %file
execle(pathname:path, arg:str, ...) -> | -1 %file
execlp(file:path, arg:str, ...) -> | -1 %file
fexecve(fd:fd, argv:strv, envp:strv) -> | -1 %desc
posix_spawn(pid:out of pid, path:path+, file_actions, attrp, argv:strv, envp:strv) -> errno | errno %file
posix_spawnp(pid:out of pid, file:path?, file_actions, attrp, argv:strv, envp:strv) -> errno | errno %file
exit(status) ->
_exit _Exit(status) ->
quick_exit(status) ->
abort() ->
wait(wstatus:out) -> pid | -1
waitpid(pid:pid, wstatus:out if ret, options:flags=wait) -> pid | -1
waitid(idtype:enum=waitid, id, infop:out?, options:flags=wait) -> | -1
wait3(wstatus:out if ret, options:flags=wait, rusage:out if ret) -> pid | -1
wait4(pid:pid, wstatus:out if ret, options:flags=wait, rusage:out if ret) -> pid | -1
system(command:str) -> | -1
kill(pid:pid, sig:signal) -> | -1 %signal
killpg(pgrp:pid, sig:signal) -> | -1 %signal
tgkill(tgid:pid, tid:pid, sig:signal) -> | -1 %signal
unshare(flags:flags=clone) -> | -1
setns(fd:fd, nstype:flags=clone) -> | -1 %desc
pidfd_open(pid:pid, flags) -> fd | -1 %desc
pidfd_getfd(pidfd:fd, targetfd:fd, flags) -> fd | -1 %desc
pidfd_send_signal(pidfd:fd, sig:signal, info:in, flags) -> | -1 %desc %signal
%process += posix_spawn_file_actions_init posix_spawn_file_actions_destroy posix_spawnattr_init posix_spawnattr_destroy
%process += arch_prctl daemon

%:
posix_spawn_file_actions_addopen(file_actions, fildes:fd, path:path+, oflag:flags=open, mode:mode) -> errno | errno
posix_spawn_file_actions_addclose(file_actions, fildes:fd) -> errno | errno
posix_spawn_file_actions_adddup2(file_actions, fildes:fd, newfildes:fd) -> errno | errno
posix_spawn_file_actions_addchdir_np(file_actions, path:path+) -> errno | errno
posix_spawn_file_actions_addfchdir_np(file_actions, fd:fd) -> errno | errno
posix_spawnattr_setflags(attr, flags:flags=spawn) -> errno | errno
posix_spawnattr_setpgroup(attr, pgroup:pid) -> errno | errno
daemon(nochdir, noclose) -> | -1
atexit(function) -> | nonzero
__cxa_atexit(func, arg, dso_handle) -> | nonzero
on_exit(function, arg) -> | nonzero
ptrace(request:enum=ptrace, pid:pid, addr, data) ->
prctl(option:enum=prctl, arg2, arg3, arg4, arg5) -> | -1
syscall(number:enum=syscall, ...) -> | -1
personality(persona:flags=personality) -> | -1
getpid __getpid() -> pid
getppid() -> pid
gettid() -> pid
getpgid __getpgid(pid:pid) -> pid | -1
getpgrp() -> pid
getsid(pid:pid) -> pid | -1
setsid() -> pid | -1
setpgid __setpgid(pid:pid, pgid:pid) -> | -1
setpgrp() -> | -1
nice(inc) ->
getpriority(which:enum=priority, who) ->
setpriority(which:enum=priority, who, prio) -> | -1
times(buf:out) -> time | -1 %clock

%creds:
getuid() -> uid
geteuid() -> uid
getgid() -> gid
getegid() -> gid
setuid(uid:uid) -> | -1
seteuid(euid:uid) -> | -1
setgid(gid:gid) -> | -1
setegid(egid:gid) -> | -1
setreuid(ruid:uid, euid:uid) -> | -1
setregid(rgid:gid, egid:gid) -> | -1
setresuid(ruid:uid, euid:uid, suid:uid) -> | -1
setresgid(rgid:gid, egid:gid, sgid:gid) -> | -1
getresuid(ruid:out of uid, euid:out of uid, suid:out of uid) -> | -1
getresgid(rgid:out of gid, egid:out of gid, sgid:out of gid) -> | -1
setfsuid(fsuid:uid) -> uid
setfsgid(fsgid:gid) -> gid
getgroups(size, list:out[min(ret,size)*sizeof] of gid) -> | -1
__getgroups_chk(size, list:out[min(ret,size)*sizeof] of gid, listlen:size) -> | -1
setgroups(size:size, list:in+[size*sizeof] of gid) -> | -1
initgroups(user:str, group:gid) -> | -1
getgrouplist(user:str, group:gid, groups:out[ret*sizeof] of gid, ngroups:inout) -> | -1
group_member(gid:gid) ->
%creds += capget capset
%pure += getegid geteuid getgid getpgrp getpid getppid gettid getuid

# Scheduling and limits
%:
sched_yield() -> | -1
sched_setscheduler(pid:pid, policy:enum=sched, param:in+) -> | -1
sched_getscheduler(pid:pid) -> enum=sched | -1
sched_setparam(pid:pid, param:in+) -> | -1
sched_getparam(pid:pid, param:out) -> | -1
sched_setaffinity(pid:pid, cpusetsize:size, mask:in[cpusetsize] of bytes) -> | -1
sched_getaffinity(pid:pid, cpusetsize:size, mask:out[cpusetsize] of bytes) -> | -1
sched_getcpu() -> | -1
sched_get_priority_max(policy:enum=sched) -> | -1
sched_get_priority_min(policy:enum=sched) -> | -1
sched_rr_get_interval(pid:pid, tp:out) -> | -1
getcpu(cpu:out, node:out) -> | -1
getrlimit getrlimit64(resource:enum=rlimit, rlim:out) -> | -1
setrlimit setrlimit64(resource:enum=rlimit, rlim:in+) -> | -1
prlimit prlimit64(pid:pid, resource:enum=rlimit, new_limit:in+, old_limit:out) -> | -1
getrusage(who:enum=rusage, usage:out) -> | -1

# The system
uname(buf:out) -> | -1
sysinfo(info:out) -> | -1
gethostname(name:outstr[len], len:size) -> | -1
__gethostname_chk(name:outstr[len], len:size, buflen:size) -> | -1
sethostname(name:in+[len], len:size) -> | -1
getdomainname(name:outstr[len], len:size) -> | -1
setdomainname(name:in+[len], len:size) -> | -1
gethostid() ->
getpagesize() -> size
getdtablesize() ->
sysconf(name:enum=sysconf) ->
confstr(name:enum=confstr, buf:outstr[size] if ret, size:size) -> size
__confstr_chk(name:enum=confstr, buf:outstr[size] if ret, size:size, buflen:size) -> size
getauxval(type:enum=auxv) ->
get_nprocs() ->
get_nprocs_conf() ->
get_phys_pages() ->
get_avphys_pages() ->
getloadavg(loadavg:out[ret*sizeof], nelem) -> | -1
gnu_get_libc_version() -> str!
gnu_get_libc_release() -> str!
klogctl(type, bufp, len) -> | -1
reboot(cmd:enum=reboot) -> | -1
vhangup() -> | -1
ioperm(from, num, turn_on) -> | -1
iopl(level) -> | -1
backtrace(buffer:out![ret*8], size) ->

# Users and groups
getpwnam(name:str^) ->
getpwuid(uid:uid) ->
getpwent() ->
getpwnam_r(name:str, pwd:out?, buf, buflen:size, result:out) -> errno | errno
getpwuid_r(uid:uid, pwd:out?, buf, buflen:size, result:out) -> errno | errno
getpwent_r(pwbuf:out, buf, buflen:size, pwbufp:out) -> errno | errno
fgetpwent(stream) ->
putpwent(p, stream) -> | -1
getgrnam(name:str^) ->
getgrgid(gid:gid) ->
getgrent() ->
getgrnam_r(name:str, grp:out?, buf, buflen:size, result:out) -> errno | errno
getgrgid_r(gid:gid, grp:out?, buf, buflen:size, result:out) -> errno | errno
getgrent_r(gbuf:out, buf, buflen:size, gbufp:out) -> errno | errno
fgetgrent(stream) ->
getspnam(name:str^) ->
getlogin() -> str! | NULL
getlogin_r(buf:outstr[bufsize], bufsize:size) -> errno | errno
cuserid(string:outstr) -> str!
getpass(prompt:str) -> str! | NULL
innetgr(netgroup:str, host:str, user:str, domain:str) ->
"""
