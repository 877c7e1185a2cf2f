"""The system itself: its log, modules, restarts, performance counters, bpf. syslog is not the library's function."""

TEXT = """
syslog(int type, char *bufp:out[min(ret,len)], int len:size) -> int
reboot(int magic:enum=reboot_magic, int magic2:enum=reboot_magic, unsigned int cmd:enum=reboot_cmd, void *arg) -> int
init_module(const void *module_image:in[len], unsigned long len:size, const char *param_values:str) -> int
finit_module(int fd:fd, const char *param_values:str, int flags:flags=finit_module) -> int
delete_module(const char *name:str+, unsigned int flags:flags=delete_module) -> int
kexec_load(unsigned long entry, unsigned long nr_segments, struct kexec_segment *segments:in[nr_segments*sizeof], unsigned long flags:flags=kexec) -> long
kexec_file_load(int kernel_fd:fd, int initrd_fd:fd, unsigned long cmdline_len:size, const char *cmdline:str[cmdline_len], unsigned long flags:flags=kexec_file) -> long
perf_event_open(struct perf_event_attr *attr:in, pid_t pid:pid, int cpu, int group_fd:fd, unsigned long flags:flags=perf_event_open) -> int:fd
bpf(int cmd:enum=bpf, union bpf_attr *attr:in[size] of bytes, unsigned int size:size) -> int
"""
