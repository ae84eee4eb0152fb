#!/bin/bash
# The 1.8 header and libraries as a program sees them: C and C++, before and after the host's headers, by each way of
# linking, both generations in one program. usage: link.sh BUILD CC
set -u
build=$(readlink -f "$1") cc=$2
here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
work=$(mktemp -d "${TMPDIR:-/tmp}/zt-link.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
case_() { # NAME COMMAND...
    local name=$1
    shift
    echo "[ RUN      ] $name"
    if "$@" > out 2>&1; then
        echo "[       OK ] $name"
    else
        cat out
        echo "[  FAILED  ] $name"
        failed=1
    fi
}

cat > program.c << 'C'
#include "ZeroTierSockets.h"
int main(void)
{
    char text[ZTS_IP_MAX_STR_LEN];
    unsigned char ip[16];
    unsigned short port = 1;
    zts_errno = 5;
    /* One name that means another thing in the other generation, two that differ in what they write. */
    if (zts_connect(0, "10.1.2.3", port, 0) != ZTS_ERR_SERVICE || zts_accept(0, text, sizeof text, &port) != ZTS_ERR_SERVICE)
        return 1;
    if (zts_inet_pton(ZTS_AF_INET6, "fe80::abcd", ip) != 1 || zts_inet_ntop(ZTS_AF_INET6, ip, text, sizeof text) != text)
        return 2;
    return zts_errno == 5 && text[0] == 'F' && zts_in6addr_any.un.u32_addr[3] == 0 ? 0 : 3;
}
C
# The older generation's names in another file of the same program.
cat > other.c << 'C'
#include "ZeroTierSockets.h"
int other(void)
{
    struct zts_sockaddr_in a = {.sin_family = ZTS_AF_INET};
    char text[ZTS_INET6_ADDRSTRLEN];
    unsigned char ip[16] = {0xfe, 0x80};
    return zts_connect(0, &a, sizeof a) == ZTS_ERR_SERVICE && zts_inet_ntop(ZTS_AF_INET6, ip, text, sizeof text) == text &&
           text[0] == 'f' ? 0 : 4;
}
C
sed 's/int main(void)/int other(void);\nint main(void)/; s/return zts_errno == 5/return other() == 0 \&\& zts_errno == 5/' program.c > both.c
for order in before after; do
    hosts='#include <sys/socket.h>\n#include <netinet/in.h>\n#include <arpa/inet.h>\n#include <netdb.h>\n#include <poll.h>\n#include <sys/select.h>\n'
    [ $order = before ] && printf %b "$hosts" > $order.c
    cat program.c >> $order.c
    [ $order = after ] && sed -i "s|^#include .*|&\n$hosts|" $order.c
done

w='-Wall -Wextra -Wpedantic -Werror'
i18=-I$top/include/zts18
zt="-L$build/libzt -Wl,-rpath,$build/libzt"
# shellcheck disable=SC2086
{
    build_run() { "$@" -o program && ./program; }
    case_ header18_c build_run $cc -std=c11 $w $i18 program.c $zt -lzt
    case_ header18_before build_run $cc -std=c11 $w $i18 before.c $zt -lzt
    case_ header18_after build_run $cc -std=c11 $w $i18 after.c $zt -lzt
    if command -v c++ > /dev/null; then
        case_ header18_cplusplus build_run c++ -x c++ -std=c++11 $w $i18 program.c $zt -lzt
    fi
    case_ library18 build_run $cc -std=c11 $w $i18 program.c $zt -lzt18
    case_ library18_plain_names build_run $cc -std=c11 $w -DZTS18_PLAIN_NAMES $i18 program.c $zt -lzt18
    [ ! -f "$build/libzt/libzt.a" ] || case_ static18 build_run $cc -std=c11 $w $i18 program.c "$build/libzt/libzt.a" -lpthread -lm -ldl
    both() { $cc -std=c11 $w -I"$top/include" -c other.c -o other.o && build_run $cc -std=c11 $w $i18 both.c other.o $zt -lzt; }
    case_ both_generations both
    # What a program was linked for is written in it, so that the loader never gives it the other one.
    bound() { build_run $cc $w -DZTS18_PLAIN_NAMES $i18 program.c $zt -lzt18 && nm -D program | grep -q ' zts_connect@ZT_1.8'; }
    case_ plain_names_are_versioned bound
}
# A binding: symbols by name. libzt18.so has the newer zts_connect, libzt.so the older one.
case_ symbols_by_name python3 - "$build/libzt" << 'PY'
import ctypes, sys
new = ctypes.CDLL(sys.argv[1] + "/libzt18.so")
old = ctypes.CDLL(sys.argv[1] + "/libzt.so")
text = ctypes.create_string_buffer(46)
ip = bytes([0xfe, 0x80]) + bytes(14)
for lib, want in ((new, b"FE80::"), (old, b"fe80::")):
    assert lib.zts_inet_ntop(10, ip, text, 46) and text.value == want, text.value
assert new.zts_connect(0, b"10.1.2.3", 1, -1) == -2
assert ctypes.c_int.in_dll(new, "zts_errno").value == 0
assert ctypes.cast(new.zts_get_host_fd, ctypes.c_void_p).value == ctypes.cast(old.zts_get_host_fd, ctypes.c_void_p).value
PY
exit $failed
