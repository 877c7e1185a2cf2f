"""Strings and memory. A comparison or a search may stop early: what it was given is unproven, however short.

memcpy's dest equals its src, so one of them is kept; memmove may overwrite its src, so there it is the other one.
"""

TEXT = """
%string:
strlen(s:str!) -> size
strnlen(s:str![maxlen], maxlen:size) -> size
strcpy(dest, src:str!) ->
__strcpy_chk(dest, src:str!, destlen:size) ->
stpcpy(dest, src:str!) ->
__stpcpy(dest, src:str!) ->
__stpcpy_chk(dest, src:str!, destlen:size) ->
strncpy(dest, src:str![n], n:size) ->
__strncpy_chk(dest, src:str![n], n:size, destlen:size) ->
stpncpy __stpncpy(dst, src:str![sz], sz:size) ->
__stpncpy_chk(dest, src:str![n], n:size, destlen:size) ->
strcat(dest:outstr, src:str!) ->
__strcat_chk(dest:outstr, src:str!, destlen:size) ->
strncat(dest:outstr, src:str![n], n:size) ->
__strncat_chk(dest:outstr, src:str![n], n:size, destlen:size) ->
strcmp(s1:str^, s2:str^) ->
strcoll(s1:str^, s2:str^) ->
strcasecmp __strcasecmp(s1:str, s2:str) ->
strncmp(s1:str[n], s2:str[n], n:size) ->
strncasecmp(s1:str[n], s2:str[n], n:size) ->
strverscmp __strverscmp(s1:str, s2:str) ->
strchr index(s:str^, c:char) ->
strrchr rindex(s:str!, c:char) ->
strchrnul(s:str^, c:char) ->
strstr(haystack:str, needle:str^) ->
strcasestr __strcasestr(haystack:str, needle:str^) ->
strspn(s:str, accept:str^) -> size
strcspn(s:str, reject:str^) -> size
strpbrk(s:str, accept:str^) ->
strtok(str:str, delim:str) -> str!
strtok_r __strtok_r(str:str, delim:str, saveptr:inout?) -> str!
strsep(stringp:inout!, delim:str) -> str!
strdup __strdup(s:str!) -> | NULL
strndup __strndup(s:str![n], n:size) -> | NULL
strerror(errnum:errno) -> str!
strerror_l(errnum:errno, locale) -> str!
strerror_r(errnum:errno, buf, buflen:size) -> str!
__xpg_strerror_r(errnum:errno, buf:outstr[buflen], buflen:size) -> errno | errno
strerrorname_np(errnum:errno) -> str!
strerrordesc_np(errnum:errno) -> str!
strxfrm(dest, src:str!, n:size) -> size
strfry(string:str!) ->
memcpy(dest, src:in![n], n:size) ->
__memcpy_chk(dest, src:in![n], n:size, destlen:size) ->
mempcpy __mempcpy(dest, src:in![n], n:size) ->
__mempcpy_chk(dest, src:in![n], n:size, destlen:size) ->
memmove(dest:out![n], src, n:size) ->
__memmove_chk(dest:out![n], src, n:size, destlen:size) ->
bcopy(src, dest:out![n], n:size) ->
memccpy(dest, src:in[n], c:char, n:size) ->
memset(s, c:char, n:size) ->
__memset_chk(s, c:char, n:size, slen:size) ->
bzero(s, n:size) ->
explicit_bzero(s, n:size) ->
__explicit_bzero_chk(s, n:size, slen:size) ->
memcmp bcmp(s1:in[n], s2:in[n], n:size) ->
memchr(s:in[n], c:char, n:size) ->
memrchr(s:in[n], c:char, n:size) ->
rawmemchr __rawmemchr(s, c:char) ->
memmem(haystack:in[haystacklen], haystacklen:size, needle:in[needlelen], needlelen:size) ->
memfrob(s:out![n], n:size) ->
swab(from, to, n) ->

# Numbers in text: an invalid base leaves both arguments alone
%:
atoi(nptr:str^) ->
atol(nptr:str^) ->
atoll(nptr:str^) ->
atof(nptr:str^) ->
strtol __isoc23_strtol(nptr:str, endptr:out?, base) ->
strtoll strtoq __isoc23_strtoll(nptr:str, endptr:out?, base) ->
strtoul __isoc23_strtoul(nptr:str, endptr:out?, base) ->
strtoull strtouq __isoc23_strtoull(nptr:str, endptr:out?, base) ->
strtoimax __isoc23_strtoimax(nptr:str, endptr:out?, base) ->
strtoumax __isoc23_strtoumax(nptr:str, endptr:out?, base) ->
strtod(nptr:str^, endptr:out) ->
strtof(nptr:str^, endptr:out) ->
strtold(nptr:str^, endptr:out) ->
a64l(str64:str) ->
l64a(value) -> str!
ecvt(number, ndigits, decpt:out, sign:out) -> str!
fcvt(number, ndigits, decpt:out, sign:out) -> str!
gcvt(number, ndigit, buf:outstr) -> str!
strfromd strfromf strfroml(str:outstr[n], n:size, format:str, fp) -> | <0
rpmatch(response:str) ->
getsubopt(optionp:inout!, tokens:strv, valuep:out?) ->

# Wide strings: their lengths are told, their characters are numbers
%wide:
wmemcpy(dest, src:in![n*sizeof], n:size) ->
wmempcpy(dest, src:in![n*sizeof], n:size) ->
wmemmove(dest:out![n*sizeof], src, n:size) ->
wmemset(wcs, wc:char, n:size) ->
wmemcmp(s1:in[n*sizeof], s2:in[n*sizeof], n:size) ->
wmemchr(s:in[n*sizeof], c:char, n:size) ->
wcslen(s:in[(ret+1)*sizeof]) -> size
wcsnlen(s:in[ret*sizeof], maxlen:size) -> size
wcschr(wcs, wc:char) ->
wcsrchr(wcs, wc:char) ->
wcstol __isoc23_wcstol(nptr, endptr:out?, base) ->
wcstoul __isoc23_wcstoul(nptr, endptr:out?, base) ->
wcstoll __isoc23_wcstoll(nptr, endptr:out?, base) ->
wcstoull __isoc23_wcstoull(nptr, endptr:out?, base) ->
wcstod(nptr, endptr:out) ->
%wide += wcscpy wcsncpy wcscat wcsncat wcscmp wcsncmp wcscasecmp wcsncasecmp wcscoll wcsxfrm wcsspn wcscspn wcspbrk
%wide += wcsstr wcstok wcsdup wcpcpy wcpncpy wcswidth wcwidth wcsftime
"""
