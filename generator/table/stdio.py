"""Streams. A stream is opaque: only what goes through it is told.

EOF and NULL of the reading functions are mostly no error but the end of the file: they have no failure rule. A format is
read whole by a printf that succeeds, and by a scanf only as far as the input agrees. fwrite's buffer is unproven: a large
one goes to write() unread, and /dev/null never looks.
"""

TEXT = """
%stdio %file:
fopen fopen64(pathname:path, mode:str^) -> | NULL
freopen freopen64(pathname:path, mode:str^, stream) -> | NULL
%stdio:
fdopen(fd:fd, mode:str^) -> | NULL
fmemopen(buf, size:size, mode:str^) -> | NULL
open_memstream(ptr, sizeloc) -> | NULL
open_wmemstream(ptr, sizeloc) -> | NULL
fopencookie(cookie, mode:str^, io_funcs) -> | NULL
fclose(stream:consumed) -> | EOF
fcloseall() -> | EOF
fflush fflush_unlocked(stream) -> | EOF
fread(ptr:out[size*ret], size:size, nmemb:size, stream) -> size
fread_unlocked(ptr:out[size*ret], size:size, n:size, stream) -> size
__fread_chk __fread_unlocked_chk(ptr:out[size*ret], ptrlen:size, size:size, nmemb:size, stream) -> size
fwrite(ptr:in~[size*nmemb], size:size, nmemb:size, stream) -> size
fwrite_unlocked(ptr:in~[size*n], size:size, n:size, stream) -> size
fgetc getc fgetc_unlocked getc_unlocked(stream) -> char
_IO_getc(stream) -> char
getchar getchar_unlocked() -> char
fputc fputc_unlocked(c:char, stream) -> char | EOF
putc putc_unlocked(c:char, stream) -> char | EOF
_IO_putc(c:char, stream) -> char | EOF
putchar putchar_unlocked(c:char) -> char | EOF
ungetc(c:char, stream) -> char | EOF
getw(stream) ->
putw(w, stream) -> | nonzero
fgets(s:outstr[size] if ret, size, stream) ->
fgets_unlocked(s:outstr[n] if ret, n, stream) ->
__fgets_chk(s:outstr[size] if ret, slen:size, size, stream) ->
__fgets_unlocked_chk(s:outstr[n] if ret, slen:size, n, stream) ->
gets(s:outstr if ret) ->
__gets_chk(s:outstr if ret, slen:size) ->
fputs fputs_unlocked(s:str!, stream) -> | EOF
puts(s:str!) -> | EOF
getline(lineptr:outstr[ret] of pointer if ret+1, n:out if ret+1, stream) -> size
getdelim __getdelim(lineptr:outstr[ret] of pointer if ret+1, n:out if ret+1, delim:char, stream) -> size
fseek(stream, offset, whence:enum=seek) -> | -1
fseeko fseeko64(stream, offset, whence:enum=seek) -> | -1
ftell(stream) -> | -1
ftello ftello64(stream) -> | -1
rewind(stream) ->
fgetpos fgetpos64(stream, pos:out) -> | nonzero
fsetpos fsetpos64(stream, pos:in+) -> | nonzero
feof feof_unlocked(stream) ->
ferror ferror_unlocked(stream) ->
clearerr clearerr_unlocked(stream) ->
fileno fileno_unlocked(stream) -> fd | -1
flockfile(filehandle) ->
ftrylockfile(filehandle) ->
funlockfile(filehandle) ->
setvbuf(stream, buf, mode:enum=setvbuf, size:size) -> | nonzero
setbuf(stream, buf) ->
setbuffer(stream, buf, size:size) ->
setlinebuf(stream) ->
popen(command:str+, type:str^) -> | NULL %process
pclose(stream:consumed) -> | -1 %process
tmpfile tmpfile64() -> | NULL
tmpnam(s:outstr if ret) -> str!
tmpnam_r(s:outstr if ret) ->
perror(s:str^) ->
fwide(stream, mode) ->

printf(format:str+, ...) -> | <0
__printf_chk(flag, format:str+, ...) -> | <0
vprintf(format:str+, ap) -> | <0
__vprintf_chk(flag, format:str+, ap) -> | <0
fprintf(stream, format:str+, ...) -> | <0
__fprintf_chk(stream, flag, format:str+, ...) -> | <0
vfprintf(stream, format:str+, ap) -> | <0
__vfprintf_chk(stream, flag, format:str+, ap) -> | <0
dprintf(fd:fd, format:str+, ...) -> | <0
__dprintf_chk(fd:fd, flag, format:str+, ...) -> | <0
vdprintf(fd:fd, format:str+, ap) -> | <0
__vdprintf_chk(fd:fd, flag, format:str+, ap) -> | <0
sprintf(str:outstr, format:str+, ...) -> | <0
__sprintf_chk(str:outstr, flag, slen:size, format:str+, ...) -> | <0
vsprintf(str:outstr, format:str+, ap) -> | <0
__vsprintf_chk(str:outstr, flag, slen:size, format:str+, ap) -> | <0
snprintf(str:outstr[size], size:size, format:str+, ...) -> | <0
__snprintf_chk(str:outstr[size], size:size, flag, slen:size, format:str+, ...) -> | <0
vsnprintf(str:outstr[size], size:size, format:str+, ap) -> | <0
__vsnprintf_chk(str:outstr[size], size:size, flag, slen:size, format:str+, ap) -> | <0
asprintf(strp:outstr[ret] of pointer, fmt:str+, ...) -> | <0
__asprintf_chk(strp:outstr[ret] of pointer, flag, fmt:str+, ...) -> | <0
vasprintf(strp:outstr[ret] of pointer, fmt:str+, ap) -> | <0
__vasprintf_chk(strp:outstr[ret] of pointer, flag, fmt:str+, ap) -> | <0
scanf __isoc99_scanf __isoc23_scanf(format:str^, ...) ->
vscanf __isoc99_vscanf __isoc23_vscanf(format:str^, ap) ->
fscanf __isoc99_fscanf __isoc23_fscanf(stream, format:str^, ...) ->
vfscanf __isoc99_vfscanf __isoc23_vfscanf(stream, format:str^, ap) ->
sscanf __isoc99_sscanf __isoc23_sscanf(str:str^, format:str^, ...) ->
vsscanf __isoc99_vsscanf __isoc23_vsscanf(str:str^, format:str^, ap) ->
err(eval, fmt:str^, ...) ->
errx(eval, fmt:str^, ...) ->
warn(fmt:str^, ...) ->
warnx(fmt:str^, ...) ->
verr(eval, fmt:str^, args) ->
verrx(eval, fmt:str^, args) ->
vwarn(fmt:str^, args) ->
vwarnx(fmt:str^, args) ->
error(status, errnum:errno, format:str^, ...) ->
error_at_line(status, errnum:errno, filename:str, linenum, format:str^, ...) ->

fgetwc getwc fgetwc_unlocked getwc_unlocked(stream) -> char
getwchar getwchar_unlocked() -> char
fputwc putwc fputwc_unlocked putwc_unlocked(wc:char, stream) -> char | EOF
putwchar putwchar_unlocked(wc:char) -> char | EOF
ungetwc(wc:char, stream) -> char
fgetws(ws, n, stream) ->
fgetws_unlocked(ws, n, stream) ->
fputws fputws_unlocked(ws, stream) -> | EOF
%stdio += wprintf fwprintf swprintf vwprintf vfwprintf vswprintf wscanf fwscanf swscanf vwscanf vfwscanf vswscanf
%stdio += __fbufsize __flbf __fpending __fpurge __freadable __freading __fsetlocking __fwritable __fwriting _flushlbf
%stdio += __overflow __uflow __wprintf_chk __fwprintf_chk __swprintf_chk
"""
