"""Processes, threads, scheduling, tracing, confinement.

clone's parameters stand in x86-64's order. sched_getaffinity gives the bytes that it wrote. What
prctl, ptrace and keyctl do with their words depends on the first one; arch_prctl writes for ARCH_GET_FS and ARCH_GET_GS.
"""

TEXT = """
clone(unsigned long flags:flags=clone_signal, void *stack, int *parent_tid:out if flags&1052672, int *child_tid, unsigned long tls) -> long:pid
clone3(struct clone_args *cl_args:in[min(size,sizeof)], size_t size:size) -> long:pid
exit_group(int status) -> void
waitid(int idtype:enum=waitid, id_t id, siginfo_t *infop:out?, int options:flags=wait, struct rusage *rusage:out?) -> int
set_tid_address(int *tidptr) -> pid_t:pid
arch_prctl(int code:enum=arch_prctl, unsigned long *addr:out if 2-min(1,code-4099)-min(1,code-4100)) -> int
set_thread_area(struct user_desc *u_info:inout) -> int
get_thread_area(struct user_desc *u_info:inout) -> int
modify_ldt(int func, void *ptr:inout[bytecount], unsigned long bytecount:size) -> int
prctl(int option:enum=prctl, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5) -> int
ptrace(long request:enum=ptrace, pid_t pid:pid, void *addr, void *data) -> long
kcmp(pid_t pid1:pid, pid_t pid2:pid, int type:enum=kcmp, unsigned long idx1, unsigned long idx2) -> int
process_mrelease(int pidfd:fd, unsigned int flags) -> int

sched_setattr(pid_t pid:pid, struct sched_attr *attr:in, unsigned int flags) -> int
sched_getattr(pid_t pid:pid, struct sched_attr *attr:out[min(size,sizeof)], unsigned int size:size, unsigned int flags) -> int
sched_getaffinity(pid_t pid:pid, size_t cpusetsize:size, cpu_set_t *mask:out[ret] of bytes) -> int:size
ioprio_set(int which:enum=ioprio_who, int who, int ioprio) -> int
ioprio_get(int which:enum=ioprio_who, int who) -> int
getcpu(unsigned int *cpu:out, unsigned int *node:out, struct getcpu_cache *tcache) -> int

capget(struct __user_cap_header_struct *hdrp:in, struct __user_cap_data_struct *datap:out[2*sizeof]) -> int
capset(struct __user_cap_header_struct *hdrp:in, const struct __user_cap_data_struct *datap:in[2*sizeof]) -> int
seccomp(unsigned int operation:enum=seccomp, unsigned int flags:flags=seccomp_flags, const struct sock_fprog *args:in if 1-min(1,operation-1)) -> int
landlock_create_ruleset(const struct landlock_ruleset_attr *attr:in[min(size,sizeof)], size_t size:size, uint32_t flags:flags=landlock_create) -> int:fd
landlock_add_rule(int ruleset_fd:fd, int rule_type:enum=landlock_rule, const struct landlock_path_beneath_attr *rule_attr:in, uint32_t flags) -> int
landlock_restrict_self(int ruleset_fd:fd, uint32_t flags) -> int
add_key(const char *type:str+, const char *description:str, const void *payload:in[plen], size_t plen:size, int keyring:enum=keyring) -> int
request_key(const char *type:str+, const char *description:str+, const char *callout_info:str, int dest_keyring:enum=keyring) -> int
keyctl(int operation:enum=keyctl, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5) -> long
"""
