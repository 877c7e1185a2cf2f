"""Time, clocks and timers. nanosleep's rem is written only when it fails: it is never looked at."""

TEXT = """
%clock:
time(tloc:out) -> time | -1
gettimeofday(tv:out, tz) -> | -1
settimeofday(tv:in+, tz:in+) -> | -1
clock_gettime(clockid:clockid, tp:out) -> | -1
clock_settime(clockid:clockid, tp:in+) -> | -1
clock_getres(clockid:clockid, res:out) -> | -1
clock_nanosleep(clockid:clockid, flags:flags=timer, request:in+, remain) -> errno | errno
nanosleep(req:in+, rem) -> | -1
clock_adjtime(clk_id:clockid, buf:inout) -> | -1
adjtimex ntp_adjtime(buf:inout) -> | -1
adjtime(delta:in+, olddelta:out) -> | -1
clock() -> time | -1
clock_getcpuclockid(pid:pid, clockid:out of clockid) -> errno | errno
timespec_get(ts:out if ret, base) ->
timespec_getres(ts:out if ret, base) ->
usleep(usec) -> | -1
sleep(seconds) ->

%:
getitimer(which:enum=itimer, curr_value:out) -> | -1
setitimer(which:enum=itimer, new_value:in+, old_value:out) -> | -1
timer_create(clockid:clockid, sevp:in+, timerid:out) -> | -1
timer_settime(timerid, flags:flags=timer, new_value:in+, old_value:out) -> | -1
timer_gettime(timerid, curr_value:out) -> | -1
timer_getoverrun(timerid) -> | -1
timer_delete(timerid) -> | -1
ualarm(usecs, interval) ->
difftime(time1:time, time0:time) ->
mktime timelocal(tm:inout!) -> time
timegm(tm:inout!) -> time
gmtime(timep:in!) -> | NULL
gmtime_r(timep:in!, result:out) -> | NULL
localtime(timep:in!) -> | NULL
localtime_r(timep:in!, result:out) -> | NULL
asctime(tm:in+) -> str! | NULL
asctime_r(tm:in+, buf:outstr) -> str! | NULL
ctime(timep:in!) -> str! | NULL
ctime_r(timep:in!, buf:outstr) -> str! | NULL
strftime(s:outstr[max] if ret, max:size, format:str, tm:in) -> size
strftime_l(s:outstr[max] if ret, max:size, format:str, tm:in, locale) -> size
strptime(s:str, format:str, tm:out?) ->
getdate(string:str) -> | NULL
tzset() ->
dysize(year) ->
"""
