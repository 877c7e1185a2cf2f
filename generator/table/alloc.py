"""The heap. realloc and calloc of 0 bytes may give NULL without an error: realloc has no failure rule."""

TEXT = """
%alloc:
malloc(size:size) -> | NULL
calloc(nmemb:size, size:size) -> | NULL
realloc(ptr:consumed, size:size) ->
reallocarray(ptr:consumed, nmemb:size, size:size) ->
free cfree(ptr:consumed) ->
posix_memalign(memptr:out, alignment:size, size:size) -> errno | errno
aligned_alloc memalign(alignment:size, size:size) -> | NULL
valloc pvalloc(size:size) -> | NULL
malloc_usable_size(ptr) -> size
malloc_trim(pad:size) ->
mallopt(param:enum=mallopt, value) ->
malloc_info(options, stream) -> | -1
mallinfo() ->
mallinfo2() ->
malloc_stats() ->
"""
