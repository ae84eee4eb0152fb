#!/bin/bash
# ZT_PRELOAD_EMBED=1: the node runs inside the program. What it wrote last arrives, its children and other
# programs are clients of it, and afterwards the home is free. And ZT_PRELOAD_STICKY=1.
#
#   embed.sh BUILD
build=$(readlink -f "$1")
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
need curl python3
python=$(python3 -c 'import sys; print(sys.executable)')

# A library built with AddressSanitizer wants its runtime first in the program, which has leaks of its own.
embedded=$preload
asan=$(ldd "$build/libzt/libzt.so" | sed -n 's/.*libasan[^ ]* => \([^ ]*\) .*/\1/p')
[ -z "$asan" ] || { embedded=$asan:$preload && export ASAN_OPTIONS=detect_leaks=0; }
# c COMMAND...: the command with the node of home C in it
c() {
    ZT_HOME=$work/c ZT_NETWORKS=$network4 ZT_PRELOAD_EMBED=1 LD_PRELOAD=$embedded timeout 150 "$@"
}
says() {
    local want=$1 got
    shift
    got=$("$@" 2>&1)
    [ "$got" = "$want" ] || { echo "got '$got' for '$want'"; return 1; }
}
no_ztd() { [ -z "$(lab_nodes "$work/c")" ]; }

lab_begin
head -c 8388608 /dev/urandom > data
mkdir -m 700 c
lab_up
cp planet c/planet

(
    export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec "$python" -u -m http.server --bind "$a4" --directory "$work" 8000
) > http.log 2>&1 < /dev/null &
started+=($!)
wait_for 60 grep -q 'Serving HTTP' http.log || fail "no server: $(cat http.log)"
# takes one connection, and tells when all of it has come
cat > sink.py << 'END'
import socket, sys
s = socket.create_server((sys.argv[1], 8100))
print('ready', flush=True)
while True:
    c, _ = s.accept()
    n = 0
    try:
        while d := c.recv(1 << 20):
            n += len(d)
        print(n, 'end', flush=True)
    except OSError as e:
        print(n, e, flush=True)
END
(
    export ZT_HOME=$work/a ZT_PRELOAD_START=no LD_PRELOAD=$preload
    exec "$python" sink.py "$a4"
) >> sink.log 2>&1 < /dev/null & # it is emptied below
started+=($!)
wait_for 60 grep -q ready sink.log || fail "no sink: $(cat sink.log)"

get() { rm -f got && c "${getter[@]}" "http://$a4:8000/data" && cmp data got; }
getter=(curl -q -sS --noproxy '*' --max-time 120 -o got)
# Debian's curl hangs in setlocale with AddressSanitizer before it, whether we are there or not.
[ -z "$asan" ] || getter=("$python" -c 'import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], "got")')
check "${getter[0]##*/} with its own node" get
check 'no ztd was started' no_ztd
check 'once more, with the identity of before' get
check 'the door is gone' test ! -e c/control.sock

last_words() { # exits at once after its last write, without a close
    : > sink.log
    c "$python" -c '
import os, socket, sys
s = socket.create_connection((sys.argv[1], 8100))
s.sendall(b"z" * 3000000)
sys.exit(0)' "$a4" || return
    wait_for 30 grep -q '^3000000 end' sink.log || { cat sink.log; return 1; }
}
check 'what it wrote last arrives' last_words

family() { # the program serves; its child, an executed grandchild and another program of the home connect
    c "$python" -c '
import os, socket, subprocess, sys
l = socket.socket(); l.bind(("0.0.0.0", 0)); l.listen(5)      # merged, in this very process
port = l.getsockname()[1]
import fcntl
own = [a for a in [socket.inet_ntoa(fcntl.ioctl(l, 0x8915, n.encode().ljust(40, b"\0"))[20:24])
                   for _, n in socket.if_nameindex() if n.startswith("zt")]][0]
code = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.sendall(b\"%s\"); s.close()"
if os.fork() == 0:
    s = socket.create_connection((own, port)); s.sendall(b"child"); s.close(); os._exit(0)
def take():
    c, peer = l.accept()
    data = b""
    while d := c.recv(100): data += d
    return data.decode(), peer[0] == own
print(*take())
os.wait()
p = subprocess.Popen([sys.executable, "-c", code % "program", own, str(port)])
print(*take())
p.wait()
p = subprocess.Popen([sys.executable, "-c", code % "kernel", "127.0.0.1", str(port)])
print(*take())
p.wait()'
}
check 'child, other program and the host reach it' says $'child True\nprogram True\nkernel False' family
check 'still no ztd' no_ztd
outside() { c "$python" -c '
import socket, sys
s = socket.socket(); s.settimeout(60)
print(s.connect_ex(("127.0.0.1", 1)))'; }
check 'a program that touches nothing virtual' says 111 outside

# ---- sticky: an environment that was cleaned

cleaned() { # SETTING: what reaches a program that is started with an empty environment
    in_home b env ZT_PRELOAD_STICKY="$1" "$python" -c '
import ctypes, os, subprocess, sys
code = "import os; print(sorted(set(os.environ) & {\"LD_PRELOAD\", \"ZT_HOME\", \"ZT_PRELOAD_STICKY\"}))"
args = [sys.executable, "-c", code]
sys.stdout.flush()
subprocess.run(args, env={})
os.waitpid(os.posix_spawn(args[0], args, {}), 0)
if os.fork() == 0:
    words = [a.encode() for a in args]
    ctypes.CDLL(None).execle(words[0], *words, None, (ctypes.c_char_p * 1)(None))
    os._exit(1)
os.wait()
os.environ.clear()
os.execv(args[0], args)'
}
all="['LD_PRELOAD', 'ZT_HOME', 'ZT_PRELOAD_STICKY']"
check 'sticky: fork and exec, spawn, execle, exec with an empty environment' \
    says "$all"$'\n'"$all"$'\n'"$all"$'\n'"$all" cleaned 1
check 'not sticky: left alone' says $'[]\n[]\n[]\n[]' cleaned 0
verdict
