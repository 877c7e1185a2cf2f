"""Dynamic linking, environment, locale, characters, messages, regular expressions, logging.

getenv may give NULL without an error number, and dlclose fails without one (dlerror tells why). getenv does not look at its name when there is
no environment; setenv looks at its value only when it may set it.
"""

TEXT = """
%dl:
dlopen(filename:path?, flags:flags=dlopen) -> | NULL
dlmopen(lmid, filename:path?, flags:flags=dlopen) -> | NULL
dlclose(handle:consumed) ->
dlerror() -> str!
dlsym(handle, symbol:str) ->
dlvsym(handle, symbol:str, version:str) ->
dladdr(addr, info:out if ret) ->
dladdr1(addr, info:out if ret, extra_info, flags:enum=dladdr1) ->
dlinfo(handle, request:enum=dlinfo, info) -> | -1
dl_iterate_phdr(callback, data) ->

%:
getenv(name:str) -> str!
secure_getenv(name:str) -> str!
setenv(name:str+, value:str, overwrite) -> | -1
unsetenv(name:str+) -> | -1
putenv(string:str) -> | nonzero
clearenv() -> | nonzero
getopt(argc, argv:strv, optstring:str) -> char
getopt_long getopt_long_only(argc, argv:strv, optstring:str, longopts, longindex) -> char

# Locale and messages
setlocale(category:enum=locale, locale:str) -> str! | NULL
newlocale __newlocale(category_mask:flags=locale_mask, locale:str, base) -> | NULL
duplocale __duplocale(locobj) -> | NULL
uselocale __uselocale(newloc) -> | NULL
freelocale __freelocale(locobj:consumed) ->
localeconv() ->
nl_langinfo(item) -> str!
nl_langinfo_l __nl_langinfo_l(item, locale) -> str!
gettext(msgid:str) -> str
dgettext(domainname:str, msgid:str) -> str
dcgettext __dcgettext(domainname:str, msgid:str, category:enum=locale) -> str
ngettext(msgid:str, msgid_plural:str, n) -> str
dngettext(domainname:str, msgid:str, msgid_plural:str, n) -> str
dcngettext(domainname:str, msgid:str, msgid_plural:str, n, category:enum=locale) -> str
textdomain(domainname:str) -> str! | NULL
bindtextdomain(domainname:str, dirname:path?) -> str! | NULL
bind_textdomain_codeset(domainname:str, codeset:str) -> str!
catopen(name:str, flag) -> | MAP_FAILED
catgets(catalog, set_number, message_number, message:str) -> str
catclose(catalog:consumed) -> | -1

# Characters and their encodings
isalnum(c:char) ->
isalpha(c:char) ->
isascii(c:char) ->
isblank(c:char) ->
iscntrl(c:char) ->
isdigit(c:char) ->
isgraph(c:char) ->
islower(c:char) ->
isprint(c:char) ->
ispunct(c:char) ->
isspace(c:char) ->
isupper(c:char) ->
isxdigit(c:char) ->
tolower(c:char) -> char
toupper(c:char) -> char
toascii(c:char) -> char
towlower(wc:char) -> char
towupper(wc:char) -> char
iswalpha iswalnum iswdigit iswspace iswlower iswupper iswprint iswpunct(wc:char) ->
mblen(s:in[n] of bytes, n:size) -> size | -1
mbtowc(pwc:out?, s:in[n] of bytes, n:size) -> size | -1
wctomb(s:out[ret], wc:char) -> size | -1
mbstowcs(dest, src:str, n:size) -> size | -1
wcstombs(dest:out[min(ret,n)], src, n:size) -> size | -1
mbrlen __mbrlen(s:in[n] of bytes, n:size, ps) -> size | -1
mbrtowc __mbrtowc(pwc:out?, s:in[n] of bytes, n:size, ps) -> size | -1
wcrtomb(s:out[ret], wc:char, ps) -> size | -1
mbsrtowcs(dest, src:inout?, len:size, ps) -> size | -1
wcsrtombs(dest:out[min(ret,len)], src:inout?, len:size, ps) -> size | -1
mbsinit(ps) ->
btowc(c:char) -> char
wctob(c:char) -> char
iconv_open(tocode:str, fromcode:str) -> | MAP_FAILED
iconv(cd, inbuf:inout?, inbytesleft:inout?, outbuf:inout?, outbytesleft:inout?) -> size | -1
iconv_close(cd:consumed) -> | -1

# Regular expressions
regcomp(preg, regex:str+, cflags:flags=regcomp) -> enum=regerr | nonzero
regexec(preg, string:str, nmatch:size, pmatch:out?[nmatch*sizeof], eflags:flags=regexec) -> enum=regerr
regerror(errcode:enum=regerr, preg, errbuf:outstr[errbuf_size], errbuf_size:size) -> size
regfree(preg) ->

# The system's log
openlog(ident:str, option:flags=logopt, facility:enum=logfac) ->
syslog(priority:flags=syslog, format:str, ...) ->
vsyslog(priority:flags=syslog, format:str, ap) ->
__syslog_chk(priority:flags=syslog, flag, format:str, ...) ->
__vsyslog_chk(priority:flags=syslog, flag, format:str, ap) ->
closelog() ->
setlogmask(mask) ->

# Searching and sorting: elements are the program's own
qsort(base, nmemb:size, size:size, compar) ->
qsort_r(base, nmemb:size, size:size, compar, arg) ->
bsearch(key, base, nmemb:size, size:size, compar) ->
lfind(key, base, nmemb:in!, size:size, compar) ->
lsearch(key, base, nmemb:inout!, size:size, compar) ->
tsearch(key, rootp, compar) -> | NULL
tfind(key, rootp, compar) ->
tdelete(key, rootp, compar) ->
twalk(root, action) ->
hcreate(nel:size) -> | zero
hdestroy() ->

# Randomness
rand() ->
srand(seed) ->
rand_r(seedp:inout!) ->
random() ->
srandom(seed) ->
random_r(buf, result:out) -> | -1
srandom_r(seed, buf) -> | -1
initstate(seed, state, n:size) -> | NULL
setstate(state) -> | NULL
drand48() ->
lrand48() ->
mrand48() ->
srand48(seedval) ->
erand48(xsubi:inout![3*sizeof]) ->
nrand48(xsubi:inout![3*sizeof]) ->
jrand48(xsubi:inout![3*sizeof]) ->
getrandom(buf:out[ret], buflen:size, flags:flags=getrandom) -> size | -1
getentropy(buffer:out[length], length:size) -> | -1
arc4random() ->
arc4random_buf(buf:out![n], n:size) ->
arc4random_uniform(upper_bound) ->
"""
