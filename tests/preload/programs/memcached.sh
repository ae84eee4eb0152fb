# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# memcached: four threads, TCP and UDP
needs_memcached=memcached

memcached_talk() {
    b "$python" - "$addr" 11211 <<- 'END'
	import os, socket, sys
	to = sys.argv[1], int(sys.argv[2])
	value = os.urandom(500000)
	conns = [socket.create_connection(to, 10) for _ in range(40)]
	for i, c in enumerate(conns):
	    c.sendall(b'set k%d 0 0 %d\r\n' % (i, len(value)) + value + b'\r\n')
	for c in conns:
	    assert c.recv(100) == b'STORED\r\n'
	for i, c in enumerate(conns):
	    c.sendall(b'get k%d\r\n' % i)
	for i, c in enumerate(conns):
	    data = b''
	    while not data.endswith(b'END\r\n'):
	        data += c.recv(1 << 20)
	    assert value in data
	u = socket.socket(socket.AF_INET6 if ':' in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
	u.settimeout(10)
	u.sendto(b'\0\1\0\0\0\1\0\0version\r\n', to)
	assert b'VERSION' in u.recv(1000)
	END
}
test_memcached() {
    serve memcached a memcached -l "$addr" -p 11211 -U 11211 -u "$(id -un)"
    check "memcached $v listens" up a 11211
    check "memcached $v 40 connections, 500 kB each way; UDP" memcached_talk
    stop "$server"
}
