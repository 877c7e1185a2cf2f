"""Sockets, names and addresses: strace's %network, and the resolver's functions.

accept and its like say how long the address was, not how much of it fitted: it is read with care. recv with MSG_TRUNC
(32) may return more than it stored, or store nothing at all: then nothing is kept.
"""

TEXT = """
%network %net:
socket(domain:enum=socket_domain, type:flags=socket_type, protocol:enum=ipproto) -> fd | -1
socketpair(domain:enum=socket_domain, type:flags=socket_type, protocol:enum=ipproto, sv:out[2*sizeof] of fd) -> | -1
bind(sockfd:fd, addr:in+[addrlen] of sockaddr, addrlen:size) -> | -1
connect(sockfd:fd, addr:in+[addrlen] of sockaddr, addrlen:size) -> | -1
listen(sockfd:fd, backlog) -> | -1
accept(sockfd:fd, addr:out?[*addrlen] of sockaddr, addrlen:inout if addr) -> fd | -1
accept4(sockfd:fd, addr:out?[*addrlen] of sockaddr, addrlen:inout if addr, flags:flags=socket_type) -> fd | -1
getsockname(sockfd:fd, addr:out?[*addrlen] of sockaddr, addrlen:inout) -> | -1
getpeername(sockfd:fd, addr:out?[*addrlen] of sockaddr, addrlen:inout) -> | -1
shutdown(sockfd:fd, how:enum=shutdown) -> | -1
send(sockfd:fd, buf:in[len], len:size, flags:flags=msg) -> size | -1
sendto(sockfd:fd, buf:in[len], len:size, flags:flags=msg, dest_addr:in+[addrlen] of sockaddr, addrlen:size) -> size | -1
sendmsg(sockfd:fd, msg:in+, flags:flags=msg) -> size | -1
sendmmsg(sockfd:fd, msgvec:in+[ret*sizeof], vlen, flags:flags=msg) -> | -1
recv(sockfd:fd, buf:out[min(ret,len)] if 32-(flags&32), len:size, flags:flags=msg) -> size | -1
__recv_chk(sockfd:fd, buf:out[min(ret,len)] if 32-(flags&32), len:size, buflen:size, flags:flags=msg) -> size | -1
recvfrom(sockfd:fd, buf:out[min(ret,len)] if 32-(flags&32), len:size, flags:flags=msg, src_addr:out?[*addrlen] of sockaddr, addrlen:inout if src_addr) -> size | -1
__recvfrom_chk(sockfd:fd, buf:out[min(ret,len)] if 32-(flags&32), len:size, buflen:size, flags:flags=msg, src_addr:out?[*addrlen] of sockaddr, addrlen:inout if src_addr) -> size | -1
recvmsg(sockfd:fd, msg:inout, flags:flags=msg) -> size | -1
recvmmsg(sockfd:fd, msgvec:out[ret*sizeof], vlen, flags:flags=msg, timeout:inout) -> | -1
getsockopt(sockfd:fd, level:enum=sockopt_level, optname, optval:out?[*optlen], optlen:inout) -> | -1
setsockopt(sockfd:fd, level:enum=sockopt_level, optname, optval:in[optlen], optlen:size) -> | -1
sockatmark(sockfd:fd) -> | -1
isfdtype(fd:fd, fdtype:mode) -> | -1

%:
getaddrinfo(node:str, service:str, hints:in+, res:out) -> enum=eai | nonzero
freeaddrinfo(res:consumed) ->
gai_strerror(errcode:enum=eai) -> str!
getnameinfo(addr:in+[addrlen] of sockaddr, addrlen:size, host:outstr[hostlen], hostlen:size, serv:outstr[servlen], servlen:size, flags:flags=ni) -> enum=eai | nonzero
gethostbyname(name:str^) ->
gethostbyname2(name:str^, af:enum=socket_domain) ->
gethostbyaddr(addr:in[len] of bytes, len:size, type:enum=socket_domain) ->
gethostbyname_r(name:str^, ret, buf, buflen:size, result:out, h_errnop) -> errno | errno
gethostbyname2_r(name:str^, af:enum=socket_domain, ret, buf, buflen:size, result:out, h_errnop) -> errno | errno
getservbyname(name:str^, proto:str) ->
getservbyport(port, proto:str) ->
getprotobyname(name:str^) ->
getprotobynumber(proto:enum=ipproto) ->
getnetbyname(name:str) ->
hstrerror(err) -> str!
herror(s:str) ->
inet_addr(cp:str^) ->
inet_network(cp:str^) ->
inet_aton(cp:str^, inp:out if ret) ->
inet_ntoa(in) -> str!
inet_ntop(af:enum=socket_domain, src:in+[min(16,2*af)], dst:outstr[size], size:size) -> str! | NULL
inet_pton(af:enum=socket_domain, src:str^, dst:out[min(16,2*af)] if ret) -> | -1
htonl(hostlong) ->
ntohl(netlong) ->
htons(hostshort) ->
ntohs(netshort) ->
if_nametoindex(ifname:str^) -> | zero
if_indextoname(ifindex, ifname:outstr) -> str! | NULL
if_nameindex() -> | NULL
if_freenameindex(ptr:consumed) ->
getifaddrs(ifap:out) -> | -1
freeifaddrs(ifa:consumed) ->
res_query(dname:str, class, type, answer:out[min(ret,anslen)], anslen) -> size | -1
res_search(dname:str, class, type, answer:out[min(ret,anslen)], anslen) -> size | -1
ether_ntoa(addr:in!) -> str!
ether_aton(asc:str^) ->
"""
