"""Clocks and timers. The kernel's timer is a number; clock_nanosleep fails like every call."""

TEXT = """
gettimeofday(struct timeval *tv:out, struct timezone *tz:out) -> int
clock_nanosleep(clockid_t clockid:clockid, int flags:flags=timer, const struct timespec *request:in+, struct timespec *remain) -> int
timer_create(clockid_t clockid:clockid, struct sigevent *sevp:in+, int *timerid:out) -> int
timer_settime(int timerid, int flags:flags=timer, const struct itimerspec *new_value:in+, struct itimerspec *old_value:out) -> int
timer_gettime(int timerid, struct itimerspec *curr_value:out) -> int
timer_getoverrun(int timerid) -> int
timer_delete(int timerid) -> int
"""
